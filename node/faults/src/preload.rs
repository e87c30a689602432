//! Libraries that stand before libc's in a process: what a call answers then is the row's.

use crate::disk::{run, text};
use std::path::Path;

/// Compiles the library and gives the command that starts a process with it. `settings` are the source's macros.
pub fn command(folder: &Path, name: &str, source: &str, settings: &[(&str, i64)]) -> Vec<String> {
    let (file, library) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.so")));
    std::fs::write(&file, source).unwrap();
    let settings: Vec<String> = settings.iter().map(|(name, value)| format!("-D{name}=({value}ll)")).collect();
    let mut compile = vec!["-shared", "-fPIC", "-O1"];
    compile.extend(settings.iter().map(String::as_str));
    compile.extend(["-o", text(&library), text(&file)]);
    run("cc", &compile);
    vec!["env".to_owned(), format!("LD_PRELOAD={}", text(&library))]
}
