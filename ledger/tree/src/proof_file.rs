//! C2SP tlog-proof: a file by which any outside tool checks, for ever and offline, that a leaf is in the log.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64 of the leaf>
//! index <decimal>
//! <base64 of a hash> …                     from the leaf's sibling up
//!
//! <the checkpoint, a signed note>
//! ```
//! The extra data is not authenticated: whoever reads it hashes it as the leaf, and the path authenticates that.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::Hash;

pub fn write(leaf: &[u8], index: u64, path: &[Hash], checkpoint: &str) -> String {
    let mut file = format!("c2sp.org/tlog-proof@v1\nextra {}\nindex {index}\n", BASE64.encode(leaf));
    path.iter().for_each(|hash| file.extend([&BASE64.encode(hash), "\n"]));
    file.extend(["\n", checkpoint]);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_proof_file_are_fixed() {
        let file = write(b"leaf", 3, &[[0; 32], [255; 32]], "origin\n4\nroot\n\n— origin c2ln\n");
        let zeros = "A".repeat(43) + "=";
        let ones = "/".repeat(42) + "8=";
        let lines = format!("c2sp.org/tlog-proof@v1\nextra bGVhZg==\nindex 3\n{zeros}\n{ones}\n\norigin\n");
        assert_eq!(file, lines + "4\nroot\n\n— origin c2ln\n");
    }
}
