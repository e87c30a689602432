//! Every bound of every list, byte string and text is refused by name, and what is called the largest fits where it must.

use crate::any::{Any, Gen};
use crate::fixture::{self, *};
use ledger_types::block::*;
use ledger_types::bundle::*;
use ledger_types::channel::*;
use ledger_types::coin::INPUTS_BY_ID_MAX;
use ledger_types::confirmation::*;
use ledger_types::contract::*;
use ledger_types::envelope::*;
use ledger_types::feed::*;
use ledger_types::genesis::*;
use ledger_types::hand_over::*;
use ledger_types::keys::Signature;
use ledger_types::order::*;
use ledger_types::ownership::*;
use ledger_types::participant::*;
use ledger_types::request::BasisCode;
use ledger_types::sealed::*;
use ledger_types::vote::*;
use ledger_types::*;
use std::fmt::Debug;

/// The bytes of the fields before a list.
fn after(fields: &[&dyn Encode2]) -> Vec<u8> {
    let mut bytes = Vec::new();
    fields.iter().for_each(|field| field.append_to(&mut bytes));
    bytes
}

/// `Encode` with a method that a trait object may have.
trait Encode2 {
    fn append_to(&self, out: &mut Vec<u8>);
}

impl<T: Encode> Encode2 for T {
    fn append_to(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }
}

/// A count of `max` is not too long at this place; `max + 1` is, whatever follows.
fn is_bounded<T: Decode>(place: &str, fields: &[&dyn Encode2], max: usize) {
    let decode = |count: usize| {
        let filler = vec![0; 1 << 17];
        T::from_bytes(&[&after(fields)[..], &(count as u16).to_le_bytes(), &filler].concat()).err()
    };
    assert_eq!(decode(max + 1), Some(DecodeError::TooLong { count: max + 1, max }), "{place}");
    let at_most = decode(max);
    assert!(!matches!(at_most, Some(DecodeError::TooLong { .. })), "{place} of {max}: {at_most:?}");
}

