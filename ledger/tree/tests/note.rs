//! Notes, keys and checkpoints against published ones, and against what no reader may accept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use ledger_tree::note::{
    Checkpoint, CheckpointError, CosignerKey, KeyError, NOTE_BYTES_MAX, Note, NoteError, NoteKey, NoteSignature,
    SIGNATURES_MAX, SignatureError,
};
use proptest::prelude::*;
use serde_json::Value;

const TEXT: &str = "assay.example/log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn log_key(name: &str, seed: u8) -> NoteKey {
    NoteKey::new(name, signing_key(seed).verifying_key().as_bytes()).unwrap()
}

fn cosigner_key(name: &str, seed: u8) -> CosignerKey {
    CosignerKey::new(name, signing_key(seed).verifying_key().as_bytes()).unwrap()
}

fn signed_by(name: &str, seed: u8) -> NoteSignature {
    log_key(name, seed).sign(TEXT, |message| signing_key(seed).sign(message).to_bytes())
}

fn cosigned_by(name: &str, seed: u8, time_s: u64) -> NoteSignature {
    cosigner_key(name, seed).cosign(TEXT, time_s, |message| signing_key(seed).sign(message).to_bytes())
}

fn note(signatures: Vec<NoteSignature>) -> Note {
    Note::new(TEXT.to_owned(), signatures).unwrap()
}

#[test]
fn the_specification_s_example_verifies() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors/tlog-note/notes.json")).unwrap();
    assert!(!vectors.is_empty());
    for vector in &vectors {
        let key = NoteKey::parse(vector["vkey"].as_str().unwrap()).unwrap();
        assert_eq!(key.to_string(), vector["vkey"].as_str().unwrap());
        let bytes = vector["note"].as_str().unwrap();
        let note = Note::parse(bytes.as_bytes()).unwrap();
        assert_eq!(note.to_string(), bytes);
        assert_eq!(key.signed(&note).is_ok_and(|signed| signed), vector["valid"].as_bool().unwrap());
        let altered = Note::parse(bytes.replace("an example", "no example").as_bytes()).unwrap();
        assert!(matches!(key.signed(&altered), Err(SignatureError::Invalid { .. })));
    }
}

#[test]
fn published_checkpoints_verify_with_their_log_s_and_witnesses_keys() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/tlog-note/checkpoints.json")).unwrap();
    for vector in vectors["checkpoints"].as_array().unwrap() {
        let text = |field: &str| vector[field].as_str().unwrap();
        let note = Note::parse(text("note").as_bytes()).unwrap();
        assert_eq!(note.to_string(), text("note"));
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        assert_eq!(checkpoint.to_text(), note.text());
        assert_eq!(checkpoint.origin(), text("origin"));
        assert_eq!(checkpoint.size(), vector["size"].as_u64().unwrap());
        assert_eq!(STANDARD.encode(checkpoint.root()), text("root"));
        let key = NoteKey::parse(text("log_vkey")).unwrap();
        assert_eq!(key.signed(&note), Ok(true), "{}", vector["id"]);
        for vkey in vector["cosigner_vkeys"].as_array().unwrap() {
            let key = CosignerKey::parse(vkey.as_str().unwrap()).unwrap();
            assert_eq!(key.to_string(), vkey.as_str().unwrap());
            assert_eq!(key.cosigned(&note), Ok(vector["time_s"].as_u64()), "{vkey}");
        }
        // A larger size under the same signatures is a forgery, to the log's key and to every witness's.
        let size = checkpoint.size().to_string();
        let forged = text("note").replacen(&size, &format!("{size}0"), 1);
        let forged = Note::parse(forged.as_bytes()).unwrap();
        assert!(key.signed(&forged).is_err());
        for vkey in vector["cosigner_vkeys"].as_array().unwrap() {
            assert!(CosignerKey::parse(vkey.as_str().unwrap()).unwrap().cosigned(&forged).is_err());
        }
    }
}

#[test]
fn what_this_package_signs_it_verifies_and_reads_back() {
    let written = note(vec![signed_by("assay.example/log", 1), cosigned_by("bank2.example", 2, 1_790_000_000)]);
    let note = Note::parse(written.to_string().as_bytes()).unwrap();
    assert_eq!(note, written);
    assert_eq!(log_key("assay.example/log", 1).signed(&note), Ok(true));
    assert_eq!(cosigner_key("bank2.example", 2).cosigned(&note), Ok(Some(1_790_000_000)));
}

