//! From shape to meaning: names, units, scales, bounds (LANGUAGE.md, T and D).

use crate::diagnostic::{Diagnostic, Span, diagnostic};
use crate::policy::{Case, Condition, Cycle, Feed, Policy, Quantity, QuantityKind};
use crate::sector::{SectorCode, SectorSet};
use crate::syntax::{
    Clamp, Expression, FeedLine, FeedUnit, Kind, Literal, Over, SectorRun, Source, UnitWord, is_keyword,
};
use crate::unit::{
    BASIS_POINT, Currency, DAYS_MAX, FACTOR_MAX, FACTOR_ONE, INDEX_SCALE_MAX, LEVEL_MAX, PERCENT_DECIMALS, RATE_MAX,
    SeriesName, Unit, WhenStale,
};
use crate::{FEEDS_MAX, PERIODS_MAX};

/// Of each of `effective when` and `deny when`: a receipt names a line in a byte.
const LINES_MAX: usize = 32;
const CASES_MAX: usize = 16;
/// Of a calendar month count: a loan's term is at most 179 years.
const MONTHS_MAX: i64 = 2_148;

/// Where the parts of a policy stand, for findings about them.
pub(crate) struct Places {
    pub feeds: Vec<Span>,
    pub effective: Vec<Span>,
    pub effective_heading: Span,
    pub denies: Vec<Span>,
    pub cases: Vec<Span>,
    pub rates: Vec<Span>,
    pub otherwise: Span,
    pub clamp: Span,
}

type Typed<T> = Result<T, Diagnostic>;

/// Which context a line may ask about (T-9).
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Activation,
    Return,
}

