//! What travels on a link, and its bytes: bincode with fixed-width integers, a limit, and no leftovers.
//!
//! ```text
//! frame = length u32 LE ‖ bincode(Call | Reply)
//! ```
//! Nouns of the ledger stand inside as their canonical bytes.

use crate::reconciliation::wire::{Answer, Question};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::io;
use std::time::Duration;

/// A bundle of 4 MiB and its header.
pub const FRAME_BYTES_MAX: usize = (4 << 20) + 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A signed epoch offer (E-2) → `EpochAcked`.
    OfferEpoch { offer: Vec<u8> },
    /// Where to pay `amount` to `wallet` → `Invoice`. The same `nonce` gives the same invoice.
    Invoice { wallet: String, amount: u64, nonce: [u8; 16] },
    /// Accept this order's payment (E-6) → `Accepted` with one coin. The same order gives the same answer.
    Accept { order: Vec<u8>, signatures: Vec<Vec<u8>>, input_owners: Vec<[u8; 32]>, series: u32, invoice: [u8; 32] },
    /// Accept an issue into the vault → `Accepted` with one coin for each amount. The same issue gives the same answer. `contract` and
    /// `terms` are zero for plain money.
    AcceptIssue { series: u32, issue_number: u64, contract: u32, terms: [u8; 32], amounts: Vec<u64> },
    /// Has the payment in this envelope been opened and found good? → `Success`, at the latest after `wait_ms`.
    AwaitSuccess { envelope: [u8; 32], wait_ms: u32 },
    /// The central bank asks for a coin's opening to recover it → `Opening`.
    OpeningFor { coin: [u8; 32] },
    /// Registration takes released keys with cursors above `after` → `Releases`, waiting at most `wait_ms` for the first.
    TakeReleases { after: u64, max: u32, wait_ms: u32 },
    /// Registration has these durably; the bank destroys them → `Done`.
    AckReleases { up_to: u64 },
    /// Registration follows blocks from its own validator → `Blocks`, waiting at most `wait_ms` for the first.
    FollowBlocks { from: u64, max: u32, wait_ms: u32 },
    /// One bundle of a block → `Bundle`.
    Bundle { digest: [u8; 32] },
    /// Registration reconciles with the bank (R-7) → `Reconcile`.
    Reconcile(Question),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    Refused(LinkRefusal),
    EpochAcked { signature: Vec<u8> },
    Invoice(Invoice),
    Accepted { coins: Vec<AcceptedCoin>, expiry_ms: u64, signature: Vec<u8> },
    Success(SuccessState),
    Opening { opening: Vec<u8>, origin: [u8; 32], output_index: u8 },
    Releases(Vec<Release>),
    Blocks(Vec<BlockDocument>),
    Bundle(Vec<u8>),
    Done,
    Reconcile(Answer),
}

/// Numbered nowhere on the ledger: a link's refusal is between two banks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct LinkRefusal {
    pub code: String,
    pub detail: String,
}

/// What of another process's refusal is kept.
const CODE_CHARACTERS_MAX: usize = 64;
const DETAIL_CHARACTERS_MAX: usize = 256;

impl LinkRefusal {
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        LinkRefusal { code: code.into(), detail: detail.into() }
    }

    /// As much of another's words as is kept and shown.
    pub fn cut_short(self) -> Self {
        let cut = |text: String, characters| text.chars().take(characters).collect();
        LinkRefusal { code: cut(self.code, CODE_CHARACTERS_MAX), detail: cut(self.detail, DETAIL_CHARACTERS_MAX) }
    }
}

/// A key made for this one payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    pub id: [u8; 32],
    pub owner: [u8; 32],
}

/// What the receiving bank adds to a coin that it accepts: its owner and its randomness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedCoin {
    pub owner: [u8; 32],
    pub rho: [u8; 32],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SuccessState {
    NotYet,
    Good,
    /// The number of the failed check (rules P).
    NotGood(u16),
}

