//! A bundle's bytes as they come in: the body is buffered only after its head was found good.
//!
//! The head names submitter, slot and length, and the submitter's signature covers it. So the memory that unsigned requests can
//! take is that of a head; what signed ones take is bounded in all and for each submitter.

use super::refusal::{Refusal, bad_request, overloaded, too_large};
use axum::body::Body;
use consensus::plane::wire::{BUNDLE_PREFIX_BYTES, bundle_prefix};
use futures::StreamExt;
use ledger_types::ParticipantNumber;
use ledger_types::bundle::{BUNDLE_BYTES_MAX, BundleHeader};
use ledger_types::keys::Signature;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Eight bundles of the largest size.
const IN_FLIGHT_BYTES_MAX: usize = 32 << 20;
/// Half of it: a submitter that holds its bodies back does not stop the others.
const OF_ONE_BYTES_MAX: usize = 16 << 20;

/// Bytes of bundles that are being received, parsed or stored.
#[derive(Default)]
pub(super) struct InFlight(Mutex<BTreeMap<ParticipantNumber, usize>>);

impl InFlight {
    fn reserve(self: &Arc<Self>, submitter: ParticipantNumber, bytes: usize) -> Result<Reserved, Refusal> {
        let mut of = self.0.lock().expect("no holder of the counts panics");
        let (all, of_one) = (of.values().sum::<usize>(), of.get(&submitter).copied().unwrap_or_default());
        if all + bytes > IN_FLIGHT_BYTES_MAX || of_one + bytes > OF_ONE_BYTES_MAX {
            return Err(overloaded("as many bytes of bundles are under way as this node takes at once"));
        }
        *of.entry(submitter).or_default() += bytes;
        Ok(Reserved { in_flight: self.clone(), submitter, bytes })
    }
}

/// Gives its bytes back when it is dropped.
pub(super) struct Reserved {
    in_flight: Arc<InFlight>,
    submitter: ParticipantNumber,
    bytes: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut of = self.in_flight.0.lock().expect("no holder of the counts panics");
        if let Some(bytes) = of.get_mut(&self.submitter) {
            *bytes -= self.bytes;
            if *bytes == 0 {
                of.remove(&self.submitter);
            }
        }
    }
}

fn malformed(detail: impl Into<String>) -> Refusal {
    bad_request("malformed", detail)
}