pub(crate) fn check(source: &Source, end: Span, diagnostics: &mut Vec<Diagnostic>) -> Option<(Policy, Places)> {
    let is_whole = diagnostics.is_empty();
    let mut note = |typed: Diagnostic| diagnostics.push(typed);
    let mut missing = |is_missing: bool, what: &str, mend: &str| {
        // A part that was refused is not missing too.
        if is_missing && is_whole {
            note(diagnostic(if what == "idle after" { 25 } else { 7 }, end, format!("`{what}` is missing"), mend));
        }
    };
    missing(source.policy.is_none(), "policy", "begin with `policy \"name\" version 1`");
    missing(source.currency.is_none(), "currency", "add `currency CNY`");
    let no_lines = source.effective.as_ref().is_none_or(|section| section.lines.is_empty());
    missing(no_lines, "effective when", "add it and at least one condition: what is not permitted is denied");
    let mend = "add `idle after 180 days`: money that nobody lends must go back, for every wait has an end";
    missing(source.idle.is_none(), "idle after", mend);
    missing(source.rates.is_none(), "return rate", "add `return rate` with `otherwise` and `clamp`");
    let has_rates = source.rates.is_some();
    missing(
        has_rates && source.otherwise.is_none(),
        "otherwise",
        "add the rate for when no case holds: `otherwise 2.00 %`",
    );
    missing(has_rates && source.clamp.is_none(), "clamp", "add the bounds: `clamp 0.10 % .. 4.00 %, step 1 bp`");

    let mut checker = Checker { feeds: Vec::new(), names: Vec::new(), read: Vec::new(), is_whole };
    let (mut name, mut version, mut currency) = (String::new(), 0, None);
    if let Some((text, place, number, number_place)) = &source.policy {
        let is_name =
            (1..=32).contains(&text.len()) && text.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !is_name {
            let mend = "use 1 to 32 of a-z, 0-9 and -";
            diagnostics.push(diagnostic(9, *place, format!("\"{text}\" is no policy name"), mend));
        }
        name.clone_from(text);
        match u32::try_from(*number).ok().filter(|version| *version > 0) {
            Some(number) => version = number,
            None => diagnostics.push(out_of_range(*number_place, "a version", "1", "4294967295")),
        }
    }
    if let Some((code, place)) = &source.currency {
        match currency_of(code, *place) {
            Ok(code) => currency = Some(code),
            Err(wrong) => diagnostics.push(wrong),
        }
    }
    for line in &source.feeds {
        match checker.feed(line) {
            Ok(feed) => {
                checker.names.push(feed.name.clone());
                checker.feeds.push((feed, line.place));
            }
            Err(wrong) => {
                checker.names.push(line.name.clone());
                diagnostics.push(wrong);
            }
        }
    }
    // G-2
    if source.feeds.len() > FEEDS_MAX {
        let place = source.feeds[FEEDS_MAX].place;
        let mend = "read fewer series, or compute one outside and publish it";
        diagnostics.push(diagnostic(13, place, format!("a policy reads at most {FEEDS_MAX} feeds"), mend));
        return None;
    }
    checker.read = vec![false; checker.feeds.len()];

    let mut lines = |section: &Option<crate::syntax::Section<Expression>>| {
        let mut conditions = Vec::new();
        let mut places = Vec::new();
        let Some(section) = section else { return (conditions, places) };
        // G-3
        if section.lines.len() > LINES_MAX {
            let mend = "join lines with `and`, or `or` under `deny when`";
            let cause = format!("the part has more than {LINES_MAX} lines");
            diagnostics.push(diagnostic(13, section.heading, cause, mend));
            return (conditions, places);
        }
        for line in &section.lines {
            match checker.condition(line, At::Activation) {
                Ok(condition) => conditions.push(condition),
                Err(wrong) => diagnostics.extend(wrong),
            }
            places.push(line.place);
        }
        (conditions, places)
    };
    let (effective, effective_places) = lines(&source.effective);
    let (denies, deny_places) = lines(&source.denies);

    let (mut cases, mut case_places, mut rate_places) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(section) = &source.rates {
        // G-3
        if section.lines.len() > CASES_MAX {
            let cause = format!("`return rate` has more than {CASES_MAX} cases");
            diagnostics.push(diagnostic(13, section.heading, cause, "join cases, or compute the rate from the feeds"));
        }
        for (when, rate) in section.lines.iter().take(CASES_MAX) {
            let condition = checker.condition(when, At::Return);
            let quantity = checker.rate(rate);
            case_places.push(when.place);
            rate_places.push(rate.place);
            match (condition, quantity) {
                (Ok(when), Ok(rate)) => cases.push(Case { when, rate }),
                (when, rate) => {
                    diagnostics.extend(when.err().flatten());
                    diagnostics.extend(rate.err().flatten());
                }
            }
        }
    }
    let otherwise = source.otherwise.as_ref().and_then(|rate| match checker.rate(rate) {
        Ok(rate) => Some(rate),
        Err(wrong) => {
            diagnostics.extend(wrong);
            None
        }
    });
    let mut keep = |typed: Typed<i64>| typed.map_err(|wrong| diagnostics.push(wrong)).ok();
    let idle_days = source.idle.as_ref().and_then(|after| keep(days_of(after, 1, "idle after")));
    let due_days = match &source.due {
        Some(due) => keep(days_of(due, 0, "due")),
        None => Some(0),
    };
    let clamp = source.clamp.as_ref().and_then(|clamp| match clamp_of(clamp) {
        Ok(clamp) => Some(clamp),
        Err(wrong) => {
            diagnostics.push(wrong);
            None
        }
    });
    if diagnostics.is_empty() {
        for ((feed, place), read) in checker.feeds.iter().zip(&checker.read) {
            if !read {
                let cause = format!("nothing reads the feed `{}`", feed.name);
                diagnostics.push(diagnostic(
                    12,
                    *place,
                    cause,
                    "take the line out, or use the feed in a condition or a rate",
                ));
            }
        }
    }
    if !diagnostics.is_empty() {
        return None;
    }
    let (lower, upper, step) = clamp?;
    let (feeds, feed_places) = checker.feeds.into_iter().unzip();
    let policy = Policy {
        name,
        version,
        currency: currency?,
        feeds,
        effective,
        denies,
        idle_days: u16::try_from(idle_days?).ok()?,
        due_days: u16::try_from(due_days?).ok()?,
        cases,
        otherwise: otherwise?,
        lower,
        upper,
        step,
    };
    let places = Places {
        feeds: feed_places,
        effective: effective_places,
        denies: deny_places,
        effective_heading: source.effective.as_ref()?.heading,
        cases: case_places,
        rates: rate_places,
        otherwise: source.otherwise.as_ref()?.place,
        clamp: source.clamp.as_ref()?.place,
    };
    Some((policy, places))
}

/// D-18.
fn out_of_range(place: Span, what: &str, least: &str, most: &str) -> Diagnostic {
    diagnostic(18, place, format!("{what} must lie between {least} and {most}"), "choose a value within these bounds")
}

fn currency_of(code: &str, place: Span) -> Typed<Currency> {
    Currency::parse(code).ok_or_else(|| {
        let mend = "write three capital letters, as ISO 4217 has them: CNY, EUR, USD";
        diagnostic(29, place, format!("`{code}` is no currency code"), mend)
    })
}

