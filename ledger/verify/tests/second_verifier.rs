//! The second verifier, in Python and from the page alone, agrees with every vector. It is a program of its own: what runs here
//! is the same command that PROTOCOL.md names.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

fn second_verifier(folder: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/second_verifier.py");
    // -B: no __pycache__ in the tree.
    let started = Command::new("python3").arg("-B").arg(script).arg(folder).output();
    started.expect("python3 starts: scripts/test installs it, and a missing second opinion is no agreement")
}

#[test]
fn a_second_implementation_agrees_with_every_vector() {
    let output = second_verifier(&vectors());
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    let files = std::fs::read_dir(vectors()).unwrap().count();
    assert_eq!(said.lines().filter(|line| line.contains(".json: ")).count(), files, "{said}");
}

/// It could agree with everything because it looks at nothing.
#[test]
fn a_second_implementation_sees_a_vector_that_was_altered_and_one_that_it_does_not_know() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("vectors-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for file in std::fs::read_dir(vectors()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    let hash = folder.join("hash.json");
    let good = std::fs::read_to_string(&hash).unwrap();
    // The last digit of the last case.
    let at = good.rfind(|c: char| c.is_ascii_hexdigit()).unwrap();
    let other = if good.as_bytes()[at] == b'0' { "1" } else { "0" };
    std::fs::write(&hash, format!("{}{other}{}", &good[..at], &good[at + 1..])).unwrap();
    let altered = second_verifier(&folder);
    assert!(!altered.status.success(), "an altered hash was not seen");
    assert!(String::from_utf8_lossy(&altered.stderr).contains("hash.json"));

    std::fs::write(&hash, good).unwrap();
    std::fs::write(folder.join("unknown.json"), "{}").unwrap();
    let unknown = second_verifier(&folder);
    assert!(!unknown.status.success(), "a file that nothing reads was not seen");
    std::fs::remove_dir_all(&folder).unwrap();
}
