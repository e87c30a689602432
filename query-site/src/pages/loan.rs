//! A loan by its obligation: the receipt of its return, computed anew, or that it is still owed. Never whose it is (K-6).

use super::frame::Frame;
use super::{Here, failure, ok};
use crate::ledger::contracts::{LoanFound, ReceiptFound};
use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use contracts_vm::Rate;
use ledger_types::ObligationId;
use ledger_types::contract::Obligation;
use ledger_verify::{STALE_AFTER_MS, VerifiedState};

#[derive(Template)]
#[template(path = "loan.html")]
struct Page {
    f: Frame,
    obligation: String,
    contract: u32,
    version: u32,
    policy: String,
    from_ms: u64,
    receipt: Option<Returned>,
    /// Of a loan that is owed.
    due: Option<(String, bool)>,
    height: u64,
    log_size: u64,
    signers: usize,
    is_stale: bool,
}

struct Returned {
    index: u64,
    rate: String,
    to_ms: u64,
    days: u64,
    fuel: u32,
    inputs: Vec<Input>,
    /// Whether the policy gives the same, and the sentence that says so.
    computed: (&'static str, String),
}

struct Input {
    feed: u32,
    back: u16,
    period: String,
    vintage: String,
    value: String,
}

pub async fn page(State(here): State<Here>, uri: Uri, path: Result<Path<String>, PathRejection>) -> Response {
    let id = path.ok().and_then(|Path(text)| ObligationId::from_hex(&text));
    let Some(id) = id else { return failure::no_such(&here, &uri, "contracts", failure::NoSuch::Loan) };
    match here.site.ledger().loan(id).await {
        Ok(Some(LoanFound::Returned(found))) => ok(&returned(&here, &uri, &found)),
        Ok(Some(LoanFound::Open { obligation, proved })) => ok(&open(&here, &uri, id, &obligation, &proved.state)),
        Ok(None) => failure::no_such(&here, &uri, "contracts", failure::NoSuch::Loan),
        Err(error) => failure::no_answer(&here, &uri, &error),
    }
}

fn returned(here: &Here, uri: &Uri, found: &ReceiptFound) -> Page {
    let f = here.frame(uri, "contracts", here.t("loan.title"));
    let (receipt, state) = (&found.receipt, found.logged.state());
    let computed = match found.computed {
        None => ("warn", f.t("loan.not_computed").to_owned()),
        Some(computed) => {
            let is_same = computed.rate == receipt.rate && computed.fuel == receipt.fuel && computed.same_inputs;
            match is_same {
                true => ("good", f.fill("loan.computed_same", &[&Rate(computed.rate), &computed.fuel])),
                false => ("bad", f.fill("loan.computed_other", &[&Rate(computed.rate), &computed.fuel])),
            }
        }
    };
    let input = |input: &ledger_types::contract::ReceiptInput| {
        let text = |of: Option<String>| of.unwrap_or_else(|| "–".into());
        Input {
            feed: input.feed.0,
            back: input.back,
            period: text(input.found.map(|found| found.period.0.to_string())),
            vintage: text(input.found.map(|found| found.vintage.0.to_string())),
            value: text(input.found.map(|found| found.value.to_string())),
        }
    };
    let day = ledger_types::contract::DAY_MS;
    Page {
        obligation: receipt.obligation.to_string(),
        contract: receipt.contract.0,
        version: receipt.version.0,
        policy: receipt.policy.to_string(),
        from_ms: receipt.from_ms,
        receipt: Some(Returned {
            index: found.logged.index(),
            rate: Rate(receipt.rate).to_string(),
            to_ms: receipt.to_ms,
            days: (receipt.to_ms / day).saturating_sub(receipt.from_ms / day),
            fuel: receipt.fuel,
            inputs: receipt.inputs.iter().map(input).collect(),
            computed,
        }),
        due: None,
        ..as_of(f, state)
    }
}

fn open(here: &Here, uri: &Uri, id: ObligationId, obligation: &Obligation, state: &VerifiedState) -> Page {
    let f = here.frame(uri, "contracts", here.t("loan.title"));
    let due = Some((f.day(obligation.due_ms), obligation.due_ms < state.time_ms()));
    Page {
        obligation: id.to_string(),
        contract: obligation.contract.0,
        version: obligation.version.0,
        policy: obligation.policy.to_string(),
        from_ms: obligation.activated_ms,
        due,
        ..as_of(f, state)
    }
}

fn as_of(f: Frame, state: &VerifiedState) -> Page {
    Page {
        obligation: String::new(),
        contract: 0,
        version: 0,
        policy: String::new(),
        from_ms: 0,
        receipt: None,
        due: None,
        height: state.height().0,
        log_size: state.head().size,
        signers: state.signers().len(),
        is_stale: f.now_ms.abs_diff(state.signed_at_ms()) > STALE_AFTER_MS,
        f,
    }
}