/// D-17, D-18: a decimal number in an integer unit of `scale` decimals, `factor` to the written unit.
fn scaled(literal: &Literal, scale: u8, most: i64, what: Unit) -> Typed<i64> {
    let Some(missing) = scale.checked_sub(literal.decimals) else {
        let (cause, mend) = (
            format!("the number has {} decimals, {what} holds {scale} here", literal.decimals),
            format!("write at most {scale} decimals"),
        );
        return Err(diagnostic(17, literal.place, cause, mend));
    };
    let value = i128::from(literal.digits) * 10_i128.pow(missing.into());
    i64::try_from(value)
        .ok()
        .filter(|value| (-most..=most).contains(value))
        .ok_or_else(|| out_of_range(literal.place, &what.to_string(), &what.write(-most), &what.write(most)))
}

/// T-1, D-14: what a bare number may have meant. `430` is never 4.30 %.
fn without_unit(literal: &Literal) -> Diagnostic {
    let number = crate::unit::decimal(literal.digits, literal.decimals, 0);
    let mend = format!(
        "say what it counts: `{number} %`, `{number} bp`, `{number} points`, `CNY {number}` or `{number} days`"
    );
    diagnostic(14, literal.place, format!("{number} is a number without a unit"), mend)
}

/// D-28: a duration that is the same on every day.
fn days_of(literal: &Literal, least: i64, what: &str) -> Typed<i64> {
    let each = match literal.unit {
        UnitWord::Days => 1,
        UnitWord::Weeks => 7,
        UnitWord::Months | UnitWord::Quarters | UnitWord::Years => {
            let cause = format!("`{what}` takes days or weeks: a month or a year has no fixed length");
            return Err(diagnostic(28, literal.place, cause, "write it in days: 180 days, 365 days"));
        }
        UnitWord::None => return Err(without_unit(literal)),
        _ => {
            let cause = format!("`{what}` takes a duration");
            return Err(diagnostic(28, literal.place, cause, "write it in days: 180 days, 365 days"));
        }
    };
    let days = scaled(literal, 0, DAYS_MAX, Unit::Days)? * each;
    if (least..=DAYS_MAX).contains(&days) {
        return Ok(days);
    }
    Err(out_of_range(literal.place, &format!("`{what}`"), &Unit::Days.write(least), &Unit::Days.write(DAYS_MAX)))
}

/// D-24.
fn clamp_of(clamp: &Clamp) -> Typed<(i64, i64, i64)> {
    let rate = |literal: &Literal| match literal.unit {
        UnitWord::Percent => scaled(literal, PERCENT_DECIMALS, RATE_MAX, Unit::Rate),
        UnitWord::None => Err(without_unit(literal)),
        _ => {
            let mend = "write both bounds in percent: clamp 0.10 % .. 4.00 %, step 1 bp";
            Err(diagnostic(15, literal.place, "a bound of the clamp is a rate in percent", mend))
        }
    };
    let (lower, upper) = (rate(&clamp.lower)?, rate(&clamp.upper)?);
    let step = match clamp.step.unit {
        UnitWord::BasisPoints => scaled(&clamp.step, 2, RATE_MAX, Unit::Spread)?,
        UnitWord::None => return Err(without_unit(&clamp.step)),
        _ => {
            let mend = "write it in basis points: step 1 bp";
            return Err(diagnostic(15, clamp.step.place, "the step is a spread in basis points", mend));
        }
    };
    if step <= 0 {
        return Err(out_of_range(clamp.step.place, "the step", "0.01 bp", &Unit::Spread.write(RATE_MAX)));
    }
    if lower > upper {
        let place = clamp.lower.place.to_end_of(clamp.upper.place);
        return Err(diagnostic(
            24,
            place,
            "the clamp's lower bound lies above its upper one",
            "put the lower bound first",
        ));
    }
    for (value, bound) in [(lower, &clamp.lower), (upper, &clamp.upper)] {
        if value % step != 0 {
            let cause = format!("the bound is no multiple of the step of {}", Unit::Spread.write(step));
            let below = Unit::Rate.write(value.div_euclid(step) * step);
            return Err(diagnostic(24, bound.place, cause, format!("write {below}, or choose a finer step")));
        }
    }
    Ok((lower, upper, step))
}