#[test]
fn signatures_of_unknown_keys_are_ignored_even_under_a_known_name() {
    let note = note(vec![signed_by("bank2.example", 9), cosigned_by("bank2.example", 8, 5)]);
    assert_eq!(log_key("bank2.example", 1).signed(&note), Ok(false));
    assert_eq!(cosigner_key("bank2.example", 2).cosigned(&note), Ok(None));
}

#[test]
fn l_2_a_log_s_signature_and_a_cosignature_of_one_key_never_stand_for_each_other() {
    let (plain, cosigned) = (note(vec![signed_by("one.example", 1)]), note(vec![cosigned_by("one.example", 1, 5)]));
    assert_eq!(log_key("one.example", 1).signed(&cosigned), Ok(false));
    assert_eq!(cosigner_key("one.example", 1).cosigned(&plain), Ok(None));
}

#[test]
fn a_failing_signature_of_a_known_key_refuses_the_note_even_beside_a_good_one() {
    let good = cosigned_by("bank2.example", 2, 10);
    let forged = cosigner_key("bank2.example", 2).cosign(TEXT, 11, |_| [3; 64]);
    let note = note(vec![good, forged]);
    let refused = Err(SignatureError::Invalid { name: "bank2.example".into() });
    assert_eq!(cosigner_key("bank2.example", 2).cosigned(&note), refused);
}

#[test]
fn a_cosigner_with_two_lines_counts_once_with_its_newest_time() {
    let note = note(vec![cosigned_by("bank2.example", 2, 30), cosigned_by("bank2.example", 2, 10)]);
    assert_eq!(cosigner_key("bank2.example", 2).cosigned(&note), Ok(Some(30)));
}

#[test]
fn a_cosignature_covers_its_time_and_time_ends_at_2_to_the_63() {
    let key = cosigner_key("bank2.example", 2);
    let stolen = key.cosign(TEXT, 31, |_| cosigned_by("bank2.example", 2, 30).signature()[8..].try_into().unwrap());
    assert!(matches!(key.cosigned(&note(vec![stolen])), Err(SignatureError::Invalid { .. })));
    let last = cosigned_by("bank2.example", 2, i64::MAX as u64);
    assert_eq!(key.cosigned(&note(vec![last])), Ok(Some(i64::MAX as u64)));
    let beyond = cosigned_by("bank2.example", 2, 1 << 63);
    assert!(matches!(key.cosigned(&note(vec![beyond])), Err(SignatureError::TimeOutOfRange { .. })));
}

#[test]
fn a_signature_of_the_wrong_length_is_named() {
    let line = signed_by("assay.example/log", 1).to_line();
    let bytes = STANDARD.decode(line.trim_end().rsplit_once(' ').unwrap().1).unwrap();
    let short = format!("{TEXT}\n— assay.example/log {}\n", STANDARD.encode(&bytes[..67]));
    let refused = log_key("assay.example/log", 1).signed(&Note::parse(short.as_bytes()).unwrap());
    assert_eq!(refused, Err(SignatureError::WrongLength { name: "assay.example/log".into(), found: 63, expected: 64 }));
}

#[test]
fn malformed_notes_are_refused_by_name() {
    let line = signed_by("assay.example/log", 1).to_line();
    let many = |count| format!("{TEXT}\n{}", line.repeat(count));
    let cases: Vec<(&str, Vec<u8>, NoteError)> = vec![
        ("nothing", vec![], NoteError::NoSignatures),
        ("text alone", TEXT.into(), NoteError::NoSignatures),
        ("no line after the empty line", format!("{TEXT}\n").into(), NoteError::NoSignatures),
        ("no final newline", format!("{TEXT}\n{}", line.trim_end()).into(), NoteError::UnterminatedSignature),
        ("a hyphen for the dash", many(1).replace('—', "-").into(), NoteError::MalformedLine(1)),
        ("two spaces", many(1).replace("log ", "log  ").into(), NoteError::InvalidSignatureBytes(1)),
        ("no name", format!("{TEXT}\n—  {}", line.rsplit_once(' ').unwrap().1).into(), NoteError::InvalidName(1)),
        (
            "a plus in the name",
            format!("{TEXT}\n{}", line.replacen("example", "exa+ple", 1)).into(),
            NoteError::InvalidName(1),
        ),
        (
            "a wide space in the name",
            format!("{TEXT}\n{}", line.replacen("example", "exa\u{3000}ple", 1)).into(),
            NoteError::InvalidName(1),
        ),
        ("a second line that is none", format!("{}text\n", many(1)).into(), NoteError::MalformedLine(2)),
        ("a carriage return", many(1).replace('\n', "\r\n").into(), NoteError::ControlCharacter),
        ("a tab in the text", many(1).replacen("7", "\t", 1).into(), NoteError::ControlCharacter),
        ("a zero byte", many(1).replacen("7", "\0", 1).into(), NoteError::ControlCharacter),
        ("not UTF-8", [&[0xff][..], many(1).as_bytes()].concat(), NoteError::NotUtf8),
        ("base64 without padding", many(1).replace('=', "").into(), NoteError::InvalidSignatureBytes(1)),
        ("a key id alone", format!("{TEXT}\n— a AAAAAA==\n").into(), NoteError::InvalidSignatureBytes(1)),
        ("trailing bits in base64", format!("{TEXT}\n— a AAAAAAB=\n").into(), NoteError::InvalidSignatureBytes(1)),
        ("too many signatures", many(SIGNATURES_MAX + 1).into(), NoteError::TooManySignatures),
        ("too long", vec![b'a'; NOTE_BYTES_MAX + 1], NoteError::TooLong(NOTE_BYTES_MAX + 1)),
        (
            "one long signature",
            format!("{TEXT}\n— a {}\n", "A".repeat(20_000)).into(),
            NoteError::InvalidSignatureBytes(1),
        ),
        ("a long name", format!("{TEXT}\n— {} AAAAAAA=\n", "n".repeat(256)).into(), NoteError::InvalidName(1)),
    ];
    for (description, bytes, refusal) in cases {
        assert_eq!(Note::parse(&bytes), Err(refusal), "{description}");
    }
    assert_eq!(Note::parse(many(SIGNATURES_MAX).as_bytes()).unwrap().signatures().len(), SIGNATURES_MAX);
}

