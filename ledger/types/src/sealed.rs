//! The sealed part of an envelope (E-5): what only its parties read. Fields that all coins of an envelope share stand once.
//!
//! The plaintext is this layout followed by zero bytes up to the bucket. One input and two outputs take 427 bytes without
//! a memo, so that a memo of 80 bytes still fits the 512 bucket (PROTOCOL.md, "Byte budget").

use crate::coin::{INPUTS_BY_ID_MAX, OUTPUTS_MAX, Opening};
use crate::encoding::{Decode, DecodeError, Encode, List, Octets, Reader};
use crate::envelope::Bucket;
use crate::ids::*;
use crate::keys::{PublicKey, Signature};
use crate::layout;
use crate::secret::{debug_shows_no_field, wipes_rho};

pub const MEMO_BYTES_MAX: usize = 1024;

#[derive(Clone, PartialEq, Eq)]
pub struct SealedInput {
    pub amount: Amount,
    pub owner: PublicKey,
    pub rho: [u8; 32],
    pub origin: Origin,
    pub output_index: u8,
    pub series: SeriesNumber,
    /// Who holds the coin in custody: the submitter for a spend, any bank for an input by id.
    pub bank: ParticipantNumber,
}
layout!(SealedInput { amount, owner, rho, origin, output_index, series, bank });

#[derive(Clone, PartialEq, Eq)]
pub struct SealedOutput {
    pub amount: Amount,
    pub owner: PublicKey,
    pub rho: [u8; 32],
    pub bank: ParticipantNumber,
}
layout!(SealedOutput { amount, owner, rho, bank });

/// The parts of the signed order that do not already stand elsewhere in the envelope.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedOrder {
    /// Index of the payee's output; none for a self-transfer.
    pub payee_output: Option<u8>,
    pub nonce: u64,
    pub expiry_ms: u64,
    /// One a distinct input owner, in ascending order of the owners' keys.
    pub signatures: List<Signature, 8>,
}
layout!(SealedOrder { payee_output, nonce, expiry_ms, signatures });

#[derive(Clone, PartialEq, Eq)]
pub struct SealedAcceptance {
    pub expiry_ms: u64,
    pub signature: Signature,
}
layout!(SealedAcceptance { expiry_ms, signature });

#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The terms of every coin whose flag says so; none for plain money.
    pub terms: Option<Terms>,
    pub currency: Currency,
    pub inputs: List<SealedInput, INPUTS_BY_ID_MAX>,
    /// In the header's order.
    pub outputs: List<SealedOutput, OUTPUTS_MAX>,
    pub order: Option<SealedOrder>,
    pub acceptance: Option<SealedAcceptance>,
    pub memo: Octets<MEMO_BYTES_MAX>,
}
layout!(Sealed { terms, currency, inputs, outputs, order, acceptance, memo });

debug_shows_no_field!(SealedInput, SealedOutput, SealedOrder, SealedAcceptance, Sealed);
wipes_rho!(SealedInput, SealedOutput);

impl Sealed {
    /// The opening of input `index`, of plain money.
    pub fn input_opening(&self, index: usize) -> Option<Opening> {
        let input = self.inputs.get(index)?;
        Some(Opening {
            amount: input.amount,
            currency: self.currency,
            series: input.series,
            terms: self.terms.unwrap_or_default(),
            owner: input.owner,
            rho: input.rho,
        })
    }

    /// The inputs' common series, else 0 (C-4). An issue has no inputs: its series is the clear context's.
    pub fn common_series(&self) -> SeriesNumber {
        match self.inputs.split_first() {
            Some((first, rest)) if rest.iter().all(|input| input.series == first.series) => first.series,
            _ => SeriesNumber(0),
        }
    }

    /// The opening of output `index`, of the envelope's series and with terms if the header's flag says so.
    pub fn output_opening(&self, index: usize, series: SeriesNumber, has_terms: bool) -> Option<Opening> {
        let output = self.outputs.get(index)?;
        Some(Opening {
            amount: output.amount,
            currency: self.currency,
            series,
            terms: if has_terms { self.terms.unwrap_or_default() } else { Terms::ZERO },
            owner: output.owner,
            rho: output.rho,
        })
    }

    /// Encoded and padded with zeros to the bucket; `None` when it does not fit.
    pub fn padded(&self, bucket: Bucket) -> Option<Vec<u8>> {
        let mut bytes = self.to_bytes();
        if bytes.len() > bucket.plaintext_bytes() {
            return None;
        }
        bytes.resize(bucket.plaintext_bytes(), 0);
        Some(bytes)
    }

    pub fn from_padded(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let sealed = Sealed::decode(&mut reader)?;
        if reader.take(reader.remaining())?.iter().any(|byte| *byte != 0) {
            return Err(DecodeError::NotCanonical("padding"));
        }
        Ok(sealed)
    }
}
