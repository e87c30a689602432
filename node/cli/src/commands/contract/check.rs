//! `assay contract check`: diagnostics and findings, drawn over the text.

use super::{PolicyFile, refused, wants_colour};
use crate::outcome::{Exit, Failure, Outcome};
use contracts_vm::diagnostic::line_and_column;
use contracts_vm::{Diagnostic, Finding, Severity, Span};
use serde_json::{Value, json};

#[derive(clap::Args)]
pub struct Check {
    #[command(flatten)]
    policy: PolicyFile,
    /// Fail on warnings too, not on defects alone.
    #[arg(long)]
    strict: bool,
    /// Print the policy as the language writes it, and nothing else.
    #[arg(long)]
    canonical: bool,
}

impl Check {
    pub fn run(self) -> Result<Outcome, Failure> {
        let source = self.policy.source()?;
        let checked = match contracts_vm::check(&source) {
            Ok(checked) => checked,
            Err(wrong) => {
                let drawn: Vec<String> = wrong.iter().map(|found| found.render(&source, wants_colour())).collect();
                let data = json!({
                    "is_policy": false, "findings": [],
                    "diagnostics": wrong.iter().map(|found| of_diagnostic(found, &source)).collect::<Vec<_>>(),
                });
                return Ok(Outcome::new(data, drawn.join("\n")).but(refused(&self.policy.name(), &wrong, "")));
            }
        };
        let (policy, program) = (&checked.policy, checked.policy.compile());
        let canonical = policy.canonical();
        let data = json!({
            "is_policy": true, "diagnostics": [],
            "findings": checked.findings.iter().map(|found| of_finding(found, &source)).collect::<Vec<_>>(),
            "name": policy.name, "version": policy.version, "currency": policy.currency.as_str(),
            "is_canonical": canonical == source, "canonical": canonical,
            "program_bytes": program.to_bytes().len(), "fuel": program.fuel(),
            "feeds": program.feeds().iter().map(|feed| feed.series.as_str()).collect::<Vec<_>>(),
        });
        let mut text = String::new();
        if self.canonical {
            text.push_str(&canonical);
        } else {
            for finding in &checked.findings {
                text.push_str(&finding.render(&source, wants_colour()));
                text.push('\n');
            }
            text.push_str(&format!(
                "policy {} version {} for {}: {} bytes, at most {} fuel; {}",
                policy.name,
                policy.version,
                policy.currency,
                program.to_bytes().len(),
                program.fuel(),
                counted(&checked.findings),
            ));
        }
        let outcome = Outcome::new(data, text);
        let worst = checked.findings.iter().map(|found| found.severity).max();
        let bar = if self.strict { Severity::Warning } else { Severity::Defect };
        if worst.is_none_or(|worst| worst < bar) {
            return Ok(outcome);
        }
        let message = format!("{} is a policy that should not be deployed so: {}", self.policy.name(), {
            counted(&checked.findings)
        });
        Ok(outcome.but(Failure::new(Exit::Refused, "policy_findings", message)))
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Defect => "defect",
    }
}

fn counted(findings: &[Finding]) -> String {
    let counts: Vec<String> = [Severity::Defect, Severity::Warning, Severity::Note]
        .into_iter()
        .map(|severity| (findings.iter().filter(|found| found.severity == severity).count(), word(severity)))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if counts.is_empty() { "nothing found against it".to_owned() } else { counts.join(", ") }
}

fn place(at: Span, source: &str) -> Value {
    let (line, column) = line_and_column(source, at.from);
    json!({ "line": line, "column": column, "from": at.from, "to": at.to })
}

fn also(places: &[(Span, String)], source: &str) -> Vec<Value> {
    places.iter().map(|(at, text)| json!({ "place": place(*at, source), "text": text })).collect()
}

fn of_diagnostic(found: &Diagnostic, source: &str) -> Value {
    json!({
        "number": format!("D-{}", found.number), "place": place(found.place, source), "also": also(&found.also, source),
        "cause": found.cause, "mend": found.mend,
    })
}

fn of_finding(found: &Finding, source: &str) -> Value {
    json!({
        "number": format!("A-{}", found.number), "severity": word(found.severity), "place": place(found.place, source),
        "also": also(&found.also, source), "cause": found.cause, "mend": found.mend,
    })
}
