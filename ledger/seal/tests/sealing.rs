//! Sealing, opening and release (E-1, E-5, R-1), and the golden bytes of one envelope.

use crate::support;

use ledger_seal::*;
use ledger_types::envelope::*;
use ledger_types::keys::SigningKey;
use ledger_types::*;
use support::*;

fn sealed_payment(name: &str) -> (SendingEpoch, Envelope, EnvelopeRoot) {
    let mut sending = sending_epoch(1);
    let slot = slot(&mut sending);
    let (envelope, root) =
        seal(&chain(), slot, draft(), &payment(b"tea"), &bank_secret(), &mut NamedRng::new(name)).unwrap();
    (sending, envelope, root)
}

/// One error value from both doors.
fn assert_cannot_open(envelope: &Envelope, root: &EnvelopeRoot, epoch: &Epoch, what: &str) {
    assert_eq!(open_with_root(&chain(), envelope, root).err(), Some(CannotOpen), "{what}, with the root");
    assert_eq!(open_with_epoch(&chain(), envelope, epoch).err(), Some(CannotOpen), "{what}, with the epoch");
}

#[test]
fn what_was_sealed_opens_with_the_epoch_and_with_the_released_root() {
    let (sending, envelope, root) = sealed_payment("seal");
    let sent = Envelope::from_bytes(&envelope.to_bytes()).unwrap();
    assert_eq!(open_with_root(&chain(), &sent, &root).unwrap(), payment(b"tea"));
    let (opened, own_root) = open_with_epoch(&chain(), &sent, sending.epoch()).unwrap();
    assert_eq!(opened, payment(b"tea"));
    assert_eq!(own_root.secret(), root.secret());
    assert_eq!(sent.submitter(), SENDER);
}