struct Checker {
    feeds: Vec<(Feed, Span)>,
    /// Those too whose lines were refused: what reads them is then no second mistake.
    names: Vec<String>,
    read: Vec<bool>,
    /// No line was refused before; else a feed may be missing because its line was.
    is_whole: bool,
}

/// None when the mistake has been told already, at the feed's own line.
type Refused = Option<Diagnostic>;

impl Checker {
    fn feed(&self, line: &FeedLine) -> Typed<Feed> {
        if line.name.len() > 32 || is_keyword(&line.name) {
            let mend = "take a name of at most 32 small letters, digits and _";
            return Err(diagnostic(9, line.name_place, format!("`{}` is no name for a feed", line.name), mend));
        }
        if self.names.contains(&line.name) {
            let cause = format!("a feed is called `{}` already", line.name);
            let mut twice = diagnostic(11, line.name_place, cause, "give each feed a name of its own");
            let first = self.feeds.iter().find(|(feed, _)| feed.name == line.name);
            twice.also.extend(first.map(|(_, place)| (*place, "the first one".to_owned())));
            return Err(twice);
        }
        let series = SeriesName::parse(&line.series).ok_or_else(|| {
            let mend = "use 1 to 32 of a-z, 0-9, dot, - and _";
            diagnostic(9, line.series_place, format!("\"{}\" is no series name", line.series), mend)
        })?;
        let scale_max = if matches!(line.unit, FeedUnit::Percent) { PERCENT_DECIMALS } else { INDEX_SCALE_MAX };
        let scale = u8::try_from(line.scale)
            .ok()
            .filter(|scale| *scale <= scale_max)
            .ok_or_else(|| out_of_range(line.scale_place, "the scale", "0", &scale_max.to_string()))?;
        let (unit, cycle) = match &line.unit {
            FeedUnit::Percent => (Unit::Rate, Cycle::Acyclical),
            FeedUnit::Index => (Unit::Index { scale }, Cycle::Procyclical),
            FeedUnit::Money(code, place) => {
                (Unit::Money { currency: currency_of(code, *place)?, scale }, Cycle::Procyclical)
            }
        };
        let when_stale = match &line.fallback {
            None => WhenStale::Deny,
            Some(literal) => {
                let value = self.literal_in(literal, unit)?;
                // A rate's own scale is finer than its series'.
                let finer = if unit == Unit::Rate { 10_i64.pow((PERCENT_DECIMALS - scale).into()) } else { 1 };
                if value % finer != 0 {
                    let cause = format!("the feed has {scale} decimals, its fallback more");
                    return Err(diagnostic(17, literal.place, cause, format!("write at most {scale} decimals")));
                }
                WhenStale::Fallback(value / finer)
            }
        };
        let max_age_days = u16::try_from(days_of(&line.max_age, 1, "at most")?).expect("at most 65 535");
        Ok(Feed {
            name: line.name.clone(),
            series,
            frequency: line.frequency,
            unit,
            scale,
            cycle: line.cycle.unwrap_or(cycle),
            max_age_days,
            vintage: line.vintage,
            when_stale,
        })
    }

    /// A literal where only this unit can stand.
    fn literal_in(&self, literal: &Literal, unit: Unit) -> Typed<i64> {
        let quantity = constant(literal)?;
        let QuantityKind::Constant(value) = quantity.kind else {
            return Err(diagnostic(15, literal.place, format!("{unit} belongs here"), "write a number of that unit"));
        };
        match rescaled(value, quantity.unit, unit) {
            Some(value) => Ok(value),
            None if quantity.unit.is_like(unit) => Err(too_fine(literal.place, unit)),
            None => Err(diagnostic(
                15,
                literal.place,
                format!("{unit} belongs here, this is {}", quantity.unit),
                format!("write it as {}", example(unit)),
            )),
        }
    }

    /// D-10.
    fn feed_named(&mut self, name: &str, place: Span) -> Result<u8, Refused> {
        if let Some(at) = self.feeds.iter().position(|(feed, _)| feed.name == name) {
            self.read[at] = true;
            return Ok(u8::try_from(at).expect("at most 8 feeds"));
        }
        if !self.is_whole || self.names.iter().any(|known| known == name) {
            return Err(None);
        }
        let known: Vec<_> = self.names.iter().map(|name| format!("`{name}`")).collect();
        let mend = if known.is_empty() {
            "declare it: feed NAME = \"series\" quarterly index scale 3, ...".to_owned()
        } else {
            format!("declare it with a line `feed {name} = ...`, or use one of {}", known.join(", "))
        };
        Err(Some(diagnostic(10, place, format!("no feed is called `{name}`"), mend)))
    }

