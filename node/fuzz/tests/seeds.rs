//! The inputs that every target starts from: of the project's golden bytes, the proofs of an honest chain and some documents,
//! each target has those that it takes. `ASSAY_WRITE=1 cargo test -p assay-fuzz --test seeds` writes them.

#[path = "../../../ledger/verify/tests/chain/mod.rs"]
mod chain;
#[path = "seeds/pool.rs"]
mod pool;

use assay_fuzz::TARGETS;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[test]
fn every_target_has_the_golden_bytes_that_it_takes() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let honest = pool::honest();
    let write = std::env::var_os("ASSAY_WRITE").is_some();
    for (name, bytes) in &honest {
        let path = here.join("honest").join(name);
        if write {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
        }
        assert_eq!(&fs::read(&path).unwrap(), bytes, "{name}: ASSAY_WRITE=1 writes it");
    }
    let pool = pool::pool();
    for target in TARGETS {
        let seeds: BTreeMap<_, _> = pool.iter().filter(|(_, bytes)| (target.run)(bytes)).collect();
        assert!(!seeds.is_empty(), "{} takes none of {} inputs", target.name, pool.len());
        for (name, bytes) in seeds {
            let path = here.join("corpus").join(target.name).join(format!("seed-{name}"));
            if write {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, bytes).unwrap();
            }
            assert_eq!(&fs::read(&path).unwrap_or_default(), bytes, "{path:?}: ASSAY_WRITE=1 writes it");
        }
    }
}
