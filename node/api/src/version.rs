//! What a program says of itself under `--version`.

/// Its version; the commit that it was built from, if the build was told (`ASSAY_COMMIT`, which the scripts set); the protocol that it
/// speaks (`ledger/PROTOCOL.md`); and what else it is made of. The program asks for the commit, since whatever is compiled with it is
/// compiled anew for each.
pub fn long_version(version: &str, commit: Option<&str>, made_of: &[&str]) -> String {
    let commit = commit.filter(|commit| !commit.is_empty()).unwrap_or("unknown");
    let mut lines = vec![
        version.to_owned(),
        format!("commit    {commit}"),
        format!("protocol  {}", ledger_types::genesis::GENESIS_VERSION),
    ];
    lines.extend(made_of.iter().map(|part| (*part).to_owned()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_was_not_told_its_commit_says_so() {
        assert_eq!(
            long_version("1.2.3", Some("0a1b2c"), &["engine    X"]),
            "1.2.3\ncommit    0a1b2c\nprotocol  1\nengine    X"
        );
        for untold in [None, Some("")] {
            assert_eq!(long_version("1.2.3", untold, &[]), "1.2.3\ncommit    unknown\nprotocol  1");
        }
    }
}
