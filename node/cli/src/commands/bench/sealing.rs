//! Envelopes of one's own making, sealed under an epoch that nobody else was offered.
//!
//! The ledger cannot tell: validators see the public half alone. So these envelopes measure ordering, or show what stands
//! against a bank that cheats; their sealed parts hold no valid signature, and only their maker could open them.

use crate::outcome::Failure;
use ledger_seal::{BankSecret, Draft, EpochId, SendingEpoch, seal};
use ledger_types::coin::{Opening, coin_id, coin_link, issue_origin, origin};
use ledger_types::envelope::{ClearContext, Envelope, Inputs, Output, Spend, TermsFlag};
use ledger_types::genesis::{Genesis, Preissue};
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::sealed::{Sealed, SealedAcceptance, SealedInput, SealedOrder, SealedOutput};
use ledger_types::{
    Amount, Chain, CoinId, ContractNumber, Currency, Encode, List, Note, Octets, Origin, ParticipantNumber, Terms,
};
use rand::rngs::{OsRng, StdRng};
use rand::{RngCore, SeedableRng};

/// A coin to spend, as its holder knows it.
pub struct OwnCoin {
    pub opening: Opening,
    pub origin: Origin,
    pub output_index: u8,
}

/// The genesis's coins of one bank, derived when they are used.
pub struct PreissuedCoins {
    chain: Chain,
    currency: Currency,
    line: Preissue,
    first_issue_number: u64,
}

impl PreissuedCoins {
    pub fn of(genesis: &Genesis, bank: ParticipantNumber) -> Option<Self> {
        let at = genesis.preissues.iter().position(|line| line.bank == bank)?;
        let line = genesis.preissues[at].clone();
        let first_issue_number = first_issue_number(&genesis.preissues, at);
        Some(PreissuedCoins { chain: genesis.chain(), currency: genesis.currency, line, first_issue_number })
    }

    pub fn amount(&self) -> u64 {
        self.line.amount.0
    }

    pub fn owner(&self) -> PublicKey {
        self.line.owner
    }

    pub fn coin(&self, index: u32) -> OwnCoin {
        OwnCoin {
            opening: self.line.opening(&self.chain, self.currency, index),
            origin: issue_origin(&self.chain, self.line.series, self.first_issue_number + u64::from(index)),
            output_index: 0,
        }
    }
}

/// Issue numbers run densely over the lines of a series, in the genesis's order (C-1).
fn first_issue_number(lines: &[Preissue], at: usize) -> u64 {
    let before = lines[..at].iter().filter(|line| line.series == lines[at].series);
    before.map(|line| u64::from(line.count)).sum()
}

/// A coin to make.
#[derive(Clone, Copy)]
pub struct NewCoin {
    pub amount: u64,
    pub bank: ParticipantNumber,
    pub owner: PublicKey,
}

/// Seals in one bank's name.
pub struct Sealer {
    chain: Chain,
    currency: Currency,
    me: ParticipantNumber,
    epoch: SendingEpoch,
    secret: BankSecret,
    rng: StdRng,
}

/// An envelope and what its maker knows of the coins that it makes, in the header's order.
pub struct Made {
    pub envelope: Envelope,
    pub coins: Vec<(CoinId, OwnCoin)>,
}

impl Sealer {
    /// `members` are the banks of all outputs and the submitter, ascending.
    pub fn new(genesis: &Genesis, me: ParticipantNumber, members: &[ParticipantNumber]) -> Result<Self, Failure> {
        let mut rng = StdRng::from_rng(OsRng).map_err(|error| Failure::usage(format!("no randomness: {error}")))?;
        let mut random = || {
            let mut bytes = [0u8; 32];
            rng.fill_bytes(&mut bytes);
            bytes
        };
        let (secret, offer, key) = (BankSecret::from_bytes(random()), random(), random());
        // An epoch's stored record: version, id, members, not after, hash of the offer, key. This one was never offered.
        let mut record = vec![1];
        EpochId { sender: me, number: 0 }.encode(&mut record);
        (members.len() as u16).encode(&mut record);
        members.iter().for_each(|member| member.encode(&mut record));
        u64::MAX.encode(&mut record);
        offer.encode(&mut record);
        key.encode(&mut record);
        let epoch = SendingEpoch::resume(&record, u64::MAX, 0, None)
            .map_err(|error| Failure::usage(format!("these members make no channel: {error}")))?;
        Ok(Sealer { chain: genesis.chain(), currency: genesis.currency, me, epoch, secret, rng })
    }

