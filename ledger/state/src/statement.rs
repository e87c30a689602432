//! What a bank stated of a loan, and whether officers contradict it (K-5, K-9).
//!
//! What stays true here: what was stated, and of which loan, follows from the activation's own bytes. Officers say in which sector
//! the borrower is; of the rest they need not be believed. Validators, registration and banks ask this one function.

use contracts_vm::SectorCode;
use ledger_types::contract::{FalseStatement, StatementDispute};
use ledger_types::encoding::Decode;
use ledger_types::envelope::{ClearContext, EnvelopeHeader};
use ledger_types::{Chain, EnvelopeId, ObligationId};

/// What the public log says of the dispute. None: what it brings is no activation under its contract, or no contradiction to it.
pub fn contradiction(chain: &Chain, dispute: &StatementDispute) -> Option<FalseStatement> {
    let StatementDispute { contract, sector, basis, evidence, activation, ciphertext } = dispute;
    let core = EnvelopeHeader::from_bytes(activation).ok()?.core;
    let ClearContext::Activate(loan) = core.context else { return None };
    if core.contract != *contract || !contradict(loan.sector, *sector) {
        return None;
    }
    let id = EnvelopeId::of_parts(chain, activation, ciphertext);
    let obligation = ObligationId::of(chain, core.submitter, &id, &core.salt);
    Some(FalseStatement {
        obligation,
        contract: *contract,
        stated: loan.sector,
        found: *sector,
        basis: *basis,
        evidence: *evidence,
    })
}

/// A section says nothing against its own divisions, nor one of them against it.
fn contradict(stated: u32, found: u32) -> bool {
    let division = |code: u32| code & 0xff;
    let same_section = stated >> 8 == found >> 8;
    let agree = same_section && (division(stated) == division(found) || division(stated) == 0 || division(found) == 0);
    SectorCode(found).position().is_some() && !agree
}

#[cfg(test)]
mod tests {
    use super::contradict;

    #[test]
    fn a_section_contradicts_other_sections_and_a_division_its_neighbours() {
        let code = |text| contracts_vm::SectorCode::parse(text).unwrap().0;
        let cases = [
            ("C10", "C10", false),
            ("C10", "C11", true),
            ("C10", "A01", true),
            ("C10", "C", false),
            ("C", "C10", false),
            ("C", "A", true),
            ("C", "A01", true),
        ];
        for (stated, found, expected) in cases {
            assert_eq!(contradict(code(stated), code(found)), expected, "{stated} {found}");
        }
        // No such division: a finding that names nothing.
        assert!(!contradict(code("C10"), 0x43ff));
    }
}
