use crate::Engine;
use crate::policies::{Case, Text};
use crate::rhai_engine::{growth, rounded, times};
use cel::{Context, Env, Program, Value};
use contracts_vm::unit::divide_half_even;
use std::sync::Arc;

struct Cel {
    programs: [Program; 2],
    env: Arc<Env>,
    context: Context<'static, 'static>,
}

pub fn make(text: &Text) -> Box<dyn Engine> {
    let env = Arc::new(Env::stdlib());
    let programs = text.expressions.map(|expression| env.compile(expression).expect("an expression"));
    Box::new(Cel { programs, context: context(&env), env })
}

fn context(env: &Arc<Env>) -> Context<'static, 'static> {
    let mut context = Context::with_env(env.clone());
    context.add_function("growth", growth).expect("a function");
    context.add_function("times", times).expect("a function");
    context.add_function("rounded", rounded).expect("a function");
    let average = |values: Arc<Vec<Value>>, periods: i64| -> i64 {
        let number = |value: &Value| if let Value::Int(number) = value { i128::from(*number) } else { 0 };
        divide_half_even(values.iter().take(periods as usize).map(number).sum(), periods.into()) as i64
    };
    context.add_function("average", average).expect("a function");
    context
}

impl Engine for Cel {
    fn bind(&mut self, case: &Case) {
        self.context = context(&self.env);
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
        for (name, value) in numbers {
            self.context.add_variable_from_value(name, Value::Int(value));
        }
        for (name, values) in ["a", "b"].into_iter().zip(&case.feeds) {
            let values: Vec<Value> = values.iter().copied().map(Value::Int).collect();
            self.context.add_variable_from_value(name, Value::List(Arc::new(values)));
        }
    }

    fn run(&mut self) -> (bool, i64) {
        let verdict = self.programs[0].execute(&self.context);
        let rate = self.programs[1].execute(&self.context);
        match (verdict, rate) {
            (Ok(Value::Bool(verdict)), Ok(Value::Int(rate))) => (verdict, rate),
            other => panic!("{other:?}"),
        }
    }
}