#[test]
fn every_list_and_string_of_a_message_is_bounded() {
    let mut gen_ = Gen::new(7);
    let g = &mut gen_;
    let empty: u16 = 0;
    let genesis = fixture::genesis();
    let chain = genesis.chain();

    is_bounded::<Participant>("participant.name", &[&BANK_2], 32);
    let keys = directory().get(BANK_2).unwrap().keys.clone();
    let [a, b, c, d, e, f, h, i] = keys.signing_keys();
    is_bounded::<ParticipantKeys>("keys.kem", &[&a, &b, &c, &d, &e, &f, &h, &i], KEM_KEY_BYTES_MAX);
    is_bounded::<Directory>("directory", &[], PARTICIPANTS_MAX);
    is_bounded::<ValidatorSet>("validator set", &[], PARTICIPANTS_MAX);

    let start: [&dyn Encode2; 5] =
        [&genesis.version, &genesis.currency, &genesis.exponent, &genesis.kem_suite, &genesis.time_ms];
    is_bounded::<Genesis>("genesis.origin", &start, 64);
    let start = [&start[..], &[&genesis.origin]].concat();
    is_bounded::<Genesis>("genesis.officers", &start, 16);
    let numbers: [&dyn Encode2; 7] = [
        &genesis.officers,
        &genesis.officer_threshold,
        &genesis.unconfirmed_depth_max,
        &genesis.expiry_window_ms,
        &genesis.release_deadline_ms,
        &genesis.bytes_per_submitter_per_height,
        &genesis.batch_records_max,
    ];
    let start = [&start[..], &numbers].concat();
    is_bounded::<Genesis>("genesis.series", &start, 256);
    is_bounded::<Genesis>("genesis.preissues", &[&start[..], &[&genesis.series]].concat(), 256);
    let start = [&start[..], &[&genesis.series, &genesis.preissues]].concat();
    is_bounded::<Genesis>("genesis.directory", &start, PARTICIPANTS_MAX);
    is_bounded::<Series>("series.name", &[&SeriesNumber(1)], 32);

    is_bounded::<Core>("core.inputs, spent", &[&ENVELOPE_VERSION, &Kind::Transfer, &BANK_2], 8);
    is_bounded::<Core>("core.inputs, by id", &[&ENVELOPE_VERSION, &Kind::Recover, &BANK_2], INPUTS_BY_ID_MAX);
    is_bounded::<Core>("core.outputs", &[&ENVELOPE_VERSION, &Kind::Transfer, &BANK_2, &empty], 8);
    is_bounded::<RecoverContext>("recover.authorizations", &[&RecoverReason::Dispute], 16);
    let line = directory().get(BANK_2).unwrap().clone();
    is_bounded::<ParticipantUpdateContext>("update.authorizations", &[&line], 16);
    is_bounded::<RequestContext>("request.authorizations", &[&officer_request(&fixture::chain())], 16);

    let (nonce, expiry_ms, none) = (1u64, 2u64, 0u8);
    is_bounded::<SealedOrder>("sealed order.signatures", &[&none, &nonce, &expiry_ms], 8);
    is_bounded::<Sealed>("sealed.inputs", &[&none, &USD], INPUTS_BY_ID_MAX);
    is_bounded::<Sealed>("sealed.outputs", &[&none, &USD, &empty], 8);
    is_bounded::<Sealed>("sealed.memo", &[&none, &USD, &empty, &empty, &none, &none], MEMO_BYTES_MAX);
    is_bounded::<Order>("order.inputs", &[], 8);
    is_bounded::<Order>("order.change_owners", &[&empty, &none, &USD], 8);
    is_bounded::<AcceptedOutputs>("accepted.outputs", &[&OrderHash::ZERO], 8);

    is_bounded::<Encapsulation>("encapsulated_key", &[&BANK_2], 1120);
    let epoch = 1u64;
    is_bounded::<EpochOffer>("offer.members", &[&BANK_2, &epoch], MEMBERS_MAX);
    let commitment = [0u8; 32];
    let start: [&dyn Encode2; 5] = [&BANK_2, &epoch, &empty, &expiry_ms, &commitment];
    is_bounded::<EpochOffer>("offer.encapsulations", &start, MEMBERS_MAX);
    is_bounded::<Challenge>("challenge.text", &[], 256);
    is_bounded::<Challenge>("challenge.nonce", &[&empty], 32);

    let header = bundle(&chain).header().clone();
    is_bounded::<BundleCertificate>("certificate.acks", &[&header], PARTICIPANTS_MAX);
    let round = 0u32;
    is_bounded::<CommitCertificate>("commit.precommits", &[&Height(1), &round, &BlockHash::ZERO], PARTICIPANTS_MAX);
    let header = first_block(&chain).header;
    is_bounded::<Block>("block.certificates", &[&header], CERTIFICATES_MAX);
    let (commit, result) = (CommitCertificate::any(g), EnvelopeResult::any(g));
    is_bounded::<Acknowledgement>("acknowledgement.path", &[&header, &commit, &result, &round, &round], 32);

    is_bounded::<Batch>("batch.records", &[&BatchNumber(1), &BatchHash::ZERO], BATCH_RECORDS_MAX);
    let start: [&dyn Encode2; 3] = [&BatchNumber(1), &BatchHash::ZERO, &empty];
    is_bounded::<Batch>("batch.settled", &start, BATCH_SETTLED_MAX);
    is_bounded::<Batch>("batch.overdue", &[&start[..], &[&empty]].concat(), BATCH_OVERDUE_MAX);
    is_bounded::<Batch>("batch.cleared", &[&start[..], &[&empty, &empty]].concat(), BATCH_OVERDUE_MAX);
}

#[test]
fn a_value_that_is_too_long_cannot_be_built() {
    let too_long = DecodeError::TooLong { count: 4, max: 3 };
    assert_eq!(List::<u8, 3>::new(vec![0; 4]).unwrap_err(), too_long);
    assert_eq!(Octets::<3>::new(vec![0; 4]).unwrap_err(), too_long);
    // Bytes count, not characters.
    assert_eq!(Text::<3>::new("éé").unwrap_err(), too_long);
    assert_eq!(List::<u8, 3>::new(vec![0; 3]).unwrap().len(), 3);
}

fn refused<T: Decode + Debug>(bytes: &[u8]) -> DecodeError {
    T::from_bytes(bytes).expect_err("these bytes are refused")
}

#[test]
fn a_count_beyond_the_input_is_truncated() {
    assert_eq!(refused::<List<u64, 500>>(&[200, 0, 1]), DecodeError::Truncated);
    assert_eq!(refused::<Octets<500>>(&[200, 0, 1]), DecodeError::Truncated);
    assert_eq!(refused::<List<u64, 500>>(&[1]), DecodeError::Truncated);
}