    /// D-19: a count of the feed's own periods.
    fn periods(&self, feed: u8, literal: &Literal, least: i64, most: u16) -> Typed<u16> {
        let feed = &self.feeds[usize::from(feed)].0;
        let fits = match feed.frequency {
            crate::Frequency::Daily => literal.unit == UnitWord::Days,
            crate::Frequency::Monthly => literal.unit == UnitWord::Months,
            crate::Frequency::Quarterly => literal.unit == UnitWord::Quarters,
            crate::Frequency::Yearly => literal.unit == UnitWord::Years,
        };
        let word = feed.frequency.period_word();
        // T-8
        if !fits || literal.decimals > 0 {
            let cause = format!("`{}` is {}: it is counted in whole {word}s", feed.name, feed.frequency.word());
            return Err(diagnostic(19, literal.place, cause, format!("write a whole number and {word}s: 4 {word}s")));
        }
        let count = u16::try_from(literal.digits).ok().filter(|count| i64::from(*count) >= least && *count <= most);
        count.ok_or_else(|| out_of_range(literal.place, "the count of periods", &least.to_string(), &most.to_string()))
    }

    fn rate(&mut self, expression: &Expression) -> Result<Quantity, Refused> {
        let rate = self.quantity(expression, At::Return)?;
        match rate.unit {
            Unit::Rate => Ok(rate),
            unit => Err(Some(diagnostic(
                15,
                expression.place,
                format!("a return rate is a rate in percent, this is {unit}"),
                if unit == Unit::Spread {
                    "put `in percent` behind it, or add it to a rate"
                } else {
                    "write a rate: 2.00 %"
                },
            ))),
        }
    }

    fn condition(&mut self, expression: &Expression, at: At) -> Result<Condition, Refused> {
        let place = expression.place;
        Ok(match &expression.kind {
            Kind::Or(left, right) => {
                Condition::Or(Box::new(self.condition(left, at)?), Box::new(self.condition(right, at)?))
            }
            Kind::And(left, right) => {
                Condition::And(Box::new(self.condition(left, at)?), Box::new(self.condition(right, at)?))
            }
            Kind::Not(inner) => Condition::Not(Box::new(self.condition(inner, at)?)),
            Kind::Compare(comparison, left, right) => {
                let (left_place, right_place) = (left.place, right.place);
                let (left, right) = (self.quantity(left, at)?, self.quantity(right, at)?);
                let (left, right) = align(left, right, left_place, right_place)?;
                // T-4
                if left.unit != right.unit {
                    return Err(Some(mixed("compared", place, (&left, left_place), (&right, right_place))));
                }
                Condition::Compare(*comparison, left, right)
            }
            Kind::Time { from, until } => Condition::Time { from: *from, until: *until },
            Kind::Months(months) => Condition::Months(*months),
            Kind::Weekdays(weekdays) => Condition::Weekdays(*weekdays),
            Kind::Sectors { outside, runs } => {
                if at == At::Return {
                    return Err(Some(not_known(place, "the loan's sector", "on return")));
                }
                let set = Condition::Sector(sectors(runs)?);
                if *outside { Condition::Not(Box::new(set)) } else { set }
            }
            Kind::Falls { name, name_place, periods } => {
                let feed = self.feed_named(name, *name_place)?;
                Condition::Falls { feed, periods: self.periods(feed, periods, 1, PERIODS_MAX - 1)? }
            }
            Kind::Rises { name, name_place, periods } => {
                let feed = self.feed_named(name, *name_place)?;
                Condition::Rises { feed, periods: self.periods(feed, periods, 1, PERIODS_MAX - 1)? }
            }
            _ => {
                let unit = self.quantity(expression, at)?.unit;
                let mend = "compare it: lpr < 3.00 %, loan rate <= lpr + 50 bp";
                return Err(Some(diagnostic(16, place, format!("a condition belongs here, this is {unit}"), mend)));
            }
        })
    }

