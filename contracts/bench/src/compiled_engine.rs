//! wasmi on what rustc made of `equivalent/policies.rs`: the whole of each policy.

use crate::Engine;
use crate::policies::{Case, Text};
use crate::wasm_engine::sectors;
use contracts_vm::calendar::MS_PER_DAY;
use wasmi::{Linker, Memory, Module, Store, TypedFunc};

/// Time, sector's place, the policy's sectors (low and high half), loan rate, term.
type Loan = (u64, u64, u64, u64, i64, i64);
/// Time, time of the activation.
type Due = (u64, u64);

struct Compiled {
    is_metered: bool,
    store: Store<()>,
    memory: Memory,
    /// Where feeds and their lengths lie in it.
    at: [usize; 2],
    verdict: TypedFunc<Loan, i64>,
    rate: TypedFunc<Due, i64>,
    sectors: u128,
    loan: Loan,
    due: Due,
}

/// More than any of them takes.
const FUEL: u64 = 1_000_000;
const FEED_BYTES: usize = 64 * 32;

/// As fast as it can.
pub fn make(text: &Text) -> Box<dyn Engine> {
    make_with(text, false)
}

/// With fuel, as whoever executes a stranger's program must have it, and as ours always has.
pub fn make_metered(text: &Text) -> Box<dyn Engine> {
    make_with(text, true)
}

fn make_with(text: &Text, is_metered: bool) -> Box<dyn Engine> {
    let mut config = wasmi::Config::default();
    config.consume_fuel(is_metered);
    let engine = wasmi::Engine::new(&config);
    let module = Module::new(&engine, include_bytes!(concat!(env!("OUT_DIR"), "/policies.wasm"))).expect("a module");
    let mut store = Store::new(&engine, ());
    if is_metered {
        store.set_fuel(FUEL).expect("it is metered");
    }
    let instance = Linker::new(&engine).instantiate_and_start(&mut store, &module).expect("an instance");
    let at = ["readings", "counts"].map(|name| {
        let address = instance.get_typed_func::<(), u32>(&store, name).expect("a function");
        address.call(&mut store, ()).expect("an address") as usize
    });
    let name = text.name.replace('-', "_");
    let verdict = instance.get_typed_func(&store, &format!("{name}_verdict")).expect("a function");
    let rate = instance.get_typed_func(&store, &format!("{name}_rate")).expect("a function");
    let memory = instance.get_memory(&store, "memory").expect("a memory");
    Box::new(Compiled {
        is_metered,
        store,
        memory,
        at,
        verdict,
        rate,
        sectors: sectors(text),
        loan: (0, 0, 0, 0, 0, 0),
        due: (0, 0),
    })
}

impl Engine for Compiled {
    fn bind(&mut self, case: &Case) {
        let time_ms = case.day as u64 * MS_PER_DAY;
        let mut put = |at: usize, bytes: &[u8]| self.memory.write(&mut self.store, at, bytes).expect("there is room");
        for (feed, values) in case.feeds.iter().enumerate() {
            let reading = |(back, value): (usize, &i64)| [*value as u64, time_ms, u64::MAX, 8_000 - back as u64];
            let numbers = values.iter().enumerate().flat_map(reading);
            let bytes: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
            put(self.at[0] + feed * FEED_BYTES, &bytes);
            put(self.at[1] + feed * 8, &(values.len() as u64).to_le_bytes());
        }
        let sector = case.sector.position().expect("of the list").into();
        let (low, high) = (self.sectors as u64, (self.sectors >> 64) as u64);
        self.loan = (time_ms, sector, low, high, case.loan_rate, case.term);
        self.due = (time_ms, time_ms - case.age as u64 * MS_PER_DAY);
    }

    fn run(&mut self) -> (bool, i64) {
        if self.is_metered {
            self.store.set_fuel(FUEL).expect("it is metered");
        }
        let verdict = self.verdict.call(&mut self.store, self.loan).expect("a verdict");
        let rate = self.rate.call(&mut self.store, self.due).expect("a rate");
        (verdict != 0, rate)
    }
}