#[test]
fn text_is_utf8_without_control_characters() {
    assert_eq!(refused::<Text<9>>(&[1, 0, 0xff]), DecodeError::NotCanonical("text that is not UTF-8"));
    let control = DecodeError::NotCanonical("text with a control character");
    for bad in ["a\n", "\0", "\u{7f}", "\u{85}"] {
        assert_eq!(Text::<9>::new(bad).unwrap_err(), control);
        let bytes = [&(bad.len() as u16).to_le_bytes()[..], bad.as_bytes()].concat();
        assert_eq!(refused::<Text<9>>(&bytes), control);
    }
    // UTF-8 has one form a character: an overlong slash and a surrogate are none.
    assert_eq!(refused::<Text<9>>(&[2, 0, 0xc0, 0xaf]), DecodeError::NotCanonical("text that is not UTF-8"));
    assert_eq!(refused::<Text<9>>(&[3, 0, 0xed, 0xa0, 0x80]), DecodeError::NotCanonical("text that is not UTF-8"));
}

#[test]
fn a_byte_that_is_no_value_is_refused_with_its_field() {
    let unknown = |field, byte| DecodeError::UnknownValue { field, byte };
    assert_eq!(refused::<Option<u8>>(&[2, 0]), unknown("option", 2));
    assert_eq!(refused::<Kind>(&[0]), unknown("Kind", 0));
    assert_eq!(refused::<Kind>(&[15]), unknown("Kind", 15));
    assert_eq!(refused::<Bucket>(&[4]), unknown("Bucket", 4));
    assert_eq!(refused::<TermsFlag>(&[2]), unknown("TermsFlag", 2));
    assert_eq!(refused::<VoteStep>(&[0]), unknown("VoteStep", 0));
    assert_eq!(refused::<RecordStatus>(&[5]), unknown("RecordStatus", 5));
    assert_eq!(refused::<KemSuite>(&[3]), unknown("KemSuite", 3));
    assert_eq!(refused::<Roles>(&[0]), unknown("roles", 0));
    assert_eq!(refused::<Roles>(&[32]), unknown("roles", 32));
    assert_eq!(refused::<Currency>(b"usd"), DecodeError::NotCanonical("currency"));
    assert_eq!(refused::<ledger_types::log_leaf::LogLeaf>(&[15]), unknown("log leaf", 15));
    assert_eq!(refused::<ContractOrder>(&[5]), unknown("contract order", 5));
    assert_eq!(refused::<Frequency>(&[5]), unknown("Frequency", 5));
    assert_eq!(refused::<FeedUnit>(&[4]), unknown("unit of a feed", 4));
    assert_eq!(refused::<FeedName>(&[1, 0, b'A']), DecodeError::NotCanonical("name of a feed"));
    assert_eq!(refused::<FeedName>(&[0, 0]), DecodeError::NotCanonical("name of a feed"));
}

#[test]
fn an_envelope_of_another_version_or_of_a_kind_that_does_not_exist_is_refused() {
    let chain = fixture::chain();
    let mut bytes = transfer(&chain).to_bytes();
    bytes[0] = 2;
    assert_eq!(refused::<Envelope>(&bytes), DecodeError::UnknownValue { field: "envelope version", byte: 2 });
    for kind in [0, 15] {
        let mut bytes = transfer(&chain).to_bytes();
        bytes[1] = kind;
        assert_eq!(refused::<Envelope>(&bytes), DecodeError::UnknownValue { field: "Kind", byte: kind });
    }
}

#[test]
fn exactly_the_kinds_that_seal_something_have_a_bucket() {
    let chain = fixture::chain();
    let not_canonical = DecodeError::NotCanonical("bucket for this kind");
    let with_bucket = |envelope: Envelope, bucket| {
        let core = Core { bucket, ..envelope.header.core };
        refused::<Core>(&core.to_bytes())
    };
    for sealed in [issue(&chain), transfer(&chain), redeem(&chain), recover(&chain)] {
        assert_eq!(with_bucket(sealed, Bucket::None), not_canonical);
    }
    assert_eq!(with_bucket(participant_update(&chain), Bucket::B512), not_canonical);
}