    fn quantity(&mut self, expression: &Expression, at: At) -> Result<Quantity, Refused> {
        let place = expression.place;
        let of = |unit, kind| Quantity { unit, kind };
        Ok(match &expression.kind {
            Kind::Literal(literal) => constant(literal)?,
            Kind::LoanRate | Kind::LoanTerm if at == At::Return => {
                let what =
                    if matches!(expression.kind, Kind::LoanRate) { "the loan's rate" } else { "the loan's term" };
                return Err(Some(not_known(place, what, "on return")));
            }
            Kind::LoanAge if at == At::Activation => {
                return Err(Some(not_known(place, "the loan's age", "before there is a loan")));
            }
            Kind::LoanRate => of(Unit::Rate, QuantityKind::LoanRate),
            Kind::LoanTerm => of(Unit::Days, QuantityKind::LoanTerm),
            Kind::LoanAge => of(Unit::Days, QuantityKind::LoanAge),
            Kind::Feed { name, name_place, back } => {
                let feed = self.feed_named(name, *name_place)?;
                let back = match back {
                    Some(back) => self.periods(feed, back, 1, PERIODS_MAX - 1)?,
                    None => 0,
                };
                of(self.unit_of(feed), QuantityKind::Level { feed, back })
            }
            Kind::Over { over, name, name_place, periods } => {
                let feed = self.feed_named(name, *name_place)?;
                let unit = self.unit_of(feed);
                let most = if matches!(over, Over::Change | Over::Growth) { PERIODS_MAX - 1 } else { PERIODS_MAX };
                let periods = self.periods(feed, periods, 1, most)?;
                match over {
                    Over::Average => of(unit, QuantityKind::Average { feed, periods }),
                    Over::Highest => of(unit, QuantityKind::Highest { feed, periods }),
                    Over::Lowest => of(unit, QuantityKind::Lowest { feed, periods }),
                    Over::Change => {
                        let difference = unit.difference(unit).expect("a feed is no condition");
                        of(difference, QuantityKind::Change { feed, periods })
                    }
                    Over::Growth if unit == Unit::Rate => {
                        let mend = format!("write `change of {name} over ...`, a spread in basis points");
                        let cause = format!("`{name}` is a rate in percent: it changes, it does not grow");
                        return Err(Some(diagnostic(26, place, cause, mend)));
                    }
                    Over::Growth => of(Unit::Rate, QuantityKind::Growth { feed, periods }),
                }
            }
            Kind::Add(left, right) => {
                let (left_place, right_place) = (left.place, right.place);
                let (left, right) = (self.quantity(left, at)?, self.quantity(right, at)?);
                let (left, right) = align(left, right, left_place, right_place)?;
                let Some(unit) = left.unit.sum(right.unit) else {
                    return Err(Some(mixed("added", place, (&left, left_place), (&right, right_place))));
                };
                of(unit, QuantityKind::Add(Box::new(left), Box::new(right)))
            }
            Kind::Subtract(left, right) => {
                let (left_place, right_place) = (left.place, right.place);
                let (left, right) = (self.quantity(left, at)?, self.quantity(right, at)?);
                let (left, right) = align(left, right, left_place, right_place)?;
                let Some(unit) = left.unit.difference(right.unit) else {
                    return Err(Some(mixed("subtracted", place, (&left, left_place), (&right, right_place))));
                };
                of(unit, QuantityKind::Subtract(Box::new(left), Box::new(right)))
            }
            Kind::Multiply(left, right) => {
                let factor = |side: &Expression| match &side.kind {
                    Kind::Literal(literal) if literal.unit == UnitWord::None => Some(literal.clone()),
                    _ => None,
                };
                // T-7
                let (factor, inner) = match (factor(left), factor(right)) {
                    (Some(factor), _) => (factor, right),
                    (None, Some(factor)) => (factor, left),
                    (None, None) => {
                        let mend = "one side of * is a plain number: 0.5 * growth of gdp over 4 quarters";
                        return Err(Some(diagnostic(15, place, "two quantities have no product", mend)));
                    }
                };
                let Some(missing) = (FACTOR_ONE.ilog10() as u8).checked_sub(factor.decimals) else {
                    return Err(Some(diagnostic(17, factor.place, "a factor has at most 6 decimals", "round it")));
                };
                let value = factor.digits.checked_mul(10_i64.pow(missing.into()));
                let Some(value) = value.filter(|value| value.abs() <= FACTOR_MAX) else {
                    return Err(Some(out_of_range(factor.place, "a factor", "-1000", "1000")));
                };
                let inner = self.quantity(inner, at)?;
                of(inner.unit, QuantityKind::Times(value, Box::new(inner)))
            }
            Kind::Min(left, right) | Kind::Max(left, right) => {
                let (left_place, right_place) = (left.place, right.place);
                let (left, right) = (self.quantity(left, at)?, self.quantity(right, at)?);
                let (left, right) = align(left, right, left_place, right_place)?;
                // T-4
                if left.unit != right.unit {
                    return Err(Some(mixed("compared", place, (&left, left_place), (&right, right_place))));
                }
                let unit = left.unit;
                let (left, right) = (Box::new(left), Box::new(right));
                let is_min = matches!(expression.kind, Kind::Min(..));
                of(unit, if is_min { QuantityKind::Min(left, right) } else { QuantityKind::Max(left, right) })
            }
            Kind::InBasisPoints(inner) => {
                let inner = self.quantity(inner, at)?;
                // T-6
                if inner.unit != Unit::Rate {
                    let cause = format!("only a rate converts to basis points, this is {}", inner.unit);
                    return Err(Some(diagnostic(15, place, cause, "take `in bp` out")));
                }
                of(Unit::Spread, QuantityKind::InBasisPoints(Box::new(inner)))
            }
            Kind::InPercent(inner) => {
                let inner = self.quantity(inner, at)?;
                // T-6
                if inner.unit != Unit::Spread {
                    let cause = format!("only a spread converts to percent, this is {}", inner.unit);
                    return Err(Some(diagnostic(15, place, cause, "take `in percent` out")));
                }
                of(Unit::Rate, QuantityKind::InPercent(Box::new(inner)))
            }
            _ => {
                let mend = "use it on a line of its own, or with and, or, not";
                return Err(Some(diagnostic(16, place, "a quantity belongs here, this is a condition", mend)));
            }
        })
    }

