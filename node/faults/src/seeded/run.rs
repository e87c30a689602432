//! Puts the seeded bugs into a copy of the tree, one at a time, and runs what must catch each.
//!
//! - First every catcher runs on the copy as it is, and must pass: what fails anyway catches nothing.
//! - A bug must compile. Then its catcher has [`LIMIT`] to fail, with a panic of its own: a run that is killed is no catch.
//! - The copy is made of what git knows, by content: a file that is put back gets a new time, so cargo builds it again.

use super::{Catcher, Caught, SEEDED, Seeded};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Of a catcher's run, its build apart: a bug that takes longer to be seen would not be seen before it ships.
const LIMIT: Duration = Duration::from_secs(300);
/// Name spaces of its own for each run: fixed addresses do not meet, and everything ends with its first process.
const ALONE: [&str; 10] = [
    "unshare",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "bash",
    "-c",
    "ip link set lo up && mount -t tmpfs none /run && exec \"$@\"",
];
const SAID_MAX: usize = 240;

struct Copy {
    root: PathBuf,
    tree: PathBuf,
    target: PathBuf,
}

impl Copy {
    /// Of the tree at `root`, in `folder`, whose build folder may hold what others have built of the dependencies.
    fn make(root: &Path, folder: &Path) -> Result<Self, String> {
        let copy = Copy { root: root.into(), tree: folder.join("tree"), target: folder.join("target") };
        let listed = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output();
        let listed = listed.map_err(|error| format!("git: {error}"))?;
        let names = String::from_utf8_lossy(&listed.stdout).into_owned();
        // A file that git knows and that is gone was deleted.
        let names: BTreeSet<&str> =
            names.split('\0').filter(|name| !name.is_empty() && root.join(name).exists()).collect();
        if names.is_empty() {
            return Err(format!("{} is no tree that git knows", root.display()));
        }
        names.iter().try_for_each(|name| copy.restore(name))?;
        copy.drop_what_is_not(&names, &copy.tree)?;
        Ok(copy)
    }

    /// A file that another commit left would be compiled or tested with the rest.
    fn drop_what_is_not(&self, names: &BTreeSet<&str>, folder: &Path) -> Result<(), String> {
        let at = |error| format!("{}: {error}", folder.display());
        for entry in std::fs::read_dir(folder).map_err(at)? {
            let path = entry.map_err(at)?.path();
            let name = path.strip_prefix(&self.tree).expect("it lies in the copy").to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() {
                self.drop_what_is_not(names, &path)?;
            } else if !names.contains(name.as_str()) {
                std::fs::remove_file(&path).map_err(at)?;
            }
        }
        Ok(())
    }

    /// As it is in the tree. A file of the same content stays untouched.
    fn restore(&self, name: &str) -> Result<(), String> {
        let (from, to) = (self.root.join(name), self.tree.join(name));
        let failed = |error: std::io::Error| format!("{}: {error}", to.display());
        if from.is_symlink() {
            let target = std::fs::read_link(&from).map_err(failed)?;
            if std::fs::read_link(&to).ok() != Some(target.clone()) {
                let _ = std::fs::remove_file(&to);
                std::fs::create_dir_all(to.parent().expect("a file has a folder")).map_err(failed)?;
                std::os::unix::fs::symlink(target, &to).map_err(failed)?;
            }
            return Ok(());
        }
        let bytes = std::fs::read(&from).map_err(failed)?;
        if std::fs::read(&to).ok().as_deref() == Some(&bytes[..]) {
            return Ok(());
        }
        std::fs::create_dir_all(to.parent().expect("a file has a folder")).map_err(failed)?;
        std::fs::write(&to, bytes).map_err(failed)?;
        let mode = std::fs::metadata(&from).map_err(failed)?.permissions();
        std::fs::set_permissions(&to, mode).map_err(failed)
    }

    fn seed(&self, bug: &Seeded) -> Result<(), String> {
        let path = self.tree.join(bug.file);
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        if text.matches(bug.line).count() != 1 {
            return Err(format!("{} does not have this line once: {}", bug.file, bug.line));
        }
        std::fs::write(&path, text.replace(bug.line, bug.instead)).map_err(failed)
    }

