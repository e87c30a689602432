//! Compiles `equivalent/policies.rs` to WebAssembly, and has rustup fetch what that takes.

use std::path::PathBuf;
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

fn main() {
    println!("cargo::rerun-if-changed=equivalent/policies.rs");
    println!("cargo::rerun-if-changed=../vm/src/calendar.rs");
    let is_there = Command::new("rustup").args(["target", "add", TARGET]).status().is_ok_and(|status| status.success());
    let compiled = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("policies.wasm");
    let status = Command::new(std::env::var_os("RUSTC").expect("cargo sets it"))
        .args([
            "--edition=2024",
            "--crate-type=cdylib",
            "--target",
            TARGET,
            "-Copt-level=3",
            "-Cpanic=abort",
            "-Clto=fat",
        ])
        .args(["-Cstrip=symbols", "equivalent/policies.rs", "-o"])
        .arg(&compiled)
        .status()
        .expect("rustc");
    assert!(
        status.success(),
        "policies.wasm was not compiled; rustup {}",
        if is_there { "has the target" } else { "cannot add the target" }
    );
}
