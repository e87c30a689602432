//! Evidence as it is kept on disk: two conflicting signed messages of one validator.

use ledger_types::{Height, Octets, ParticipantNumber, Text, layout};

/// Votes, proposals and bundle headers take a few hundred bytes; what is longer is cut, for the message's start names it.
const MESSAGE_BYTES_MAX: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvidence {
    pub validator: ParticipantNumber,
    pub height: Height,
    pub what: Text<64>,
    pub first: Octets<MESSAGE_BYTES_MAX>,
    pub second: Octets<MESSAGE_BYTES_MAX>,
}
layout!(StoredEvidence { validator, height, what, first, second });

impl StoredEvidence {
    pub fn new(evidence: &consensus::port::Evidence) -> Self {
        let cut = |bytes: &[u8]| {
            Octets::new(bytes[..bytes.len().min(MESSAGE_BYTES_MAX)].to_vec()).expect("cut to the maximum")
        };
        StoredEvidence {
            validator: evidence.validator,
            height: evidence.height,
            what: Text::new(&evidence.what).unwrap_or_default(),
            first: cut(&evidence.first),
            second: cut(&evidence.second),
        }
    }
}