#[test]
fn a_validator_set_without_order_or_with_impossible_power_is_refused() {
    let set = |powers: &[u64]| {
        let line = |(at, &power): (usize, &u64)| Validator {
            number: ParticipantNumber(at as u16),
            power,
            consensus: public("c"),
            bundle: public("b"),
            cosign: public("s"),
        };
        powers.iter().enumerate().map(line).collect::<Vec<Validator>>()
    };
    let decode = |validators: Vec<Validator>| {
        ValidatorSet::from_bytes(&List::<_, PARTICIPANTS_MAX>::new(validators).unwrap().to_bytes())
    };
    assert_eq!(decode(set(&[1, 2])).unwrap().total_power(), 3);
    let order = DecodeError::NotCanonical("validator set: the order of validators");
    assert_eq!(decode(set(&[1, 2]).into_iter().rev().collect()).unwrap_err(), order);
    let power = DecodeError::NotCanonical("validator set: the power");
    // A sum that overflows would otherwise stop the node that counts it.
    for impossible in [&[][..], &[0], &[1, 0], &[u64::MAX, 1], &[TOTAL_POWER_MAX, 1]] {
        assert_eq!(decode(set(impossible)).unwrap_err(), power, "{impossible:?}");
    }
}

fn full<T: Any, const MAX: usize>(g: &mut Gen) -> List<T, MAX> {
    List::new((0..MAX).map(|_| T::any(g)).collect()).unwrap()
}

#[test]
fn every_list_and_string_of_a_contract_and_a_feed_is_bounded() {
    let (zero, hash, definition) = (0u32, [0u8; 32], feed_definition());
    let deploy: [&dyn Encode2; 5] = [&ContractAction::Deploy, &zero, &zero, &zero, &hash];
    is_bounded::<ContractOrder>("contract order.package", &deploy, PACKAGE_BYTES_MAX);
    let dispute: [&dyn Encode2; 5] = [&4u8, &zero, &zero, &BasisCode::parse("SRV-1").unwrap(), &hash];
    is_bounded::<ContractOrder>("contract order.activation", &dispute, ACTIVATION_HEADER_BYTES_MAX);
    is_bounded::<FeedDefinition>("feed definition.name", &[&zero], FeedName::BYTES_MAX);
    let before: [&dyn Encode2; 5] = [&zero, &definition.name, &definition.unit, &1u8, &definition.frequency];
    is_bounded::<FeedDefinition>("feed definition.publishers", &before, PUBLISHERS_MAX);
    is_bounded::<PublicationContext>("publication.values", &[&feed_item().head], PUBLISHERS_MAX);
    let receipt: [&dyn Encode2; 8] = [&hash, &zero, &zero, &hash, &0u64, &0u64, &0u64, &zero];
    is_bounded::<Receipt>("receipt.inputs", &receipt, RECEIPT_INPUTS_MAX);
}

#[test]
fn the_largest_envelope_fits_its_bound() {
    let g = &mut Gen::new(3);
    let context = RecoverContext { reason: RecoverReason::Dispute, authorizations: full(g) };
    let mut core = core(CENTRAL_BANK, Inputs::ById(full(g)), full(g), ClearContext::Recover(context));
    core.bucket = Bucket::B4096;
    let bytes = envelope(core).to_bytes().len();
    assert!((ENVELOPE_BYTES_MAX / 2..=ENVELOPE_BYTES_MAX).contains(&bytes), "{bytes}");

    let mut participant = Participant { name: Text::new(&"n".repeat(32)).unwrap(), ..participants().remove(0) };
    participant.keys.kem = Octets::new(vec![0; KEM_KEY_BYTES_MAX]).unwrap();
    let context = ParticipantUpdateContext { participant, authorizations: full(g) };
    let context = ClearContext::ParticipantUpdate(Box::new(context));
    let update = envelope(fixture::core(CENTRAL_BANK, Inputs::Spends(full(g)), full(g), context)).to_bytes().len();
    assert!(update <= ENVELOPE_BYTES_MAX, "{update}");

    let powers = (1..=PARTICIPANTS_MAX as u16).map(|number| Validator {
        number: ParticipantNumber(number),
        power: 1,
        ..Any::any(g)
    });
    let set: List<Validator, PARTICIPANTS_MAX> = List::new(powers.collect()).unwrap();
    let order = HandOverOrder { incoming: ValidatorSet::from_bytes(&set.to_bytes()).unwrap(), ..Any::any(g) };
    let context = ClearContext::HandOver(Box::new(HandOverContext { order, authorizations: full(g) }));
    let hand_over = envelope(fixture::core(CENTRAL_BANK, Inputs::Spends(full(g)), full(g), context)).to_bytes().len();
    assert!(hand_over <= ENVELOPE_BYTES_MAX, "{hand_over}");

    let package = Octets::new(vec![0; PACKAGE_BYTES_MAX]).unwrap();
    let order = ContractOrder::Deploy(Deployment { package, ..Any::any(g) });
    let context = ClearContext::ContractOrder(ContractOrderContext { order, authorizations: full(g) });
    let deploy = envelope(fixture::core(CENTRAL_BANK, Inputs::Spends(full(g)), full(g), context)).to_bytes().len();
    assert!((ENVELOPE_BYTES_MAX / 2..=ENVELOPE_BYTES_MAX).contains(&deploy), "{deploy}");
}

