//! What is wrong with a text, or odd about a policy: number, place, cause and mend (LANGUAGE.md, D and A).

use std::fmt;

/// Bytes of the source, from and before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    pub from: u32,
    pub to: u32,
}

impl Span {
    pub fn new(from: usize, to: usize) -> Self {
        let short = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self { from: short(from), to: short(to) }
    }

    pub fn to_end_of(self, other: Self) -> Self {
        Self { from: self.from, to: other.to.max(self.to) }
    }
}

/// Why a text is no policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// LANGUAGE.md, D.
    pub number: u16,
    pub place: Span,
    /// Other places that it is about, and what stands there.
    pub also: Vec<(Span, String)>,
    pub cause: String,
    pub mend: String,
}

/// `number` of LANGUAGE.md, D.
pub(crate) fn diagnostic(number: u16, place: Span, cause: impl Into<String>, mend: impl Into<String>) -> Diagnostic {
    Diagnostic { number, place, also: Vec::new(), cause: cause.into(), mend: mend.into() }
}

/// What an economist should know of a policy that is well formed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// LANGUAGE.md, A.
    pub number: u16,
    pub severity: Severity,
    pub place: Span,
    pub also: Vec<(Span, String)>,
    pub cause: String,
    pub mend: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Good to know.
    Note,
    /// Most likely not what was meant.
    Warning,
    /// The policy cannot do its work.
    Defect,
}

/// Line and column, both from 1; columns count characters.
pub fn line_and_column(source: &str, at: u32) -> (usize, usize) {
    let before = source.get(..at as usize).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

impl Diagnostic {
    /// Drawn over the source.
    #[cfg(feature = "diagnostics")]
    pub fn render(&self, source: &str, color: bool) -> String {
        draw(
            ariadne::ReportKind::Error,
            'D',
            self.number,
            self.place,
            &self.also,
            [&self.cause, &self.mend],
            source,
            color,
        )
    }

    /// `3:14: D-12: cause. mend.`: one line, for a log.
    pub fn line(&self, source: &str) -> String {
        let (line, column) = line_and_column(source, self.place.from);
        format!("{line}:{column}: {self}")
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "D-{}: {}; {}", self.number, self.cause, self.mend)
    }
}

impl Finding {
    #[cfg(feature = "diagnostics")]
    pub fn render(&self, source: &str, color: bool) -> String {
        let kind = match self.severity {
            Severity::Note => ariadne::ReportKind::Advice,
            Severity::Warning => ariadne::ReportKind::Warning,
            Severity::Defect => ariadne::ReportKind::Error,
        };
        draw(kind, 'A', self.number, self.place, &self.also, [&self.cause, &self.mend], source, color)
    }

    pub fn line(&self, source: &str) -> String {
        let (line, column) = line_and_column(source, self.place.from);
        format!("{line}:{column}: {self}")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "A-{}: {}; {}", self.number, self.cause, self.mend)
    }
}

#[cfg(feature = "diagnostics")]
#[expect(clippy::too_many_arguments, reason = "the parts of two kinds of report, drawn in one place")]
fn draw(
    kind: ariadne::ReportKind<'_>,
    letter: char,
    number: u16,
    place: Span,
    also: &[(Span, String)],
    [cause, mend]: [&str; 2],
    source: &str,
    color: bool,
) -> String {
    use ariadne::{Config, IndexType, Label, Report, Source};
    // Whole characters of this source, whatever the place: between the bytes of one nothing can be drawn.
    let range = |span: Span| {
        let from = source.floor_char_boundary(span.from as usize);
        ("policy", from..source.ceil_char_boundary(span.to as usize).max(from))
    };
    let config = Config::default().with_color(color).with_index_type(IndexType::Byte).with_compact(false);
    let mut report = Report::build(kind, range(place)).with_config(config).with_code(format!("{letter}-{number}"));
    report = report.with_message(cause).with_help(mend);
    // Two labelled parts say where; a third label around them would only be in the way.
    if also.len() < 2 || also.iter().any(|(span, _)| span.from < place.from || span.to > place.to) {
        report = report.with_label(Label::new(range(place)).with_message("here"));
    }
    for (span, text) in also {
        report = report.with_label(Label::new(range(*span)).with_message(text));
    }
    let mut drawn = Vec::new();
    match report.finish().write(("policy", Source::from(source)), &mut drawn) {
        Ok(()) => String::from_utf8_lossy(&drawn).into_owned(),
        Err(error) => format!("{letter}-{number}: {cause}; {mend} ({error})"),
    }
}
