//! What a node that begins from nothing asks (`/assay/state/1`), and its bytes.
//!
//! ```text
//! question = version u8 = 1 ‖ kind u8 ‖ [height u64 ‖ index u32 of a piece]        kinds: 0 offer, 1 rows, 2 leaves, 3 block
//! ```
//! The answers are an offer's and a piece's own encodings (`ledger_store::Offer`), or empty: there is nothing.

use ledger_store::{Piece, Readers, StoreError};
use ledger_types::{Decode, DecodeError, Encode, Height, Reader};
use std::sync::Mutex;

const VERSION: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// What can be begun from?
    Offer,
    /// A piece of the state after this height.
    Piece(Height, Piece),
}

impl Encode for Question {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        let (kind, of) = match self {
            Question::Offer => (0, None),
            Question::Piece(height, Piece::Rows(index)) => (1, Some((height, index))),
            Question::Piece(height, Piece::Leaves(index)) => (2, Some((height, index))),
            Question::Piece(height, Piece::Block(index)) => (3, Some((height, index))),
        };
        out.push(kind);
        if let Some((height, index)) = of {
            height.encode(out);
            index.encode(out);
        }
    }
}

impl Decode for Question {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let unknown = |field, byte| Err(DecodeError::UnknownValue { field, byte });
        match reader.read::<u8>()? {
            VERSION => {}
            byte => return unknown("version of a question", byte),
        }
        let piece: fn(u32) -> Piece = match reader.read::<u8>()? {
            0 => return Ok(Question::Offer),
            1 => Piece::Rows,
            2 => Piece::Leaves,
            3 => Piece::Block,
            byte => return unknown("kind of a question", byte),
        };
        Ok(Question::Piece(reader.read()?, piece(reader.read()?)))
    }
}

/// Answers. An offer is made once for each snapshot: one whose newest block is older proves as much.
pub struct Provider {
    readers: Readers,
    offered: Mutex<Option<(Height, Vec<u8>)>>,
}

impl Provider {
    pub fn new(readers: Readers) -> Self {
        Provider { readers, offered: Mutex::default() }
    }

    /// Empty: a question that is none, or what is not here.
    pub fn answer(&self, question: &[u8]) -> Result<Vec<u8>, StoreError> {
        let answer = match Question::from_bytes(question) {
            Ok(Question::Offer) => self.offer()?,
            Ok(Question::Piece(height, piece)) => self.readers.piece(height, piece)?,
            Err(error) => {
                tracing::debug!(%error, "a question for state is none");
                None
            }
        };
        Ok(answer.unwrap_or_default())
    }

    fn offer(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(snapshot) = self.readers.tip().ledger.snapshot else { return Ok(None) };
        let mut offered = self.offered.lock().expect("making an offer does not panic");
        if let Some((_, bytes)) = offered.as_ref().filter(|(height, _)| *height == snapshot.height) {
            return Ok(Some(bytes.clone()));
        }
        let Some(offer) = self.readers.offer()? else { return Ok(None) };
        let bytes = offer.to_bytes();
        // The newest by now, and perhaps not the one that was looked for.
        let height = offer.parts.snapshot.map_or(snapshot.height, |offered| offered.height);
        *offered = Some((height, bytes.clone()));
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_questions_are_the_golden_ones() {
        let questions = [
            (Question::Offer, "0100"),
            (Question::Piece(Height(10_000), Piece::Rows(3)), "0101102700000000000003000000"),
            (Question::Piece(Height(10_000), Piece::Leaves(258)), "0102102700000000000002010000"),
            (Question::Piece(Height(20_000), Piece::Block(127)), "0103204e0000000000007f000000"),
        ];
        for (question, golden) in questions {
            assert_eq!(hex::encode(question.to_bytes()), golden);
            assert_eq!(Question::from_bytes(&question.to_bytes()), Ok(question));
            assert!(question.to_bytes().len() <= consensus::plane::state::QUESTION_BYTES_MAX);
        }
        for malformed in
            ["", "01", "0200", "0104", "010000", "0101", "01011027000000000000030000", "010110270000000000000300000000"]
        {
            assert!(Question::from_bytes(&hex::decode(malformed).unwrap()).is_err(), "{malformed}");
        }
    }
}