#[test]
fn no_envelope_is_shorter_than_the_smallest() {
    let smallest = core(BANK_2, Inputs::Spends(List::empty()), List::empty(), ClearContext::Transfer);
    let header = EnvelopeHeader { core: smallest, commitment: KeyCommitment::ZERO };
    assert_eq!(header.to_bytes().len(), ENVELOPE_BYTES_MIN);
}

#[test]
fn the_largest_confirmation_batch_fits_a_bundle() {
    let g = &mut Gen::new(4);
    let batch = Batch {
        number: BatchNumber(1),
        previous: BatchHash::ZERO,
        records: full(g),
        settled: full(g),
        overdue: full(g),
        cleared: full(g),
    };
    let bytes = SignedBatch { batch, signature: Signature([0; 64]) }.to_bytes().len();
    assert!((BUNDLE_BYTES_MAX / 2..=BUNDLE_BYTES_MAX).contains(&bytes), "{bytes}");
}

#[test]
fn a_full_bundle_of_ordinary_payments_fits() {
    let payment = transfer(&fixture::chain()).to_bytes().len();
    assert!(payment * BUNDLE_ENVELOPES_MAX <= BUNDLE_BYTES_MAX, "{payment} bytes each");
}

#[test]
fn b11_a_block_holds_all_certificates_of_thirty_acks_or_122_of_256() {
    let g = &mut Gen::new(5);
    let all = CERTIFICATES_MAX;
    for (acks, certificates, fits) in [(30, all, true), (31, all, false), (256, 122, true), (256, 123, false)] {
        let acks = List::new((0..acks).map(|_| SignedBy::any(g)).collect()).unwrap();
        let certificate = BundleCertificate { header: BundleHeader::any(g), acks };
        let parent = CommitCertificate { precommits: List::new(certificate.acks.to_vec()).unwrap(), ..Any::any(g) };
        let bytes = BlockHeader::any(g).to_bytes().len()
            + 2
            + certificates * certificate.to_bytes().len()
            + Some(parent).to_bytes().len();
        assert_eq!(bytes <= BLOCK_BYTES_MAX, fits, "{certificates} of {} acks: {bytes}", certificate.acks.len());
    }
}

/// E-5: one input, two outputs, an order with one signature and an acceptance, with a memo of 80 bytes, fit the 512 bucket.
#[test]
fn a_payment_with_a_memo_of_80_bytes_fits_the_smallest_bucket() {
    let payment = |memo: usize| {
        let mut sealed = Sealed {
            terms: None,
            currency: USD,
            inputs: List::new(vec![SealedInput::any(&mut Gen::new(1))]).unwrap(),
            outputs: List::new(vec![SealedOutput::any(&mut Gen::new(2)), SealedOutput::any(&mut Gen::new(3))]).unwrap(),
            order: None,
            acceptance: None,
            memo: Octets::new(vec![b'm'; memo]).unwrap(),
        };
        let signatures = List::new(vec![Signature([1; 64])]).unwrap();
        sealed.order = Some(SealedOrder { payee_output: Some(0), nonce: 1, expiry_ms: 2, signatures });
        sealed.acceptance = Some(SealedAcceptance { expiry_ms: 3, signature: Signature([2; 64]) });
        sealed
    };
    let without = payment(0).to_bytes().len();
    assert_eq!(without, 427);
    assert_eq!(payment(80).padded(Bucket::B512).unwrap().len(), 512);
    assert_eq!(payment(512 - without + 1).padded(Bucket::B512), None);
    assert_eq!(Bucket::for_plaintext(512), Some(Bucket::B512));
    assert_eq!(Bucket::for_plaintext(513), Some(Bucket::B1024));
    assert_eq!(Bucket::for_plaintext(1025), Some(Bucket::B4096));
    assert_eq!(Bucket::for_plaintext(4097), None);
}