/// The whole bundle, unparsed. `admits` judges the head before anything behind it is kept.
pub(super) async fn receive(
    body: Body,
    length: Option<u64>,
    in_flight: &Arc<InFlight>,
    admits: impl FnOnce(&BundleHeader, &Signature) -> Result<(), Refusal>,
) -> Result<(Vec<u8>, Reserved), Refusal> {
    let longest = BUNDLE_PREFIX_BYTES + BUNDLE_BYTES_MAX;
    let too_long = || too_large("body_too_large", format!("a bundle has at most {longest} bytes"));
    if length.is_some_and(|length| length > longest as u64) {
        return Err(too_long());
    }
    let mut stream = body.into_data_stream();
    let mut bytes: Vec<u8> = Vec::with_capacity(BUNDLE_PREFIX_BYTES);
    let mut next = async |bytes: &mut Vec<u8>| match stream.next().await {
        Some(Ok(chunk)) => {
            bytes.extend_from_slice(&chunk);
            Ok(true)
        }
        Some(Err(error)) => Err(bad_request("body_unreadable", error.to_string())),
        None => Ok(false),
    };
    while bytes.len() < BUNDLE_PREFIX_BYTES {
        if !next(&mut bytes).await? {
            return Err(malformed(format!("a bundle's head has {BUNDLE_PREFIX_BYTES} bytes")));
        }
    }
    let (header, signature) = bundle_prefix(&bytes).map_err(|error| malformed(error.to_string()))?;
    if header.bytes as usize > BUNDLE_BYTES_MAX {
        return Err(too_long());
    }
    let whole = BUNDLE_PREFIX_BYTES + header.bytes as usize;
    let disagrees = || malformed(format!("by its header the bundle has {whole} bytes"));
    if length.is_some_and(|length| length != whole as u64) || bytes.len() > whole {
        return Err(disagrees());
    }
    admits(&header, &signature)?;
    let reserved = in_flight.reserve(header.slot.submitter, whole)?;
    bytes.reserve_exact(whole - bytes.len());
    while bytes.len() < whole {
        if !next(&mut bytes).await? {
            return Err(disagrees());
        }
        if bytes.len() > whole {
            return Err(disagrees());
        }
    }
    // A body without a declared length may go on: its end is part of the form.
    if next(&mut bytes).await? && bytes.len() > whole {
        return Err(disagrees());
    }
    Ok((bytes, reserved))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use ledger_types::bundle::Slot;
    use ledger_types::{Encode, MerkleRoot};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn head(submitter: u16, bytes: u32) -> Vec<u8> {
        let slot = Slot { submitter: ParticipantNumber(submitter), incarnation: 0, sequence: 0 };
        let header = BundleHeader { slot, count: 1, bytes, ids_root: MerkleRoot([0; 32]) };
        [header.to_bytes(), vec![0; 64]].concat()
    }

    /// `pieces`, and how many of them were asked for.
    fn body(pieces: Vec<Vec<u8>>) -> (Body, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let stream = futures::stream::iter(pieces.into_iter().map(move |piece| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok::<_, std::io::Error>(Bytes::from(piece))
        }));
        (Body::from_stream(stream), asked)
    }

    async fn code(body: Body, length: Option<u64>, in_flight: &Arc<InFlight>, admits: bool) -> Result<usize, String> {
        let judge = |_: &BundleHeader, _: &Signature| match admits {
            true => Ok(()),
            false => Err(bad_request("bundle_signature", "")),
        };
        let received = receive(body, length, in_flight, judge).await;
        received.map(|(bytes, _)| bytes.len()).map_err(|refusal| refusal.0.code)
    }

    #[tokio::test]
    async fn nothing_behind_a_head_is_read_before_the_head_is_good() {
        let in_flight = Arc::new(InFlight::default());
        let pieces = || vec![head(2, 300), vec![1; 100], vec![1; 100], vec![1; 100]];
        let (unsigned, asked) = body(pieces());
        assert_eq!(code(unsigned, None, &in_flight, false).await, Err("bundle_signature".into()));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let (signed, asked) = body(pieces());
        assert_eq!(code(signed, Some(416), &in_flight, true).await, Ok(416));
        assert_eq!(asked.load(Ordering::SeqCst), 4);
        assert!(in_flight.0.lock().unwrap().is_empty(), "given back");
    }

    #[tokio::test]
    async fn a_body_that_is_not_what_its_head_says_is_refused() {
        let in_flight = Arc::new(InFlight::default());
        let long = (BUNDLE_PREFIX_BYTES + BUNDLE_BYTES_MAX) as u64 + 1;
        let refused = [
            (body(vec![]), None, "malformed"),
            (body(vec![vec![0; 115]]), None, "malformed"),
            (body(vec![head(2, 300), vec![1; 299]]), None, "malformed"),
            (body(vec![head(2, 300), vec![1; 301]]), None, "malformed"),
            (body(vec![head(2, 300), vec![1; 300], vec![1]]), None, "malformed"),
            (body(vec![head(2, 300), vec![1; 300]]), Some(417), "malformed"),
            (body(vec![head(2, BUNDLE_BYTES_MAX as u32 + 1)]), None, "body_too_large"),
            (body(vec![]), Some(long), "body_too_large"),
        ];
        for (number, ((body, _), length, expected)) in refused.into_iter().enumerate() {
            assert_eq!(code(body, length, &in_flight, true).await, Err(expected.into()), "case {number}");
        }
        assert!(in_flight.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_submitter_that_holds_its_bodies_back_leaves_room_for_others() {
        let in_flight = Arc::new(InFlight::default());
        let held: Vec<_> = (0..4).map(|_| in_flight.reserve(ParticipantNumber(2), 4 << 20).unwrap()).collect();
        let (one, asked) = body(vec![head(2, 300), vec![1; 300]]);
        assert_eq!(code(one, None, &in_flight, true).await, Err("overloaded".into()));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let (others, _) = body(vec![head(3, 300), vec![1; 300]]);
        assert_eq!(code(others, None, &in_flight, true).await, Ok(416));
        drop(held);
        let (again, _) = body(vec![head(2, 300), vec![1; 300]]);
        assert_eq!(code(again, None, &in_flight, true).await, Ok(416));
    }
}
