//! One program for all targets, so that the engine and RocksDB are linked once: `ASSAY_FUZZ_TARGET` names which.
#![no_main]

use assay_fuzz::Target;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("ASSAY_FUZZ_TARGET").expect("ASSAY_FUZZ_TARGET names a target");
    assay_fuzz::target(&name).unwrap_or_else(|| panic!("there is no target {name}"))
});

fuzz_target!(|bytes: &[u8]| {
    (TARGET.run)(bytes);
});