    fn unit_of(&self, feed: u8) -> Unit {
        self.feeds[usize::from(feed)].0.unit
    }
}

/// D-20.
fn not_known(place: Span, what: &str, when: &str) -> Diagnostic {
    let mend = match when {
        "on return" => "use the feeds, the time or `loan age`",
        _ => "use `loan term`, the feeds or the time",
    };
    diagnostic(20, place, format!("{what} is not known {when}"), mend)
}

/// T-11, D-23.
fn sectors(runs: &[SectorRun]) -> Typed<SectorSet> {
    let code = |(text, place): &(String, Span)| {
        SectorCode::parse(text).ok_or_else(|| {
            let mend = "write a section (A to U) or a division with its section and two digits, such as C10";
            diagnostic(23, *place, format!("ISIC Rev. 4 has no code {text}"), mend)
        })
    };
    let mut set = SectorSet::default();
    for (first, last) in runs {
        let place = first.1.to_end_of(last.1);
        let (first, last) = (code(first)?, code(last)?);
        let is_run = first == last || (first.0 >> 8 == last.0 >> 8 && first < last && first.0 & 0xff != 0);
        if !is_run {
            let mend = "write sections one by one, and runs of divisions within one section: A, B, C10..C12";
            return Err(diagnostic(23, place, format!("{first}..{last} is no run of divisions of one section"), mend));
        }
        (first.0..=last.0).for_each(|code| set.insert(SectorCode(code)));
    }
    Ok(set)
}

fn constant(literal: &Literal) -> Typed<Quantity> {
    let unit = match &literal.unit {
        UnitWord::None => return Err(without_unit(literal)),
        UnitWord::Percent => Unit::Rate,
        UnitWord::BasisPoints => Unit::Spread,
        // Its scale is the one that it is written with, until it meets another.
        UnitWord::Points => Unit::Index { scale: literal.decimals.min(INDEX_SCALE_MAX) },
        UnitWord::Money(code) => {
            Unit::Money { currency: currency_of(code, literal.place)?, scale: literal.decimals.min(INDEX_SCALE_MAX) }
        }
        UnitWord::Days | UnitWord::Weeks => {
            return Ok(Quantity { unit: Unit::Days, kind: QuantityKind::Constant(days_of(literal, 0, "a duration")?) });
        }
        UnitWord::Months | UnitWord::Quarters | UnitWord::Years => {
            let each = match literal.unit {
                UnitWord::Months => 1,
                UnitWord::Quarters => 3,
                _ => 12,
            };
            let months = scaled(literal, 0, DAYS_MAX, Unit::Days)? * each;
            if !(1..=MONTHS_MAX).contains(&months) {
                return Err(out_of_range(literal.place, "a duration", "1 month", "179 years"));
            }
            let months = u16::try_from(months).expect("at most 2148");
            return Ok(Quantity { unit: Unit::Days, kind: QuantityKind::Months(months) });
        }
    };
    let (scale, most) = match unit {
        Unit::Rate => (PERCENT_DECIMALS, RATE_MAX),
        Unit::Spread => (BASIS_POINT.ilog10() as u8, RATE_MAX),
        Unit::Index { scale } | Unit::Money { scale, .. } => (scale, LEVEL_MAX),
        Unit::Days | Unit::Truth => unreachable!("answered above"),
    };
    Ok(Quantity { unit, kind: QuantityKind::Constant(scaled(literal, scale, most, unit)?) })
}