#[test]
fn empty_lines_in_the_text_belong_to_the_text() {
    let text = "first\n\n\nlast\n\n";
    let signature = log_key("a", 1).sign(text, |message| signing_key(1).sign(message).to_bytes());
    let written = Note::new(text.to_owned(), vec![signature]).unwrap();
    let read = Note::parse(written.to_string().as_bytes()).unwrap();
    assert_eq!(read.text(), text);
    assert_eq!(log_key("a", 1).signed(&read), Ok(true));
}

#[test]
fn a_note_that_no_reader_accepts_is_not_written() {
    let signature = || vec![signed_by("a", 1)];
    assert_eq!(Note::new("no newline".into(), signature()), Err(NoteError::TextWithoutNewline));
    assert_eq!(Note::new("tab\t\n".into(), signature()), Err(NoteError::ControlCharacter));
    assert_eq!(Note::new(TEXT.into(), vec![]), Err(NoteError::NoSignatures));
    let many = vec![signed_by("a", 1); SIGNATURES_MAX + 1];
    assert_eq!(Note::new(TEXT.into(), many), Err(NoteError::TooManySignatures));
    let long = format!("{}\n", "a".repeat(NOTE_BYTES_MAX));
    assert!(matches!(Note::new(long, signature()), Err(NoteError::TooLong(_))));
}

#[test]
fn malformed_verifier_keys_are_refused_by_name() {
    let good = log_key("example.com/foo", 1).to_string();
    let (name_and_id, material) = good.rsplit_once('+').unwrap();
    let cases = [
        ("nothing", String::new(), KeyError::Malformed),
        ("no key", name_and_id.to_owned(), KeyError::Malformed),
        ("no name", good["example.com/foo".len()..].to_owned(), KeyError::InvalidName),
        ("a space in the name", good.replace("foo", "f o"), KeyError::InvalidName),
        ("another name", good.replace("foo", "bar"), KeyError::WrongKeyId),
        (
            "an id in capitals",
            good.replace(name_and_id, &name_and_id.to_uppercase().replace("EXAMPLE.COM/FOO", "example.com/foo")),
            KeyError::WrongKeyId,
        ),
        ("not base64", good.replace(material, "!"), KeyError::Malformed),
        (
            "a short key",
            format!("{name_and_id}+{}", STANDARD.encode([&[1][..], &[7; 31]].concat())),
            KeyError::Malformed,
        ),
        ("an unknown type", format!("{name_and_id}+{}", STANDARD.encode([6; 33])), KeyError::OtherType(6)),
        ("a cosigner's key", cosigner_key("example.com/foo", 1).to_string(), KeyError::OtherType(4)),
        ("a long line", "a".repeat(10_000), KeyError::Malformed),
    ];
    assert_eq!(NoteKey::parse(&good), Ok(log_key("example.com/foo", 1)));
    for (description, vkey, refusal) in cases {
        assert_eq!(NoteKey::parse(&vkey), Err(refusal), "{description}: {vkey}");
    }
    assert_eq!(CosignerKey::parse(&good), Err(KeyError::OtherType(1)));
}