#[test]
fn e_1_a_wrong_key_is_the_one_error() {
    let (sending, envelope, root) = sealed_payment("seal");
    let mut bits = *root.secret();
    for bit in 0..256 {
        bits[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            open_with_root(&chain(), &envelope, &EnvelopeRoot::from_bytes(bits)).err(),
            Some(CannotOpen),
            "bit {bit}"
        );
        bits[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(open_with_epoch(&chain(), &envelope, &epoch(2)).err(), Some(CannotOpen));
    let elsewhere = Chain::new(GenesisHash([8; 32]));
    assert_eq!(open_with_root(&elsewhere, &envelope, &root).err(), Some(CannotOpen));
    assert_eq!(open_with_epoch(&elsewhere, &envelope, sending.epoch()).err(), Some(CannotOpen));
}

#[test]
fn e_1_each_changed_bit_of_the_ciphertext_is_the_one_error() {
    let (sending, mut envelope, root) = sealed_payment("seal");
    for bit in 0..envelope.ciphertext.len() * 8 {
        envelope.ciphertext[bit / 8] ^= 1 << (bit % 8);
        assert_cannot_open(&envelope, &root, sending.epoch(), &format!("bit {bit}"));
        envelope.ciphertext[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(open_with_root(&chain(), &envelope, &root).is_ok(), "and unchanged it opens");
}

#[test]
fn e_1_a_ciphertext_of_another_length_is_the_one_error() {
    let (sending, envelope, root) = sealed_payment("seal");
    for bytes in 0..envelope.ciphertext.len() {
        let shorter = Envelope { ciphertext: envelope.ciphertext[..bytes].to_vec(), ..envelope.clone() };
        assert_cannot_open(&shorter, &root, sending.epoch(), &format!("{bytes} bytes"));
    }
    let mut longer = envelope.clone();
    longer.ciphertext.push(0);
    assert_cannot_open(&longer, &root, sending.epoch(), "a byte more");
}

#[test]
fn e_1_each_changed_header_field_is_the_one_error() {
    let (sending, envelope, root) = sealed_payment("seal");
    fn spends(core: &mut Core) -> &mut [Spend] {
        match &mut core.inputs {
            Inputs::Spends(list) => list.as_mut_slice(),
            Inputs::ById(_) => unreachable!("a transfer spends"),
        }
    }
    type Change = fn(&mut EnvelopeHeader);
    let changes: [(&str, Change); 18] = [
        ("submitter", |h| h.core.submitter = PAYEE),
        ("input link", |h| spends(&mut h.core)[0].link.0[0] ^= 1),
        ("input kappa", |h| spends(&mut h.core)[0].kappa.0[31] ^= 1),
        ("input count", |h| h.core.inputs = Inputs::Spends(List::empty())),
        ("inputs by id", |h| h.core.inputs = Inputs::ById(List::empty())),
        ("output note", |h| h.core.outputs.as_mut_slice()[1].note.0[7] ^= 1),
        ("output custody", |h| h.core.outputs.as_mut_slice()[0].custody.0[0] ^= 1),
        ("output terms flag", |h| h.core.outputs.as_mut_slice()[0].terms_flag = TermsFlag::Contract),
        ("output order", |h| h.core.outputs.as_mut_slice().swap(0, 1)),
        ("output count", |h| h.core.outputs = List::new(h.core.outputs[..1].to_vec()).unwrap()),
        ("contract", |h| h.core.contract = ContractNumber(1)),
        ("expiry", |h| h.core.expiry_ms += 1),
        ("bucket", |h| h.core.bucket = Bucket::B1024),
        ("no bucket", |h| h.core.bucket = Bucket::None),
        ("hint", |h| h.core.hint.0[15] ^= 1),
        ("salt", |h| h.core.salt.0[0] ^= 1),
        ("clear context", |h| {
            h.core.context = ClearContext::Redeem(RedeemContext { amount: Amount(1), authorization: NO_SIGNATURE });
        }),
        ("commitment", |h| h.commitment.0[0] ^= 1),
    ];
    for (field, change) in changes {
        let mut changed = envelope.clone();
        change(&mut changed.header);
        assert_ne!(changed, envelope, "{field}");
        assert_cannot_open(&changed, &root, sending.epoch(), field);
    }
    // A whole header of another envelope of the same epoch.
    let mut sending = sending;
    let slot = slot(&mut sending);
    let (other, other_root) =
        seal(&chain(), slot, draft(), &payment(b"tea"), &bank_secret(), &mut NamedRng::new("other")).unwrap();
    let swapped = Envelope { header: other.header.clone(), ciphertext: envelope.ciphertext.clone() };
    assert_cannot_open(&swapped, &root, sending.epoch(), "another header");
    assert_cannot_open(&swapped, &other_root, sending.epoch(), "another header and its root");
}

#[test]
fn e_2_a_member_cannot_seal_in_its_own_name_under_anothers_epoch() {
    let sending = sending_epoch(1);
    let mut record = sending.record().to_vec();
    record[1..3].copy_from_slice(&PAYEE.0.to_le_bytes());
    let mut forged = SendingEpoch::resume(&record, 10, 0, None).unwrap();
    let slot = slot(&mut forged);
    let (envelope, _) =
        seal(&chain(), slot, draft(), &payment(b""), &bank_secret(), &mut NamedRng::new("seal")).unwrap();
    assert_eq!(envelope.submitter(), PAYEE);
    assert_eq!(open_with_epoch(&chain(), &envelope, sending.epoch()).err(), Some(CannotOpen));
}

#[test]
fn only_the_exact_parties_of_the_payment_share_its_channel() {
    let mut sending = sending_epoch(1);
    let mut try_seal = |sealed: &ledger_types::sealed::Sealed| {
        seal(&chain(), slot(&mut sending), draft(), sealed, &bank_secret(), &mut NamedRng::new("seal")).err()
    };
    let mut to_third = payment(b"");
    to_third.outputs.as_mut_slice()[0].bank = THIRD;
    assert_eq!(try_seal(&to_third), Some(CannotSeal::OtherParties), "the payee's bank could not read, another could");
    let mut own = payment(b"");
    own.outputs.as_mut_slice()[0].bank = SENDER;
    assert_eq!(try_seal(&own), Some(CannotSeal::OtherParties), "a self-transfer is nobody else's business");
    let mut without_change = payment(b"");
    without_change.outputs = List::new(without_change.outputs[..1].to_vec()).unwrap();
    assert_eq!(try_seal(&without_change), None, "the submitter is a party without an output");
}

#[test]
fn one_input_and_two_outputs_with_a_memo_of_80_bytes_fill_the_512_bucket_as_budgeted() {
    // E-5; PROTOCOL.md, "Byte budget".
    let without_memo = payment(b"").to_bytes().len();
    let with_memo = payment(&[b'm'; 80]).to_bytes().len();
    assert_eq!(without_memo, 427);
    assert_eq!(with_memo, 507);
    assert_eq!(Bucket::for_plaintext(with_memo), Some(Bucket::B512));
    let mut sending = sending_epoch(1);
    let mut bucket_of = |memo: usize| {
        let slot = slot(&mut sending);
        let sealed = payment(&vec![b'm'; memo]);
        let (envelope, root) =
            seal(&chain(), slot, draft(), &sealed, &bank_secret(), &mut NamedRng::new("seal")).unwrap();
        assert_eq!(open_with_root(&chain(), &envelope, &root), Ok(sealed));
        assert_eq!(envelope.ciphertext.len(), envelope.header.core.bucket.ciphertext_bytes());
        envelope.header.core.bucket
    };
    assert_eq!([80, 85, 86, 597, 598, 1024].map(&mut bucket_of), {
        use Bucket::*;
        [B512, B512, B1024, B1024, B4096, B4096]
    });
}

#[test]
fn more_than_the_largest_bucket_is_refused() {
    let mut sending = sending_epoch(1);
    let mut sealed = payment(b"");
    sealed.inputs = List::new(vec![sealed.inputs[0].clone(); 34]).unwrap();
    let bytes = sealed.to_bytes().len();
    assert!(bytes > 4000 && bytes <= 4096, "{bytes}");
    assert!(seal(&chain(), slot(&mut sending), draft(), &sealed, &bank_secret(), &mut NamedRng::new("seal")).is_ok());
    sealed.inputs = List::new(vec![sealed.inputs[0].clone(); 35]).unwrap();
    let refused = seal(&chain(), slot(&mut sending), draft(), &sealed, &bank_secret(), &mut NamedRng::new("seal"));
    assert_eq!(refused.err(), Some(CannotSeal::TooLong(bytes + 111)));
}

#[test]
fn an_issue_is_authorized_over_its_salt_and_the_root_covers_the_authorization() {
    let issue_key = SigningKey::from_seed(&named("issue key"));
    let context =
        IssueContext { series: SeriesNumber(1), issue_number: 5, amount: Amount(1000), authorization: NO_SIGNATURE };
    let issue =
        || Draft { context: ClearContext::Issue(context.clone()), inputs: Inputs::Spends(List::empty()), ..draft() };
    let mut sending = sending_epoch(1);
    let mut prepared = || {
        prepare(&chain(), slot(&mut sending), issue(), &payment(b""), &bank_secret(), &mut NamedRng::new("seal"))
            .unwrap()
    };

    let first = prepared();
    let message = first.authorization_message(&chain());
    let (envelope, root) = first.authorize(&chain(), Authorization::IssueKey(issue_key.sign(&message))).unwrap();
    let core = &envelope.header.core;
    assert_eq!(core.authorization_message(&chain()), message);
    let ClearContext::Issue(signed) = &core.context else { panic!("an issue stays one") };
    assert!(issue_key.public_key().verify(&message, &signed.authorization));
    assert!(open_with_root(&chain(), &envelope, &root).is_ok());

    // Another signature is another header: it does not open.
    let mut changed = envelope.clone();
    changed.header.core.context = ClearContext::Issue(context.clone());
    assert_cannot_open(&changed, &root, &epoch(1), "authorization removed");

    for wrong in [Authorization::NotNeeded, Authorization::Officers(List::empty())] {
        assert_eq!(prepared().authorize(&chain(), wrong).err(), Some(CannotSeal::Authorization));
    }
    let slot = slot(&mut sending);
    let transfer = prepare(&chain(), slot, draft(), &payment(b""), &bank_secret(), &mut NamedRng::new("seal")).unwrap();
    assert_eq!(
        transfer.authorize(&chain(), Authorization::IssueKey(NO_SIGNATURE)).err(),
        Some(CannotSeal::Authorization)
    );
}

#[test]
fn redeem_and_recover_carry_their_authorizations() {
    let mut sending = sending_epoch(1);
    let redeem = ClearContext::Redeem(RedeemContext { amount: Amount(1), authorization: NO_SIGNATURE });
    let recover =
        ClearContext::Recover(RecoverContext { reason: RecoverReason::Dispute, authorizations: List::empty() });
    let signature = SigningKey::from_seed(&named("officer")).sign(b"message");
    let by_officers = List::new(vec![OfficerSignature { officer: 0, signature }]).unwrap();
    for (context, authorization) in
        [(redeem, Authorization::IssueKey(signature)), (recover, Authorization::Officers(by_officers.clone()))]
    {
        let inputs = match context.kind().names_inputs_by_id() {
            true => Inputs::ById(List::new(vec![CoinId(named("coin"))]).unwrap()),
            false => draft().inputs,
        };
        let draft = Draft { context, inputs, ..draft() };
        let prepared =
            prepare(&chain(), slot(&mut sending), draft, &payment(b""), &bank_secret(), &mut NamedRng::new("seal"))
                .unwrap();
        let message = prepared.authorization_message(&chain());
        let (envelope, root) = prepared.authorize(&chain(), authorization).unwrap();
        assert_eq!(envelope.header.core.authorization_message(&chain()), message);
        match &envelope.header.core.context {
            ClearContext::Redeem(context) => assert_eq!(context.authorization, signature),
            ClearContext::Recover(context) => assert_eq!(context.authorizations, by_officers),
            other => panic!("{other:?}"),
        }
        let sent = Envelope::from_bytes(&envelope.to_bytes()).unwrap();
        assert!(open_with_root(&chain(), &sent, &root).is_ok());
        assert!(open_with_epoch(&chain(), &sent, sending.epoch()).is_ok());
    }
}

#[test]
fn a_generator_that_repeats_itself_never_gives_two_plaintexts_one_key() {
    let mut salts = std::collections::HashSet::new();
    let mut roots = std::collections::HashSet::new();
    for memo in [b"tea", b"tee"] {
        for expiry_ms in [1, 2] {
            // The same slot of the same epoch, the same random bytes.
            let mut sending = sending_epoch(1);
            let slot = slot(&mut sending);
            let draft = Draft { expiry_ms, ..draft() };
            let (envelope, root) =
                seal(&chain(), slot, draft, &payment(memo), &bank_secret(), &mut NamedRng::new("same")).unwrap();
            assert!(salts.insert(envelope.header.core.salt));
            assert!(roots.insert(*root.secret()));
        }
    }
    let with_another_secret = {
        let mut sending = sending_epoch(1);
        let slot = slot(&mut sending);
        let secret = BankSecret::from_bytes(named("another bank's secret"));
        seal(&chain(), slot, Draft { expiry_ms: 1, ..draft() }, &payment(b"tea"), &secret, &mut NamedRng::new("same"))
            .unwrap()
    };
    assert!(salts.insert(with_another_secret.0.header.core.salt));
}

#[test]
fn r_1_the_first_release_that_matches_is_taken() {
    let (_, envelope, root) = sealed_payment("seal");
    let id = envelope.id(&chain());
    let release = |envelope: EnvelopeId, root: [u8; 32]| KeyRelease { envelope, root: EnvelopeRoot::from_bytes(root) };
    let releases = [
        release(id, [0; 32]),
        release(EnvelopeId([1; 32]), *root.secret()),
        release(id, *root.secret()),
        release(id, *root.secret()),
    ];
    let taken = first_matching(&chain(), id, &envelope.header.commitment, &releases).unwrap();
    assert!(std::ptr::eq(taken, &releases[2]));
    assert!(open_with_root(&chain(), &envelope, &taken.root).is_ok());
    assert!(first_matching(&chain(), id, &envelope.header.commitment, &releases[..2]).is_none());

    // Wiped when it is dropped.
    let bytes: zeroize::Zeroizing<[u8; ledger_seal::release::KEY_RELEASE_BYTES]> = releases[2].to_bytes();
    assert_eq!(*bytes, *[id.0, *root.secret()].concat());
    let decoded = KeyRelease::from_bytes(&*bytes).unwrap();
    assert_eq!((decoded.envelope, *decoded.root.secret()), (id, *root.secret()));
    assert!(KeyRelease::from_bytes(&bytes[..63]).is_err());
    assert!(KeyRelease::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
}

/// The bytes of the offer, of the envelope and of its root. They change on purpose only, in a commit that says why.
#[test]
fn golden_bytes_of_an_offer_and_a_sealed_envelope() {
    let [sender, payee] = [SENDER, PAYEE].map(|number| party(genesis::KemSuite::X25519, number));
    let offer = offer_between(genesis::KemSuite::X25519, 1, &[&sender, &payee]).signed_offer().to_bytes();
    let (sending, envelope, root) = sealed_payment("golden");
    let text = format!(
        "offer {}\nepoch record {}\nenvelope {}\nroot {}\nenvelope id {}\n",
        hex::encode(offer),
        hex::encode(sending.record().as_slice()),
        hex::encode(envelope.to_bytes()),
        hex::encode(root.secret()),
        envelope.id(&chain()),
    );
    let golden = include_str!("golden/sealed_envelope.txt");
    assert!(text == golden, "the bytes are now\n{text}");
}
