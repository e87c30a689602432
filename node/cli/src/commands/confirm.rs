//! What cannot be taken back is shown, and confirmed by a person or by `--yes`.

use crate::Global;
use crate::outcome::Failure;
use std::io::{BufRead, IsTerminal, Write};

/// `announcement` says what will be; `what` names it: `a deployment`.
pub fn confirm(global: &Global, yes: bool, what: &str, announcement: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if global.json || !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("{what} is confirmed by a person, or by --yes")));
    }
    eprintln!("{announcement}");
    match confirmed(&mut std::io::stdin().lock(), &mut std::io::stderr().lock())? {
        true => Ok(()),
        false => Err(Failure::interrupted()),
    }
}

/// Anything but a clear yes is a no.
fn confirmed(input: &mut dyn BufRead, output: &mut dyn Write) -> Result<bool, Failure> {
    let asked = write!(output, "\nDo this? yes or no: ").and_then(|()| output.flush());
    asked.map_err(|error| Failure::usage(error.to_string()))?;
    let mut line = String::new();
    input.read_line(&mut line).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(line.trim() == "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_yes_is_a_yes() {
        for (said, is_done) in [("yes\n", true), ("y\n", false), ("no\n", false), ("", false)] {
            assert_eq!(confirmed(&mut said.as_bytes(), &mut Vec::new()).unwrap(), is_done, "{said}");
        }
    }
}