#[test]
fn g_2_small_order_keys_and_keys_off_the_curve_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(NoteKey::new("a", &identity), Err(KeyError::InvalidKey));
    assert_eq!(NoteKey::new("a", &[0; 32]), Err(KeyError::InvalidKey));
    let mut off_the_curve = [0; 32];
    off_the_curve[0] = 2;
    assert_eq!(CosignerKey::new("a", &off_the_curve), Err(KeyError::InvalidKey));
}

#[test]
fn malformed_checkpoints_are_refused_by_name() {
    let root = STANDARD.encode([7; 32]);
    let cases = [
        ("nothing", String::new(), CheckpointError::Unterminated),
        ("no newline at the end", format!("o\n1\n{root}"), CheckpointError::Unterminated),
        ("no origin", format!("\n1\n{root}\n"), CheckpointError::InvalidOrigin),
        ("origin alone", "o\n".into(), CheckpointError::InvalidSize),
        ("no size", format!("o\n\n{root}\n"), CheckpointError::InvalidSize),
        ("a leading zero", format!("o\n01\n{root}\n"), CheckpointError::InvalidSize),
        ("a sign", format!("o\n+1\n{root}\n"), CheckpointError::InvalidSize),
        ("other digits", format!("o\n١\n{root}\n"), CheckpointError::InvalidSize),
        ("beyond u64", format!("o\n18446744073709551616\n{root}\n"), CheckpointError::InvalidSize),
        ("no root", "o\n1\n".into(), CheckpointError::InvalidRoot),
        ("31 bytes", format!("o\n1\n{}\n", STANDARD.encode([7; 31])), CheckpointError::InvalidRoot),
        ("33 bytes", format!("o\n1\n{}\n", STANDARD.encode([7; 33])), CheckpointError::InvalidRoot),
        (
            "the URL alphabet",
            format!("o\n1\n{}\n", STANDARD.encode([255; 32]).replace('/', "_")),
            CheckpointError::InvalidRoot,
        ),
        ("an empty extension line", format!("o\n1\n{root}\n\n"), CheckpointError::InvalidExtension),
        ("an empty line before an extension", format!("o\n1\n{root}\n\nx\n"), CheckpointError::InvalidExtension),
        ("seventeen extension lines", format!("o\n1\n{root}\n{}", "x\n".repeat(17)), CheckpointError::InvalidExtension),
    ];
    for (description, text, refusal) in cases {
        assert_eq!(Checkpoint::parse(&text), Err(refusal), "{description}");
    }
    for origin in ["", "two\nlines", "a\ttab"] {
        assert_eq!(Checkpoint::new(origin, 1, [0; 32]), Err(CheckpointError::InvalidOrigin));
    }
}

#[test]
fn extension_lines_of_others_are_kept_because_they_are_signed() {
    let text = format!("o\n0\n{}\nmore\nand more\n", STANDARD.encode([7; 32]));
    let checkpoint = Checkpoint::parse(&text).unwrap();
    assert_eq!(checkpoint.extensions(), ["more", "and more"]);
    assert_eq!(checkpoint.to_text(), text);
    assert!(Checkpoint::new("o", 0, [7; 32]).unwrap().extensions().is_empty());
}

proptest! {
    #[test]
    fn checkpoint_texts_are_bijective(origin in "[^\\x00-\\x1f]{1,40}", size: u64, root: [u8; 32]) {
        let checkpoint = Checkpoint::new(&origin, size, root).unwrap();
        prop_assert_eq!(Checkpoint::parse(&checkpoint.to_text()), Ok(checkpoint));
    }

    #[test]
    fn what_parses_as_a_note_writes_back_to_the_same_bytes(at: prop::sample::Index, byte: u8) {
        let mut bytes = note(vec![signed_by("a", 1), cosigned_by("b", 2, 7)]).to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.to_string().into_bytes(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_a_note_or_a_refusal(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.to_string().into_bytes(), bytes);
        }
    }

    #[test]
    fn one_flipped_bit_never_verifies(flip: prop::sample::Index) {
        let mut bytes = note(vec![signed_by("a", 1), cosigned_by("b", 2, 7)]).to_string().into_bytes();
        let bit = flip.index(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(note) = Note::parse(&bytes) {
            let (log, cosigner) = (log_key("a", 1).signed(&note), cosigner_key("b", 2).cosigned(&note));
            prop_assert!(log != Ok(true) || cosigner != Ok(Some(7)), "bit {} does not matter", bit);
        }
    }
}
