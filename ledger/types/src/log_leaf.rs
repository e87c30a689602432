//! What is written into the public log (L-1): one leaf a confirmed record, and one state leaf at the end of each block that
//! accepted batches. Leaves are hashed by RFC 6962 with SHA-256.

use crate::confirmation::{Overdue, Record};
use crate::contract::{ContractEvent, FalseStatement, Receipt};
use crate::encoding::{Decode, DecodeError, Encode, Reader};
use crate::envelope::RecoverReason;
use crate::feed::{FeedDefinition, FeedItem};
use crate::ids::*;
use crate::layout;
use crate::request::OfficerRequest;
use crate::rules::RulesOrder;

/// The last leaf of a block with accepted batches; a checkpoint's size always ends on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLeaf {
    /// Number of the last accepted batch.
    pub batch: BatchNumber,
    pub height: Height,
    pub time_ms: u64,
    /// Root of the map after that block.
    pub map_root: TreeRoot,
    /// The validators that cosign at this size.
    pub set_hash: ValidatorSetHash,
    /// Totals over all series, in minor units.
    pub issued: u128,
    pub redeemed: u128,
}
layout!(StateLeaf { batch, height, time_ms, map_root, set_hash, issued, redeemed });

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogLeaf {
    Record {
        coin: CoinId,
        record: Record,
    },
    Overdue(Overdue),
    Cleared(Overdue),
    /// Officers recovered coins by this envelope.
    Recovered {
        envelope: EnvelopeId,
        reason: RecoverReason,
        inputs: u16,
    },
    /// The hash of all directory lines after officers changed one.
    Participants(ParticipantsHash),
    /// Officers ordered a hand-over (G-3): D("validator set") of the incoming set.
    HandOver(ValidatorSetHash),
    State(StateLeaf),
    /// Officers asked to open, freeze or let go a coin.
    Request(OfficerRequest),
    /// Officers deployed, stopped or retired a contract.
    Contract(ContractEvent),
    /// Officers registered a feed, or who may publish it.
    Feed(FeedDefinition),
    FeedItem(FeedItem),
    /// A loan was returned (K-2).
    Receipt(Receipt),
    /// What a bank stated of a loan is false (K-9).
    FalseStatement(FalseStatement),
    /// Officers ordered another version of the rules (B-13).
    Rules(RulesOrder),
}

impl Encode for LogLeaf {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            LogLeaf::Record { coin, record } => {
                out.push(1);
                coin.encode(out);
                record.encode(out);
            }
            LogLeaf::Overdue(overdue) => {
                out.push(2);
                overdue.encode(out);
            }
            LogLeaf::Cleared(overdue) => {
                out.push(3);
                overdue.encode(out);
            }
            LogLeaf::Recovered { envelope, reason, inputs } => {
                out.push(4);
                envelope.encode(out);
                reason.encode(out);
                inputs.encode(out);
            }
            LogLeaf::Participants(hash) => {
                out.push(5);
                hash.encode(out);
            }
            LogLeaf::HandOver(hash) => {
                out.push(6);
                hash.encode(out);
            }
            LogLeaf::State(leaf) => {
                out.push(7);
                leaf.encode(out);
            }
            LogLeaf::Request(request) => {
                out.push(8);
                request.encode(out);
            }
            LogLeaf::Contract(event) => {
                out.push(9);
                event.encode(out);
            }
            LogLeaf::Feed(definition) => {
                out.push(10);
                definition.encode(out);
            }
            LogLeaf::FeedItem(item) => {
                out.push(11);
                item.encode(out);
            }
            LogLeaf::Receipt(receipt) => {
                out.push(12);
                receipt.encode(out);
            }
            LogLeaf::FalseStatement(statement) => {
                out.push(13);
                statement.encode(out);
            }
            LogLeaf::Rules(order) => {
                out.push(14);
                order.encode(out);
            }
        }
    }
}

impl Decode for LogLeaf {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.read::<u8>()? {
            1 => LogLeaf::Record { coin: reader.read()?, record: reader.read()? },
            2 => LogLeaf::Overdue(reader.read()?),
            3 => LogLeaf::Cleared(reader.read()?),
            4 => LogLeaf::Recovered { envelope: reader.read()?, reason: reader.read()?, inputs: reader.read()? },
            5 => LogLeaf::Participants(reader.read()?),
            6 => LogLeaf::HandOver(reader.read()?),
            7 => LogLeaf::State(reader.read()?),
            8 => LogLeaf::Request(reader.read()?),
            9 => LogLeaf::Contract(reader.read()?),
            10 => LogLeaf::Feed(reader.read()?),
            11 => LogLeaf::FeedItem(reader.read()?),
            12 => LogLeaf::Receipt(reader.read()?),
            13 => LogLeaf::FalseStatement(reader.read()?),
            14 => LogLeaf::Rules(reader.read()?),
            byte => return Err(DecodeError::UnknownValue { field: "log leaf", byte }),
        })
    }
}