    fn cargo(&self, arguments: &[&str]) -> Result<Output, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target).stdin(Stdio::null());
        command.args(arguments).output().map_err(|error| format!("cargo: {error}"))
    }

    fn build(&self, catcher: &Catcher) -> Result<(), String> {
        let mut arguments = vec!["build", "--locked", "--release"];
        match catcher {
            Catcher::Test { target, .. } => {
                arguments = vec!["test", "--locked", "--release", "--no-run"];
                arguments.extend(catcher.packages());
                arguments.extend(*target);
            }
            Catcher::Row(_) => arguments.extend(catcher.packages().into_iter().chain(["--bins"])),
        }
        let built = self.cargo(&arguments)?;
        if built.status.success() { Ok(()) } else { Err(tail("it does not compile", &built)) }
    }

    /// What a built catcher says.
    fn catches(&self, catcher: &Catcher) -> Result<Said, String> {
        let mut command = Command::new(ALONE[0]);
        command.args(&ALONE[1..]).arg("seeded").current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target);
        match catcher {
            Catcher::Test { target, name, .. } => {
                command.args(["cargo", "test", "--locked", "--offline", "--release"]).args(catcher.packages());
                command.args(*target).args(["--", "--test-threads=1", name]);
            }
            Catcher::Row(row) => {
                command.arg(self.target.join("release/assay-faults")).args(["run", "--brief", "--seed", "1", row]);
            }
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
        let started = Instant::now();
        // Its end closes them: whatever it starts ends with it, in a process space of its own.
        let printed = stdout.recv_timeout(LIMIT).ok();
        if printed.is_none() {
            child.kill().map_err(|error| format!("it cannot be ended: {error}"))?;
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        let seconds = started.elapsed().as_secs_f64().round() as u64;
        let has_passed = printed.is_some().then(|| status.success());
        let text = [printed.unwrap_or_default(), stderr.recv().unwrap_or_default()].concat();
        Ok(Said { seconds, text, has_passed })
    }
}

impl Catcher {
    /// As cargo's arguments. Of a part of the workspace the dependencies have other features, and RocksDB is compiled anew for
    /// them; but every package has a library, and to build all their tests takes longer than what has no RocksDB.
    fn packages(&self) -> Vec<&'static str> {
        match self {
            Catcher::Test { package, target: ["--lib"], .. } if *package != "node" => vec!["-p", package],
            _ => vec!["--workspace"],
        }
    }
}

/// Gives all that comes, once the pipe is closed.
fn reader(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let mut pipe = pipe.expect("its output is piped");
    let (all, given) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read up to an error counts.
        let _ = pipe.read_to_end(&mut bytes);
        // Nobody waits for it any more where the run was ended.
        let _ = all.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    given
}

struct Said {
    seconds: u64,
    text: String,
    /// None if it ran into the limit.
    has_passed: Option<bool>,
}

impl Said {
    /// On the copy without a bug.
    fn passes(&self, catcher: &Catcher) -> Result<(), String> {
        let ran = match catcher {
            // A name that no test has would pass, and catch nothing.
            Catcher::Test { .. } => self.text.contains("test result: ok. 1 passed"),
            Catcher::Row(_) => self.text.contains("\tpassed"),
        };
        match self.has_passed {
            Some(true) if ran => Ok(()),
            Some(true) => Err(format!("{catcher} is not one test")),
            Some(false) => Err(format!("{catcher} fails without a bug: {}", self.panic().unwrap_or_default())),
            None => Err(format!("{catcher} takes more than {} s", LIMIT.as_secs())),
        }
    }

    fn outcome(&self) -> String {
        match (self.has_passed, self.panic()) {
            (Some(false), Some(said)) => format!("caught: {said}"),
            (Some(false), None) => "missed: it fails without an assertion".to_owned(),
            (Some(true), _) => "missed: it passes".to_owned(),
            (None, _) => format!("missed: it does not end within {} s", LIMIT.as_secs()),
        }
    }

    /// What the first panic said: the lines after the one that names its place.
    fn panic(&self) -> Option<String> {
        let (_, after) = self.text.split_once("panicked at ")?;
        let lines = after.lines().skip(1).take_while(|line| !line.starts_with("note: ") && !line.starts_with("stack "));
        let said = lines.collect::<Vec<_>>().join(" ");
        let said: Vec<&str> = said.split_whitespace().collect();
        Some(said.join(" ").chars().take(SAID_MAX).collect())
    }
}

fn tail(what: &str, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error")).take(3).collect();
    format!("{what}: {}", errors.join("; "))
}