    /// A transfer of one coin into `outputs`; the first is the payee's. That the values add up is the caller's choice.
    pub fn transfer(&mut self, spent: &OwnCoin, outputs: &[NewCoin], expiry_ms: u64) -> Result<Made, Failure> {
        let refuse = |cause: &dyn std::fmt::Display| Failure::usage(format!("cannot seal: {cause}"));
        let chain = self.chain;
        let link = coin_link(&chain, &spent.origin, spent.output_index, &spent.opening.note(&chain));
        let input = coin_id(&chain, &link, &spent.opening.custody(&chain, self.me));
        let origin = origin(&chain, &[input]);
        let mut made: Vec<(Note, Opening, ParticipantNumber, bool)> = Vec::with_capacity(outputs.len());
        for (index, output) in outputs.iter().enumerate() {
            let mut rho = [0; 32];
            self.rng.fill_bytes(&mut rho);
            let opening = Opening {
                amount: Amount(output.amount),
                currency: self.currency,
                series: spent.opening.series,
                terms: Terms::ZERO,
                owner: output.owner,
                rho,
            };
            made.push((opening.note(&chain), opening, output.bank, index == 0));
        }
        made.sort_by_key(|(note, ..)| *note);
        let payee = made.iter().position(|(.., is_payee)| *is_payee).and_then(|place| u8::try_from(place).ok());
        let header_outputs = made.iter().map(|(note, opening, bank, _)| Output {
            note: *note,
            custody: opening.custody(&chain, *bank),
            terms_flag: TermsFlag::Plain,
        });
        let header_outputs: Vec<Output> = header_outputs.collect();
        let sealed_outputs = made.iter().map(|(_, opening, bank, _)| SealedOutput {
            amount: opening.amount,
            owner: opening.owner,
            rho: opening.rho,
            bank: *bank,
        });
        let sealed = Sealed {
            terms: None,
            currency: self.currency,
            inputs: List::new(vec![SealedInput {
                amount: spent.opening.amount,
                owner: spent.opening.owner,
                rho: spent.opening.rho,
                origin: spent.origin,
                output_index: spent.output_index,
                series: spent.opening.series,
                bank: self.me,
            }])
            .map_err(|error| refuse(&error))?,
            outputs: List::new(sealed_outputs.collect()).map_err(|error| refuse(&error))?,
            // As long as real ones, and signed by nobody.
            order: Some(SealedOrder {
                payee_output: payee,
                nonce: self.rng.next_u64(),
                expiry_ms,
                signatures: List::new(vec![Signature([0; 64])]).map_err(|error| refuse(&error))?,
            }),
            acceptance: Some(SealedAcceptance { expiry_ms, signature: Signature([0; 64]) }),
            memo: Octets::new(Vec::new()).map_err(|error| refuse(&error))?,
        };
        let draft = Draft {
            inputs: Inputs::Spends(
                List::new(vec![Spend { link, kappa: spent.opening.kappa(&chain) }]).map_err(|error| refuse(&error))?,
            ),
            outputs: List::new(header_outputs).map_err(|error| refuse(&error))?,
            contract: ContractNumber(0),
            expiry_ms,
            context: ClearContext::Transfer,
        };
        // Nothing is stored: the epoch ends with this process, so no counter can come twice.
        if let Some(reservation) = self.epoch.reserve() {
            self.epoch.confirm(reservation);
        }
        let slot = self.epoch.next_slot(0).map_err(|error| refuse(&error))?;
        self.epoch.note_ordered(slot.counter());
        let (envelope, _root) =
            seal(&chain, slot, draft, &sealed, &self.secret, &mut self.rng).map_err(|error| refuse(&error))?;
        let coins = made.into_iter().zip(0u8..).map(|((_, opening, bank, _), output_index)| {
            let id = opening.coin_id(&chain, &origin, output_index, bank);
            (id, OwnCoin { opening, origin, output_index })
        });
        Ok(Made { envelope, coins: coins.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::SeriesNumber;

    #[test]
    fn issue_numbers_run_over_the_lines_of_each_series() {
        let line = |series, bank, count| Preissue {
            series: SeriesNumber(series),
            seed: [7; 32],
            bank: ParticipantNumber(bank),
            owner: PublicKey([1; 32]),
            amount: Amount(5),
            count,
        };
        let lines = [line(1, 2, 10), line(2, 3, 20), line(1, 4, 30), line(1, 5, 1)];
        let firsts: Vec<u64> = (0..4).map(|at| first_issue_number(&lines, at)).collect();
        assert_eq!(firsts, [0, 0, 10, 40]);
    }
}