impl Unit {
    /// The same but for the scale.
    fn is_like(self, other: Self) -> bool {
        match (self, other) {
            (Self::Index { .. }, Self::Index { .. }) => true,
            (Self::Money { currency, .. }, Self::Money { currency: other, .. }) => currency == other,
            _ => self == other,
        }
    }
}

/// A constant at the scale of another unit, if that is no coarser.
fn rescaled(value: i64, from: Unit, to: Unit) -> Option<i64> {
    if !from.is_like(to) {
        return None;
    }
    match (from, to) {
        (
            Unit::Index { scale: from } | Unit::Money { scale: from, .. },
            Unit::Index { scale } | Unit::Money { scale, .. },
        ) => {
            let finer = 10_i64.pow(scale.checked_sub(from)?.into());
            value.checked_mul(finer).filter(|value| value.abs() <= LEVEL_MAX)
        }
        _ => Some(value),
    }
}

/// D-17.
fn too_fine(place: Span, unit: Unit) -> Diagnostic {
    diagnostic(17, place, format!("{unit} holds no such value: too many digits"), "write fewer decimals")
}

/// T-5: a constant index or amount takes the scale of what it meets; nothing else changes its scale.
fn align(left: Quantity, right: Quantity, left_place: Span, right_place: Span) -> Typed<(Quantity, Quantity)> {
    if left.unit == right.unit || !left.unit.is_like(right.unit) {
        return Ok((left, right));
    }
    match (&left.kind, &right.kind) {
        (QuantityKind::Constant(value), _) => match rescaled(*value, left.unit, right.unit) {
            Some(value) => Ok((Quantity { unit: right.unit, kind: QuantityKind::Constant(value) }, right)),
            None => match (&right.kind, rescaled_constant(&right, left.unit)) {
                (QuantityKind::Constant(_), Some(right)) => Ok((left, right)),
                _ => Err(too_fine(left_place, right.unit)),
            },
        },
        (_, QuantityKind::Constant(_)) => match rescaled_constant(&right, left.unit) {
            Some(right) => Ok((left, right)),
            None => Err(too_fine(right_place, left.unit)),
        },
        _ => Ok((left, right)),
    }
}

fn rescaled_constant(quantity: &Quantity, to: Unit) -> Option<Quantity> {
    let QuantityKind::Constant(value) = quantity.kind else { return None };
    Some(Quantity { unit: to, kind: QuantityKind::Constant(rescaled(value, quantity.unit, to)?) })
}

fn example(unit: Unit) -> &'static str {
    match unit {
        Unit::Rate => "4.30 %",
        Unit::Spread => "50 bp",
        Unit::Index { .. } => "100 points",
        Unit::Money { .. } => "CNY 100",
        Unit::Days => "180 days",
        Unit::Truth => "a comparison",
    }
}

/// D-15, with the mend that the two units suggest.
fn mixed(done: &str, place: Span, left: (&Quantity, Span), right: (&Quantity, Span)) -> Diagnostic {
    let mend = match (left.0.unit, right.0.unit) {
        (Unit::Rate, Unit::Rate) => {
            "write the distance in basis points (lpr + 50 bp), or put `in bp` behind one of the two".to_owned()
        }
        (Unit::Rate, Unit::Spread) | (Unit::Spread, Unit::Rate) => {
            "write the level in percent (0.50 %, not 50 bp), or put `in percent` or `in bp` behind one of the two"
                .to_owned()
        }
        (left, right) if left.is_like(right) => "read both series at one scale".to_owned(),
        (_, right) => format!("make both sides one unit; on the other side belongs such as {}", example(right)),
    };
    Diagnostic {
        also: vec![(left.1, left.0.unit.to_string()), (right.1, right.0.unit.to_string())],
        ..diagnostic(15, place, format!("{} and {} cannot be {done}", left.0.unit, right.0.unit), mend)
    }
}
