//! What banks say to each other and to registration, and what people send: documents, and the text of the search box.

use assay_site::search::{self, Found};
use ledger_state::Rules;
use ledger_store::Offer;
use ledger_types::{Decode, Encode};
use node::joining::wire::Question;
use node::link::wire::{Call, Reply, decode, encode};
use node_api::{contracts, desk, ledger, reconciliation, regulator};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn framed<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> bool {
    let Ok(value) = decode::<T>(bytes) else { return false };
    let frame = encode(&value).expect("what was read can be written");
    assert_eq!(&frame[4..], bytes, "one encoding a frame");
    true
}

pub(crate) fn link(bytes: &[u8]) -> bool {
    framed::<Call>(bytes) | framed::<Reply>(bytes)
}

/// The body of each request that a node takes. HTTP itself is hyper's.
pub(crate) fn http(bytes: &[u8]) -> bool {
    macro_rules! any_document {
        ($($t:ty),* $(,)?) => { [$(serde_json::from_slice::<$t>(bytes).is_ok()),*].contains(&true) };
    }
    any_document!(
        desk::NewWallet,
        desk::NewOwnershipProof,
        desk::NewPayment,
        desk::NewIssue,
        desk::NewRedemption,
        desk::NewRecovery,
        ledger::SubmitEnvelopes,
        contracts::NewDeployment,
        contracts::NewStop,
        contracts::NewRetirement,
        contracts::NewFeed,
        contracts::NewItem,
        contracts::NewLoan,
        contracts::NewReturn,
        contracts::NewReclaim,
        reconciliation::Mute,
        regulator::RequestFile,
        regulator::SealedFile,
        regulator::AnswerFile,
        regulator::OpeningFile,
    )
}

/// A coin id that is found is the text's own, and no text makes the reader fail.
pub(crate) fn search(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match search::read(text) {
        Found::Coin(coin) => {
            // White space, as a line break in a message leaves it, is no part of an id.
            let asked: String = text.split_whitespace().collect::<String>().to_ascii_lowercase();
            let id = coin.to_string();
            // The whole text, or a part of an address.
            let is_part = |at: usize| {
                let (before, after) = (&asked[..at], &asked[at + id.len()..]);
                before.ends_with(['/', ':', '=']) && (after.is_empty() || after.starts_with(['/', '?', '#', '&']))
            };
            let stands = asked == id || asked.match_indices(&id).any(|(at, _)| is_part(at));
            assert!(stands, "another coin than was asked for");
            true
        }
        Found::Nothing | Found::Miss(_) => false,
        _ => true,
    }
}

/// What a node that joins asks, and the offer that it is shown.
pub(crate) fn joining(bytes: &[u8]) -> bool {
    let question = Question::from_bytes(bytes);
    if let Ok(question) = &question {
        assert_eq!(question.to_bytes(), bytes, "one encoding a question");
    }
    let offer = Offer::from_bytes(bytes);
    if let Ok(offer) = &offer {
        assert_eq!(offer.to_bytes(), bytes, "one encoding an offer");
        let rules = Rules::new(crate::proofs::honest_trust().genesis().clone());
        assert!(offer.clone().check(&rules).is_err(), "the honest chain has no snapshot");
    }
    question.is_ok() | offer.is_ok()
}