/// Runs these bugs, or all, and gives each outcome to `told` as it is known. An error is of the harness and not of a bug.
pub fn run(
    root: &Path,
    folder: &Path,
    names: &[String],
    date: &str,
    commit: &str,
    mut told: impl FnMut(&Caught) -> Result<(), String>,
) -> Result<(), String> {
    let known = |name: &&String| !SEEDED.iter().any(|bug| bug.name == **name);
    if let Some(unknown) = names.iter().find(known) {
        let all: Vec<&str> = SEEDED.iter().map(|bug| bug.name).collect();
        return Err(format!("there is no seeded bug {unknown}; there are {}", all.join(" ")));
    }
    let bugs: Vec<&Seeded> =
        SEEDED.iter().filter(|bug| names.is_empty() || names.iter().any(|name| name == bug.name)).collect();
    let copy = Copy::make(root, folder)?;
    for catcher in bugs.iter().map(|bug| bug.caught_by).collect::<BTreeSet<_>>() {
        copy.build(&catcher)?;
        let said = copy.catches(&catcher)?;
        eprintln!("without a bug: {catcher}: {} s", said.seconds);
        said.passes(&catcher)?;
    }
    for bug in bugs {
        copy.seed(bug)?;
        let outcome = copy.build(&bug.caught_by).and_then(|()| copy.catches(&bug.caught_by));
        copy.restore(bug.file)?;
        let (seconds, outcome) = match outcome {
            Ok(said) => (said.seconds, said.outcome()),
            Err(error) => (0, format!("missed: {error}")),
        };
        told(&Caught {
            date: date.to_owned(),
            commit: commit.to_owned(),
            bug: bug.name.to_owned(),
            seconds,
            catcher: bug.caught_by.to_string(),
            outcome,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(has_passed: Option<bool>, text: &str) -> Said {
        Said { seconds: 1, text: text.to_owned(), has_passed }
    }

    #[test]
    fn a_bug_is_caught_by_an_assertion_alone() {
        let panic = "thread 'a' panicked at a.rs:1:2:\nassertion failed:\n  left\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(said(Some(false), panic).outcome(), "caught: assertion failed: left");
        for missed in [said(Some(false), "error: no such test"), said(Some(true), panic), said(None, panic)] {
            assert!(missed.outcome().starts_with("missed: "), "{}", missed.outcome());
        }
    }

    #[test]
    fn a_name_that_no_test_has_does_not_pass_without_a_bug() {
        let test = SEEDED.iter().map(|bug| bug.caught_by).find(|by| matches!(by, Catcher::Test { .. })).unwrap();
        assert!(said(Some(true), "test result: ok. 1 passed; 0 failed").passes(&test).is_ok());
        assert!(said(Some(true), "test result: ok. 0 passed; 0 failed").passes(&test).is_err());
        assert!(said(None, "").passes(&test).is_err());
        assert!(said(Some(true), "x\tpassed").passes(&Catcher::Row("P3")).is_ok());
    }

    #[test]
    fn a_copy_is_what_git_knows_and_a_bug_that_was_put_in_comes_out_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let at = |name: &str| folder.path().join("copy/tree").join(name);
        std::fs::create_dir_all(root.join("src")).unwrap();
        std::fs::write(root.join("src/a.rs"), "if is_spent {").unwrap();
        std::fs::write(root.join("unknown"), "").unwrap();
        let git = |arguments: &[&str]| {
            assert!(Command::new("git").arg("-C").arg(&root).args(arguments).output().unwrap().status.success());
        };
        git(&["init", "--quiet"]);
        git(&["add", "src"]);
        std::fs::create_dir_all(at("src")).unwrap();
        std::fs::write(at("src/of_another_commit.rs"), "").unwrap();
        let copy = Copy::make(&root, &folder.path().join("copy")).unwrap();
        assert!(!at("unknown").exists() && !at("src/of_another_commit.rs").exists());
        let bug = Seeded {
            name: "A",
            what: "",
            file: "src/a.rs",
            line: "if is_spent {",
            instead: "if false {",
            caught_by: Catcher::Row("P1"),
        };
        copy.seed(&bug).unwrap();
        assert_eq!(std::fs::read_to_string(at("src/a.rs")).unwrap(), "if false {");
        assert!(copy.seed(&bug).is_err(), "the line is no longer there");
        copy.restore(bug.file).unwrap();
        assert_eq!(std::fs::read_to_string(at("src/a.rs")).unwrap(), "if is_spent {");
    }
}
