//! Blocks that a quorum decided (B-1, B-2): one alone, a run of them from the genesis, and the verdict on one envelope.

use crate::trust::Trust;
use crate::verdict::{Reason, Verdict, power_or_reason, quorum_of};
use ledger_types::block::{Acknowledgement, BlockHeader, EnvelopeResult, genesis_block_hash};
use ledger_types::merkle;
use ledger_types::rules::RULES_KNOWN;
use ledger_types::vote::CommitCertificate;
use ledger_types::{BlockHash, EnvelopeId, Height, RulesVersion};

/// A header that a quorum of the trusted set decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBlock {
    hash: BlockHash,
    header: BlockHeader,
}

impl VerifiedBlock {
    pub fn hash(&self) -> BlockHash {
        self.hash
    }

    pub fn header(&self) -> &BlockHeader {
        &self.header
    }
}

/// A header and its commit certificate. By itself it proves the order of its bundles, not that any envelope in them was
/// accepted (B-2).
pub fn verify_block(trust: &Trust, header: &BlockHeader, certificate: &CommitCertificate) -> Verdict<VerifiedBlock> {
    check_block(trust, header, certificate).map(|decided| decided.judge(trust)).into()
}

/// Headers in a row, each decided: the first follows `after`, or the genesis. The last is returned.
///
/// All are of one validator set; where a set is handed over, the run ends and [`crate::HandOver`] leads on.
pub fn verify_segment(
    trust: &Trust,
    after: Option<&VerifiedBlock>,
    blocks: &[(BlockHeader, CommitCertificate)],
) -> Verdict<VerifiedBlock> {
    let mut last = after.cloned();
    let mut too_little = None;
    for (header, certificate) in blocks {
        let decided =
            match check_link(trust, last.as_ref(), header).and_then(|()| check_block(trust, header, certificate)) {
                Ok(decided) => decided,
                Err(reason) => return Verdict::Invalid(reason),
            };
        // Judged last: a reason further on outweighs a lack of power here.
        too_little = too_little.or(decided.power_short_of_a_quorum);
        last = Some(decided.block);
    }
    match (last, too_little) {
        (_, Some(have)) => not_enough(trust, have),
        (Some(block), None) => Verdict::Verified(block),
        (None, None) => Verdict::Invalid(Reason::BrokenChain),
    }
}

/// An envelope that the ledger accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedEnvelope {
    envelope: EnvelopeId,
    height: Height,
    time_ms: u64,
}

impl AcceptedEnvelope {
    pub fn envelope(&self) -> EnvelopeId {
        self.envelope
    }

    pub fn height(&self) -> Height {
        self.height
    }

    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }
}

/// B-2. `index` and `count` say how to walk the path; what is proved is that this verdict lies under the results root.
pub fn verify_acknowledgement(trust: &Trust, acknowledgement: &Acknowledgement) -> Verdict<AcceptedEnvelope> {
    let Acknowledgement { header, certificate, result, index, count, path } = acknowledgement;
    let checked = check_block(trust, header, certificate).and_then(|decided| {
        let path: Vec<[u8; 32]> = path.iter().map(|node| node.0).collect();
        let leaf = result.leaf(trust.chain());
        let root = &header.results_root;
        if !merkle::path_is_valid(trust.chain(), root, &leaf, (*index).into(), (*count).into(), &path) {
            return Err(Reason::WrongResult);
        }
        if result.code != EnvelopeResult::ACCEPTED {
            return Err(Reason::EnvelopeRefused);
        }
        let (height, time_ms) = (header.height, header.time_ms);
        Ok(decided.judge(trust).map(|_| AcceptedEnvelope { envelope: result.envelope, height, time_ms }))
    });
    checked.into()
}

/// A block whose certificate has no fault; it may lack power.
pub(crate) struct CheckedBlock {
    pub block: VerifiedBlock,
    pub power_short_of_a_quorum: Option<u64>,
}

impl CheckedBlock {
    pub fn judge(self, trust: &Trust) -> Verdict<VerifiedBlock> {
        match self.power_short_of_a_quorum {
            Some(have) => not_enough(trust, have),
            None => Verdict::Verified(self.block),
        }
    }
}

pub(crate) fn check_block(
    trust: &Trust,
    header: &BlockHeader,
    certificate: &CommitCertificate,
) -> Result<CheckedBlock, Reason> {
    let hash = header.hash(trust.chain());
    let is_its_certificate = certificate.block == hash && certificate.height == header.height;
    if header.version < RulesVersion::GENESIS || !is_its_certificate {
        return Err(Reason::WrongBlock);
    }
    // The block that named the trusted set was still decided by the set before.
    if header.height <= trust.set_since() {
        return Err(Reason::WrongSet);
    }
    let power_short_of_a_quorum = power_or_reason(certificate.verify(trust.chain(), trust.validators()))?;
    if header.version > RULES_KNOWN {
        return Err(newer_rules(power_short_of_a_quorum)); // B-13
    }
    Ok(CheckedBlock { block: VerifiedBlock { hash, header: header.clone() }, power_short_of_a_quorum })
}

/// Of a header whose certificate has no fault. A quorum alone can tell a reader that his program is older than the ledger's rules: a
/// server that says so by itself, to have him install another one, is refused as any that shows a block which nobody decided.
fn newer_rules(power_short_of_a_quorum: Option<u64>) -> Reason {
    match power_short_of_a_quorum {
        None => Reason::UnknownRules,
        Some(_) => Reason::WrongBlock,
    }
}

fn check_link(trust: &Trust, last: Option<&VerifiedBlock>, header: &BlockHeader) -> Result<(), Reason> {
    let (height, parent, time_ms) = match last {
        Some(last) => (last.header.height.next(), last.hash, last.header.time_ms),
        None => (Height::GENESIS.next(), genesis_block_hash(trust.chain()), trust.genesis().time_ms),
    };
    // B-5: block time grows strictly.
    if header.height != height || header.parent != parent || header.time_ms <= time_ms {
        return Err(Reason::BrokenChain);
    }
    if let Some(last) = last { trust.stands_at(&last.header.next_set_hash) } else { Ok(()) }
}

fn not_enough<T>(trust: &Trust, have: u64) -> Verdict<T> {
    Verdict::NotEnoughPower { have, need: quorum_of(trust.validators().total_power()) }
}
