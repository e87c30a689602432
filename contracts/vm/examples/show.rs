//! What a policy file gives: `cargo run -p contracts-vm --example show -- FILE`.

use contracts_vm::{Language, check};

fn main() {
    let path = std::env::args().nth(1).expect("a file");
    let source = std::fs::read_to_string(path).expect("the file can be read");
    match check(&source) {
        Err(diagnostics) => diagnostics.iter().for_each(|found| print!("{}", found.render(&source, false))),
        Ok(checked) => {
            checked.findings.iter().for_each(|found| print!("{}", found.render(&source, false)));
            let policy = checked.policy;
            println!("{}", policy.canonical());
            println!("{}", policy.explain(Language::English));
            println!("{}", policy.explain(Language::Chinese));
            let program = policy.compile();
            println!("{}fuel {}, {} bytes", program.disassemble(), program.fuel(), program.to_bytes().len());
        }
    }
}
