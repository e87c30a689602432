use crate::Engine;
use crate::policies::{Case, Text};
use contracts_vm::unit::divide_half_even;
use rhai::{AST, Dynamic, Scope};

struct Rhai {
    engine: rhai::Engine,
    programs: [AST; 2],
    scope: Scope<'static>,
}

pub fn growth(newest: i64, older: i64) -> i64 {
    divide_half_even(i128::from(newest - older) * 1_000_000, older.into()) as i64
}

pub fn times(factor: i64, value: i64) -> i64 {
    divide_half_even(i128::from(factor) * i128::from(value), 1_000_000) as i64
}

pub fn rounded(rate: i64, lower: i64, upper: i64, step: i64) -> i64 {
    divide_half_even(rate.clamp(lower, upper).into(), step.into()) as i64 * step
}

pub fn make(text: &Text) -> Box<dyn Engine> {
    let mut engine = rhai::Engine::new();
    engine.register_fn("growth", growth).register_fn("times", times).register_fn("rounded", rounded);
    engine.register_fn("average", |values: &mut rhai::Array, periods: i64| {
        let sum: i128 =
            values.iter().take(periods as usize).map(|value| i128::from(value.as_int().expect("an integer"))).sum();
        divide_half_even(sum, periods.into()) as i64
    });
    let programs = text.expressions.map(|expression| {
        // Rhai has no `? :`.
        engine.compile_expression(conditionals(expression)).expect("an expression")
    });
    Box::new(Rhai { engine, programs, scope: Scope::new() })
}

/// `C ? A : B` as `if C { A } else { B }`, from the first `?` of a bracket or argument on.
fn conditionals(text: &str) -> String {
    let Some(question) = text.find('?') else { return text.to_owned() };
    let (head, tail) = (&text[..question], &text[question + 1..]);
    let mut depth = 0;
    let starts = head
        .char_indices()
        .rev()
        .find(|(_, c)| {
            depth += match c {
                ')' | ']' => 1,
                '(' | '[' => -1,
                _ => 0,
            };
            depth < 0 || (depth == 0 && *c == ',')
        })
        .map_or(0, |(at, _)| at + 1);
    let ends_at = |text: &str, ends: &[char]| {
        let mut depth = 0;
        text.char_indices()
            .find(|(_, c)| {
                if depth == 0 && ends.contains(c) {
                    return true;
                }
                depth += match c {
                    '(' | '[' => 1,
                    ')' | ']' => -1,
                    _ => 0,
                };
                false
            })
            .map_or(text.len(), |(at, _)| at)
    };
    let colon = ends_at(tail, &[':']);
    let (then, rest) = (&tail[..colon], &tail[colon + 1..]);
    let end = ends_at(rest, &[',', ')']);
    let (otherwise, rest) = (&rest[..end], &rest[end..]);
    let (before, condition) = (&head[..starts], &head[starts..]);
    let built = format!("{before}(if {condition} {{ {} }} else {{ {} }})", conditionals(then), conditionals(otherwise));
    built + conditionals(rest).as_str()
}

impl Engine for Rhai {
    fn bind(&mut self, case: &Case) {
        self.scope = Scope::new();
        let numbers = [
            ("day", case.day),
            ("month", case.month),
            ("weekday", case.weekday),
            ("sector", case.sector.0.into()),
            ("loan_rate", case.loan_rate),
            ("term", case.term),
            ("term_max", case.term_max),
            ("age", case.age),
        ];
        numbers.into_iter().for_each(|(name, value)| {
            self.scope.push(name, value);
        });
        for (name, values) in ["a", "b"].into_iter().zip(&case.feeds) {
            let values: rhai::Array = values.iter().copied().map(Dynamic::from_int).collect();
            self.scope.push(name, values);
        }
    }

    fn run(&mut self) -> (bool, i64) {
        let verdict = self.engine.eval_ast_with_scope::<bool>(&mut self.scope, &self.programs[0]);
        let rate = self.engine.eval_ast_with_scope::<i64>(&mut self.scope, &self.programs[1]);
        (verdict.expect("a verdict"), rate.expect("a rate"))
    }
}
