//! The policy by hand in WebAssembly text, spared what is said in main.rs: straight code over locals, feeds in linear memory.

use crate::Engine;
use crate::policies::{Case, Text};
use wasmi::{Linker, Memory, Module, Store, TypedFunc};

type Arguments = (i64, i64, i64, i64, i64, i64, i64, i64);

struct Wasm {
    store: Store<()>,
    memory: Memory,
    functions: [TypedFunc<Arguments, i64>; 2],
    arguments: Arguments,
}

const PRELUDE: &str = r#"
(memory (export "memory") 1)
(func $a (param $back i32) (result i64) (i64.load (i32.shl (local.get $back) (i32.const 3))))
(func $b (param $back i32) (result i64) (i64.load offset=1024 (i32.shl (local.get $back) (i32.const 3))))
(func $ge (param i64 i64) (result i64) (i64.extend_i32_u (i64.ge_s (local.get 0) (local.get 1))))
(func $lt (param i64 i64) (result i64) (i64.extend_i32_u (i64.lt_s (local.get 0) (local.get 1))))
(func $in (param $sector i64) (param $low i64) (param $high i64) (result i64)
    (i64.and (i64.const 1)
        (i64.shr_u
            (select (local.get $low) (local.get $high) (i64.lt_u (local.get $sector) (i64.const 64)))
            (local.get $sector))))
;; Half to even; the divisor lies above 0.
(func $divide (param $value i64) (param $by i64) (result i64) (local $quotient i64) (local $rest i64)
    (local.set $quotient (i64.div_s (local.get $value) (local.get $by)))
    (local.set $rest (i64.rem_s (local.get $value) (local.get $by)))
    (if (i64.lt_s (local.get $rest) (i64.const 0)) (then
        (local.set $quotient (i64.sub (local.get $quotient) (i64.const 1)))
        (local.set $rest (i64.add (local.get $rest) (local.get $by)))))
    (local.set $rest (i64.shl (local.get $rest) (i64.const 1)))
    (if (i32.or
            (i64.gt_s (local.get $rest) (local.get $by))
            (i32.and
                (i64.eq (local.get $rest) (local.get $by))
                (i32.wrap_i64 (i64.and (local.get $quotient) (i64.const 1)))))
        (then (local.set $quotient (i64.add (local.get $quotient) (i64.const 1)))))
    (local.get $quotient))
(func $growth (param $newest i64) (param $older i64) (result i64)
    (call $divide
        (i64.mul (i64.sub (local.get $newest) (local.get $older)) (i64.const 1000000)) (local.get $older)))
(func $times (param $factor i64) (param $value i64) (result i64)
    (call $divide (i64.mul (local.get $factor) (local.get $value)) (i64.const 1000000)))
(func $rounded (param $rate i64) (param $lower i64) (param $upper i64) (param $step i64) (result i64)
    (if (i64.lt_s (local.get $rate) (local.get $lower)) (then (return (local.get $lower))))
    (if (i64.gt_s (local.get $rate) (local.get $upper)) (then (return (local.get $upper))))
    (i64.mul (call $divide (local.get $rate) (local.get $step)) (local.get $step)))
(func $falls (result i32)
    (i32.and
        (i64.lt_s (call $a (i32.const 0)) (call $a (i32.const 1)))
        (i64.lt_s (call $a (i32.const 1)) (call $a (i32.const 2)))))
(func $average (param $periods i32) (result i64) (local $at i32) (local $sum i64)
    (loop $next
        (local.set $sum (i64.add (local.get $sum) (call $a (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $at) (local.get $periods))))
    (call $divide (local.get $sum) (i64.extend_i32_u (local.get $periods))))
"#;

const PARAMETERS: &str = "(param $day i64) (param $month i64) (param $weekday i64) (param $sector i64) \
                          (param $loan_rate i64) (param $term i64) (param $term_max i64) (param $age i64) (result i64)";

pub fn make(text: &Text) -> Box<dyn Engine> {
    let sectors = sectors(text);
    let function = |name: &str, body: &str| {
        let body = body.replace("SECTORS_LOW", &format!("0x{:x}", sectors as u64));
        let body = body.replace("SECTORS_HIGH", &format!("0x{:x}", (sectors >> 64) as u64));
        format!("(func (export \"{name}\") {PARAMETERS} {body})\n")
    };
    let module = format!("(module {PRELUDE}{}{})", function("verdict", text.wat[0]), function("rate", text.wat[1]));
    let engine = wasmi::Engine::default();
    let module = Module::new(&engine, module.as_bytes()).expect("a module");
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate_and_start(&mut store, &module).expect("an instance");
    let function = |name| instance.get_typed_func::<Arguments, i64>(&store, name).expect("a function");
    let functions = [function("verdict"), function("rate")];
    let memory = instance.get_memory(&store, "memory").expect("a memory");
    Box::new(Wasm { store, memory, functions, arguments: (0, 0, 0, 0, 0, 0, 0, 0) })
}

/// A bit for each position of the list.
pub fn sectors(text: &Text) -> u128 {
    let mut set = contracts_vm::SectorSet::default();
    text.sectors.iter().for_each(|code| set.insert(contracts_vm::SectorCode::parse(code).expect("of the list")));
    set.bits()
}

impl Engine for Wasm {
    fn bind(&mut self, case: &Case) {
        for (offset, values) in [0, 1024].into_iter().zip(&case.feeds) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.memory.write(&mut self.store, offset, &bytes).expect("a page is enough");
        }
        let sector = i64::from(case.sector.position().expect("of the list"));
        let Case { day, month, weekday, loan_rate, term, term_max, age, .. } = case;
        self.arguments = (*day, *month, *weekday, sector, *loan_rate, *term, *term_max, *age);
    }

    fn run(&mut self) -> (bool, i64) {
        let verdict = self.functions[0].call(&mut self.store, self.arguments).expect("a verdict");
        let rate = self.functions[1].call(&mut self.store, self.arguments).expect("a rate");
        (verdict != 0, rate)
    }
}