/// The key of one envelope.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub cursor: u64,
    pub envelope: [u8; 32],
    pub root: [u8; 32],
}

impl std::fmt::Debug for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Release({}, {})", self.cursor, hex::encode(&self.envelope[..6]))
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.root);
    }
}

/// A decided height without its bundles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockDocument {
    pub block: Vec<u8>,
    pub certificate: Vec<u8>,
    /// One code an item, in order; the header's results root proves them.
    pub codes: Vec<u16>,
    /// The canonical hand-over (10.6) that this block decides, if it is the last of its set.
    pub hand_over: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    pub id: u64,
    pub request: Request,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    pub id: u64,
    pub response: Response,
}

fn bytes_config() -> impl bincode::config::Config {
    bincode::config::standard().with_fixed_int_encoding().with_little_endian().with_limit::<FRAME_BYTES_MAX>()
}

pub fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0u8; 4];
    bincode::serde::encode_into_std_write(value, &mut frame, bytes_config()).map_err(io::Error::other)?;
    let length = frame.len() - 4;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::other(format!("a frame of {length} bytes exceeds {FRAME_BYTES_MAX}")));
    }
    frame[..4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(frame)
}

pub fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    let invalid = |cause: String| io::Error::new(io::ErrorKind::InvalidData, cause);
    let (value, read) =
        bincode::serde::decode_from_slice(body, bytes_config()).map_err(|error| invalid(error.to_string()))?;
    if read != body.len() {
        return Err(invalid(format!("{} bytes are left over", body.len() - read)));
    }
    Ok(value)
}

pub(super) async fn read_frame<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let mut length = [0u8; 4];
    stream.read_exact(&mut length).await?;
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes is too long")));
    }
    let mut body = vec![0u8; length];
    stream.read_exact(&mut body).await?;
    decode(&body)
}

/// `io`, or an error after `limit`: a peer that takes nothing must not hold what waits behind it.
pub(super) async fn within(limit: Duration, io: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::time::timeout(limit, io).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

pub(super) async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> io::Result<()> {
    stream.write_all(&encode(value)?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_anothers_refusal_as_much_is_kept_as_is_shown() {
        let long = LinkRefusal::new(&"银".repeat(100_000), "行".repeat(100_000)).cut_short();
        assert_eq!((long.code.chars().count(), long.detail.chars().count()), (64, 256));
        let short = LinkRefusal::new("busy", "later");
        assert_eq!(short.clone().cut_short(), short);
    }

    #[test]
    fn frames_keep_their_bytes() {
        let call = Call { id: 7, request: Request::TakeReleases { after: 3, max: 2, wait_ms: 1 } };
        assert_eq!(
            hex::encode(encode(&call).unwrap()),
            concat!("1c000000", "0700000000000000", "06000000", "0300000000000000", "02000000", "01000000")
        );
        let reply = Reply { id: 7, response: Response::Invoice(Invoice { id: [1; 32], owner: [2; 32] }) };
        let expected = format!("4c000000{}{}{}{}", "0700000000000000", "02000000", "01".repeat(32), "02".repeat(32));
        assert_eq!(hex::encode(encode(&reply).unwrap()), expected);
    }

    #[test]
    fn leftovers_and_lengths_beyond_the_limit_are_refused() {
        let mut frame = encode(&Call { id: 1, request: Request::AckReleases { up_to: 9 } }).unwrap();
        assert!(decode::<Call>(&frame[4..]).is_ok());
        frame.push(0);
        assert!(decode::<Call>(&frame[4..]).is_err());
        // A length of 2^60 in the list of amounts: refused before it is allocated.
        let mut call = encode(&Call {
            id: 1,
            request: Request::AcceptIssue { series: 1, issue_number: 0, amounts: vec![], contract: 0, terms: [0; 32] },
        })
        .unwrap();
        let at = call.len() - 8;
        call[at..].copy_from_slice(&(1u64 << 60).to_le_bytes());
        assert!(decode::<Call>(&call[4..]).is_err());
    }
}
