//! From a text's words to its shape: one method for each line of the grammar (LANGUAGE.md, G). An error spoils its line alone, and
//! the next is read as if nothing had happened.

use crate::calendar::{Date, Frequency};
use crate::diagnostic::{Diagnostic, Span, diagnostic};
use crate::lex::{Placed, TermOf, Token};
use crate::policy::{Comparison, Cycle};
use crate::syntax::{
    Clamp, Expression, FeedLine, FeedUnit, Kind, Literal, MONTHS, Over, Section, Source, UnitWord, WEEKDAYS, is_keyword,
};
use crate::unit::Vintage;

/// Brackets and `not` inside each other.
const NESTING_MAX: u32 = 8;
/// Of one line: what is compared, joined or computed.
const TERMS_MAX: u32 = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Nothing,
    /// A part whose heading was refused: what stands in it is told of with the heading.
    Refused,
    Effective,
    Denies,
    Rates,
}

type Parsed<T> = Result<T, Diagnostic>;

pub(crate) fn parse(lines: &[Vec<Placed>], diagnostics: &mut Vec<Diagnostic>) -> Source {
    let mut source = Source::default();
    let mut section = In::Nothing;
    for tokens in lines {
        let mut line = Line { tokens, at: 0, nesting: 0, terms: 0 };
        if let Err(diagnostic) = line.read(&mut source, &mut section) {
            diagnostics.push(diagnostic);
        }
    }
    source
}

struct Line<'a> {
    tokens: &'a [Placed],
    at: usize,
    nesting: u32,
    terms: u32,
}

/// D-8.
fn once<T>(place: &mut Option<T>, value: T, span: Span, what: &str) -> Parsed<()> {
    // G-2
    if place.is_some() {
        let mend = "keep one of the two";
        return Err(diagnostic(8, span, format!("`{what}` stands here a second time"), mend));
    }
    *place = Some(value);
    Ok(())
}

impl Line<'_> {
    fn read(&mut self, source: &mut Source, section: &mut In) -> Parsed<()> {
        let heading = self.whole();
        match self.word_at(0) {
            Some("policy") => {
                *section = In::Nothing;
                self.at += 1;
                let name = self.text("the policy's name in quotes")?;
                self.keyword("version")?;
                let (version, version_place) = self.plain_number("the version, a whole number")?;
                self.end()?;
                once(&mut source.policy, (name.0, name.1, version, version_place), heading, "policy")
            }
            Some("currency") => {
                *section = In::Nothing;
                self.at += 1;
                let code = self.code("a currency of three capital letters, such as CNY")?;
                self.end()?;
                once(&mut source.currency, code, heading, "currency")
            }
            Some("feed") => {
                *section = In::Nothing;
                self.at += 1;
                let feed = self.feed(heading)?;
                source.feeds.push(feed);
                Ok(())
            }
            Some("effective") => {
                *section = In::Refused;
                self.at += 1;
                self.keyword("when")?;
                once(&mut source.effective, Section { heading, lines: Vec::new() }, heading, "effective when")?;
                *section = In::Effective;
                self.end()
            }
            Some("deny") => {
                *section = In::Refused;
                self.at += 1;
                self.keyword("when")?;
                once(&mut source.denies, Section { heading, lines: Vec::new() }, heading, "deny when")?;
                *section = In::Denies;
                self.end()
            }
            Some("idle") => {
                *section = In::Nothing;
                self.at += 1;
                self.keyword("after")?;
                let after = self.literal()?;
                self.end()?;
                once(&mut source.idle, after, heading, "idle after")
            }
            Some("due") => {
                *section = In::Nothing;
                self.at += 1;
                let due = self.literal()?;
                for word in ["after", "loan", "term"] {
                    self.keyword(word)?;
                }
                self.end()?;
                once(&mut source.due, due, heading, "due")
            }
            Some("return") => {
                *section = In::Refused;
                self.at += 1;
                self.keyword("rate")?;
                once(&mut source.rates, Section { heading, lines: Vec::new() }, heading, "return rate")?;
                *section = In::Rates;
                self.end()
            }
            _ => match section {
                In::Effective | In::Denies => {
                    let condition = self.expression()?;
                    self.end()?;
                    let lines = if *section == In::Effective { &mut source.effective } else { &mut source.denies };
                    lines.as_mut().expect("its heading was read").lines.push(condition);
                    Ok(())
                }
                In::Rates => self.rate_line(heading, source),
                In::Refused => Ok(()),
                In::Nothing => Err(diagnostic(
                    6,
                    heading,
                    "the line belongs to no part of the policy",
                    "begin it with policy, currency, feed, effective when, deny when, idle after, due or return rate",
                )),
            },
        }
    }

    fn rate_line(&mut self, place: Span, source: &mut Source) -> Parsed<()> {
        match self.word_at(0) {
            Some("when") => {
                self.at += 1;
                let condition = self.expression()?;
                self.symbol(":")?;
                let rate = self.expression()?;
                self.end()?;
                source.rates.as_mut().expect("its heading was read").lines.push((condition, rate));
                Ok(())
            }
            Some("otherwise") => {
                self.at += 1;
                let rate = self.expression()?;
                self.end()?;
                once(&mut source.otherwise, rate, place, "otherwise")
            }
            Some("clamp") => {
                self.at += 1;
                let lower = self.literal()?;
                self.symbol("..")?;
                let upper = self.literal()?;
                self.symbol(",")?;
                self.keyword("step")?;
                let step = self.literal()?;
                self.end()?;
                once(&mut source.clamp, Clamp { place, lower, upper, step }, place, "clamp")
            }
            _ => Err(diagnostic(
                6,
                place,
                "a line of `return rate` begins with when, otherwise or clamp",
                "write `when CONDITION : RATE`, `otherwise RATE` or `clamp RATE .. RATE, step SPREAD`",
            )),
        }
    }

    fn feed(&mut self, place: Span) -> Parsed<FeedLine> {
        let (name, name_place) = self.name("a name for the feed, in small letters")?;
        self.symbol("=")?;
        let (series, series_place) = self.text("the series' name in quotes")?;
        let frequencies = Frequency::ALL.map(|frequency| (frequency.word(), frequency));
        let frequency = self.one_of(&frequencies)?;
        let unit = match self.one_of(&[("percent", 0), ("index", 1), ("money", 2)])? {
            0 => FeedUnit::Percent,
            1 => FeedUnit::Index,
            _ => {
                let (code, place) = self.code("a currency of three capital letters, such as CNY")?;
                FeedUnit::Money(code, place)
            }
        };
        self.keyword("scale")?;
        let (scale, scale_place) = self.plain_number("how many decimals a reading has")?;
        self.symbol(",")?;
        let cycles = [
            ("procyclical", Cycle::Procyclical),
            ("countercyclical", Cycle::Countercyclical),
            ("acyclical", Cycle::Acyclical),
        ];
        let cycle = match self.word_at(0) {
            Some(word) if cycles.iter().any(|(cycle, _)| *cycle == word) => {
                let cycle = self.one_of(&cycles)?;
                self.symbol(",")?;
                Some(cycle)
            }
            _ => None,
        };
        self.keyword("at")?;
        self.keyword("most")?;
        let max_age = self.literal()?;
        self.keyword("old")?;
        self.symbol(",")?;
        let vintage = self.one_of(&[("first", Vintage::First), ("latest", Vintage::Latest)])?;
        self.keyword("vintage")?;
        self.symbol(",")?;
        self.keyword("when")?;
        self.keyword("stale")?;
        let fallback = match self.one_of(&[("deny", false), ("use", true)])? {
            true => Some(self.literal()?),
            false => None,
        };
        self.end()?;
        Ok(FeedLine {
            place,
            name,
            name_place,
            series,
            series_place,
            frequency,
            unit,
            scale,
            scale_place,
            cycle,
            max_age,
            vintage,
            fallback,
        })
    }

    fn expression(&mut self) -> Parsed<Expression> {
        self.joined("or", Kind::Or, |line| line.joined("and", Kind::And, Self::negated))
    }

    fn joined(
        &mut self,
        word: &str,
        kind: fn(Box<Expression>, Box<Expression>) -> Kind,
        part: impl Fn(&mut Self) -> Parsed<Expression>,
    ) -> Parsed<Expression> {
        let mut left = part(self)?;
        while self.word_at(0) == Some(word) {
            self.at += 1;
            left = pair(kind, left, part(self)?);
        }
        Ok(left)
    }

    fn negated(&mut self) -> Parsed<Expression> {
        if self.word_at(0) != Some("not") {
            return self.comparison();
        }
        let from = self.place();
        self.at += 1;
        let inner = self.nested(Self::negated)?;
        Ok(Expression { place: from.to_end_of(inner.place), kind: Kind::Not(Box::new(inner)) })
    }

    fn comparison(&mut self) -> Parsed<Expression> {
        let left = self.sum()?;
        let comparison = match (self.symbol_at(0), self.word_at(0), self.word_at(1)) {
            (Some("<"), ..) => Comparison::Less,
            (Some("<="), ..) => Comparison::AtMost,
            (Some("="), ..) => Comparison::Equal,
            (Some(">="), ..) => Comparison::AtLeast,
            (Some(">"), ..) => Comparison::Greater,
            (_, Some("at"), Some("most")) => Comparison::AtMost,
            (_, Some("at"), Some("least")) => Comparison::AtLeast,
            (_, Some("below"), _) => Comparison::Less,
            (_, Some("above"), _) => Comparison::Greater,
            _ => return Ok(left),
        };
        self.at += if self.word_at(0) == Some("at") { 2 } else { 1 };
        let right = self.sum()?;
        Ok(pair(|left, right| Kind::Compare(comparison, left, right), left, right))
    }

    fn sum(&mut self) -> Parsed<Expression> {
        let mut left = self.product()?;
        loop {
            let kind = match self.symbol_at(0) {
                Some("+") => Kind::Add,
                Some("-") => Kind::Subtract,
                _ => return Ok(left),
            };
            self.at += 1;
            left = pair(kind, left, self.product()?);
        }
    }

    fn product(&mut self) -> Parsed<Expression> {
        let mut left = self.converted()?;
        while self.symbol_at(0) == Some("*") {
            self.at += 1;
            left = pair(Kind::Multiply, left, self.converted()?);
        }
        Ok(left)
    }

    fn converted(&mut self) -> Parsed<Expression> {
        let mut inner = self.primary()?;
        while self.word_at(0) == Some("in") && self.terms <= TERMS_MAX {
            let kind = match self.word_at(1) {
                Some("bp") => Kind::InBasisPoints,
                Some("percent") => Kind::InPercent,
                _ => return Err(self.expected_at(1, "`bp` or `percent`, to convert between rate and spread")),
            };
            self.terms += 1;
            let place = inner.place.to_end_of(self.tokens[self.at + 1].1);
            self.at += 2;
            inner = Expression { place, kind: kind(Box::new(inner)) };
        }
        Ok(inner)
    }

    fn primary(&mut self) -> Parsed<Expression> {
        let from = self.place();
        // G-3: bounds what is built, and so every recursion over it.
        self.terms += 1;
        if self.terms > TERMS_MAX {
            let mend = "divide it: every line of `effective when` must hold, any line of `deny when` denies";
            return Err(diagnostic(13, from, format!("the line has more than {TERMS_MAX} terms"), mend));
        }
        let kind = match (self.symbol_at(0), self.word_at(0)) {
            (Some("("), _) => {
                self.at += 1;
                let inner = self.nested(Self::expression)?;
                self.symbol(")")?;
                return Ok(Expression { place: from.to_end_of(self.last()), kind: inner.kind });
            }
            (Some("-"), _) => Kind::Literal(self.literal()?),
            (_, Some(word)) => match word {
                "time" => self.window()?,
                "month" => Kind::Months(self.calendar_set(&MONTHS)? as u16),
                "weekday" => Kind::Weekdays(self.calendar_set(&WEEKDAYS)? as u8),
                "sector" => self.sectors()?,
                "loan" => {
                    self.at += 1;
                    match self.one_of(&[("rate", 0), ("term", 1), ("age", 2)])? {
                        0 => Kind::LoanRate,
                        1 => Kind::LoanTerm,
                        _ => Kind::LoanAge,
                    }
                }
                "min" | "max" => {
                    let kind = if word == "min" { Kind::Min } else { Kind::Max };
                    self.at += 1;
                    self.symbol("(")?;
                    let left = self.nested(Self::sum)?;
                    self.symbol(",")?;
                    let right = self.nested(Self::sum)?;
                    self.symbol(")")?;
                    kind(Box::new(left), Box::new(right))
                }
                "average" | "highest" | "lowest" | "change" | "growth" => {
                    let over = match word {
                        "average" => Over::Average,
                        "highest" => Over::Highest,
                        "lowest" => Over::Lowest,
                        "change" => Over::Change,
                        _ => Over::Growth,
                    };
                    self.at += 1;
                    self.keyword("of")?;
                    let (name, name_place) = self.name("a feed's name")?;
                    self.keyword("over")?;
                    Kind::Over { over, name, name_place, periods: self.literal()? }
                }
                _ if !is_keyword(word) => {
                    let (name, name_place) = self.name("a feed's name")?;
                    match (self.word_at(0), self.number_at(0)) {
                        (Some(direction @ ("falls" | "rises")), _) => {
                            let falls = direction == "falls";
                            self.at += 1;
                            let periods = self.literal()?;
                            for word in ["in", "a", "row"] {
                                self.keyword(word)?;
                            }
                            if falls {
                                Kind::Falls { name, name_place, periods }
                            } else {
                                Kind::Rises { name, name_place, periods }
                            }
                        }
                        (_, true) => {
                            let back = self.literal()?;
                            self.keyword("ago")?;
                            Kind::Feed { name, name_place, back: Some(back) }
                        }
                        _ => Kind::Feed { name, name_place, back: None },
                    }
                }
                "falls" | "rises" => return Err(self.expected_at(0, "the feed first: gdp falls 2 quarters in a row")),
                _ => return Err(self.expected_at(0, "a quantity or a condition")),
            },
            _ if self.number_at(0) || matches!(self.tokens.get(self.at), Some((Token::Code(_), _))) => {
                Kind::Literal(self.literal()?)
            }
            _ => return Err(self.expected_at(0, "a quantity or a condition")),
        };
        Ok(Expression { place: from.to_end_of(self.last()), kind })
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.nesting += 1;
        // G-3
        if self.nesting > NESTING_MAX {
            let mend = "divide the condition into lines of its own";
            return Err(diagnostic(13, self.place(), format!("nested deeper than {NESTING_MAX}"), mend));
        }
        let inner = inner(self);
        self.nesting -= 1;
        inner
    }

    fn window(&mut self) -> Parsed<Kind> {
        let place = self.place();
        self.at += 1;
        let (mut from, mut until) = (None, None);
        if self.word_at(0) == Some("in") {
            self.at += 1;
            let (first, after) = self.term()?;
            (from, until) = (Some(first), Some(after?));
        }
        if self.word_at(0) == Some("from") && from.is_none() {
            self.at += 1;
            from = Some(self.term()?.0);
        }
        if until.is_none() {
            match self.word_at(0) {
                Some("until") => {
                    self.at += 1;
                    until = Some(self.term()?.0);
                }
                Some("through") => {
                    self.at += 1;
                    until = Some(self.term()?.1?);
                }
                _ => {}
            }
        }
        if from.is_none() && until.is_none() {
            return Err(self.expected_at(0, "a window: `from DATE`, `until DATE`, `through DATE` or `in DATE`"));
        }
        if from.zip(until).is_some_and(|(from, until)| from >= until) {
            let cause = "the window ends before it begins";
            return Err(diagnostic(22, place.to_end_of(self.last()), cause, "put the earlier date first"));
        }
        Ok(Kind::Time { from, until })
    }

    /// First day of a day, month or quarter, and the day after it, which T-12 bounds as every date.
    fn term(&mut self) -> Parsed<(Date, Parsed<Date>)> {
        let Some((Token::Term(year, of), place)) = self.tokens.get(self.at).cloned() else {
            return Err(self.expected_at(0, "a date, month or quarter: 2026-01-31, 2026-01 or 2026Q1"));
        };
        self.at += 1;
        let first = match of {
            TermOf::Day(month, day) => Date::new(year, month, day),
            TermOf::Month(month) => Date::new(year, month, 1),
            TermOf::Quarter(quarter) => {
                (1..=4).contains(&quarter).then(|| Date::new(year, quarter * 3 - 2, 1)).flatten()
            }
        };
        let months = match of {
            TermOf::Day(..) => 0,
            TermOf::Month(_) => 1,
            TermOf::Quarter(_) => 3,
        };
        let next = |first: Date| match months {
            0 => first.0 + 1,
            _ => first.0 + crate::calendar::days_to_months_ahead(first.0.into(), months) as i32,
        };
        let first = first.ok_or_else(|| {
            let mend = "years run from 1970 to 9999, months from 01 to 12, quarters from Q1 to Q4";
            diagnostic(21, place, "there is no such date in the calendar", mend)
        })?;
        let after = Date(next(first));
        if after.0 <= crate::calendar::LAST_DAY {
            return Ok((first, Ok(after)));
        }
        let cause = "no date follows the last day of 9999, so that no window can end with it";
        Ok((first, Err(diagnostic(21, place, cause, "leave the end of the window out"))))
    }

    /// `month in { january .. march, october }`: a bit for each.
    fn calendar_set(&mut self, names: &[&str]) -> Parsed<u32> {
        self.at += 1;
        self.keyword("in")?;
        let mut bits = 0_u32;
        self.set(|line| {
            let named: Vec<_> = names.iter().enumerate().map(|(at, name)| (*name, at)).collect();
            let from = line.place();
            let first = line.one_of(&named)?;
            let mut last = first;
            if line.symbol_at(0) == Some("..") {
                line.at += 1;
                last = line.one_of(&named)?;
            }
            if last < first {
                let cause = "the run goes backwards";
                let place = from.to_end_of(line.last());
                return Err(diagnostic(22, place, cause, "write it as two runs, each in the order of the calendar"));
            }
            (first..=last).for_each(|at| bits |= 1 << at);
            Ok(())
        })?;
        Ok(bits)
    }

    fn sectors(&mut self) -> Parsed<Kind> {
        self.at += 1;
        let outside = self.word_at(0) == Some("not");
        self.at += usize::from(outside);
        self.keyword("in")?;
        let (list, place) = self.code("the code list: ISIC")?;
        if list != "ISIC" {
            return Err(diagnostic(5, place, format!("`{list}` is no code list that is known here"), "write ISIC"));
        }
        let mut runs = Vec::new();
        self.set(|line| {
            let first = line.code("a section or division such as A or C10")?;
            let mut last = first.clone();
            if line.symbol_at(0) == Some("..") {
                line.at += 1;
                last = line.code("a division such as C12")?;
            }
            runs.push((first, last));
            Ok(())
        })?;
        Ok(Kind::Sectors { outside, runs })
    }

    /// `{ a, b, c }`, at least one.
    fn set(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.symbol("{")?;
        loop {
            item(self)?;
            if self.symbol_at(0) != Some(",") {
                return self.symbol("}");
            }
            self.at += 1;
        }
    }

    /// A number and what it counts.
    fn literal(&mut self) -> Parsed<Literal> {
        let from = self.place();
        let currency = match self.tokens.get(self.at) {
            Some((Token::Code(code), _)) => {
                self.at += 1;
                Some(code.clone())
            }
            _ => None,
        };
        let minus = self.symbol_at(0) == Some("-");
        self.at += usize::from(minus);
        let Some((Token::Number { digits, decimals }, _)) = self.tokens.get(self.at).cloned() else {
            return Err(self.expected_at(0, "a number with its unit, such as 4.30 % or 50 bp"));
        };
        self.at += 1;
        let digits = if minus { -digits } else { digits };
        let unit = match (currency, self.symbol_at(0), self.word_at(0)) {
            (Some(code), ..) => UnitWord::Money(code),
            (_, Some("%"), _) => UnitWord::Percent,
            (.., Some("bp")) => UnitWord::BasisPoints,
            (.., Some("points")) => UnitWord::Points,
            (.., Some("day" | "days")) => UnitWord::Days,
            (.., Some("week" | "weeks")) => UnitWord::Weeks,
            (.., Some("month" | "months")) => UnitWord::Months,
            (.., Some("quarter" | "quarters")) => UnitWord::Quarters,
            (.., Some("year" | "years")) => UnitWord::Years,
            _ => UnitWord::None,
        };
        self.at += usize::from(!matches!(unit, UnitWord::None | UnitWord::Money(_)));
        Ok(Literal { digits, decimals, unit, place: from.to_end_of(self.last()) })
    }

    fn word_at(&self, ahead: usize) -> Option<&str> {
        match self.tokens.get(self.at + ahead) {
            Some((Token::Word(word), _)) => Some(word),
            _ => None,
        }
    }

    fn symbol_at(&self, ahead: usize) -> Option<&'static str> {
        match self.tokens.get(self.at + ahead) {
            Some((Token::Symbol(symbol), _)) => Some(symbol),
            _ => None,
        }
    }

    fn number_at(&self, ahead: usize) -> bool {
        matches!(self.tokens.get(self.at + ahead), Some((Token::Number { .. }, _)))
    }

    fn whole(&self) -> Span {
        let first = self.tokens.first().map_or(Span::default(), |(_, place)| *place);
        first.to_end_of(self.tokens.last().map_or(first, |(_, place)| *place))
    }

    /// Of the next token, or just behind the last one.
    fn place(&self) -> Span {
        self.tokens.get(self.at).map_or_else(
            || {
                let end = self.whole().to;
                Span { from: end, to: end }
            },
            |(_, place)| *place,
        )
    }

    /// Of the token before.
    fn last(&self) -> Span {
        self.tokens[self.at.clamp(1, self.tokens.len()) - 1].1
    }

    /// D-5.
    fn expected_at(&self, ahead: usize, what: &str) -> Diagnostic {
        match self.tokens.get(self.at + ahead) {
            Some((found, place)) => {
                diagnostic(5, *place, format!("{} stands where another thing belongs", found.describe()), {
                    format!("write {what}")
                })
            }
            None => {
                let end = self.whole().to;
                let place = Span { from: end, to: end };
                diagnostic(5, place, "the line ends too early", format!("go on with {what}"))
            }
        }
    }

    fn keyword(&mut self, word: &str) -> Parsed<()> {
        if self.word_at(0) != Some(word) {
            return Err(self.expected_at(0, &format!("`{word}`")));
        }
        self.at += 1;
        Ok(())
    }

    fn symbol(&mut self, symbol: &str) -> Parsed<()> {
        if self.symbol_at(0) != Some(symbol) {
            return Err(self.expected_at(0, &format!("`{symbol}`")));
        }
        self.at += 1;
        Ok(())
    }

    fn one_of<T: Copy>(&mut self, choices: &[(&str, T)]) -> Parsed<T> {
        let found = self.word_at(0).and_then(|word| choices.iter().find(|(choice, _)| *choice == word));
        let Some((_, value)) = found else {
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
            return Err(self.expected_at(0, &words.join(" or ")));
        };
        self.at += 1;
        Ok(*value)
    }

    fn text(&mut self, what: &str) -> Parsed<(String, Span)> {
        match self.tokens.get(self.at) {
            Some((Token::Text(text), place)) => {
                self.at += 1;
                Ok((text.clone(), *place))
            }
            _ => Err(self.expected_at(0, what)),
        }
    }

    fn code(&mut self, what: &str) -> Parsed<(String, Span)> {
        match self.tokens.get(self.at) {
            Some((Token::Code(code), place)) => {
                self.at += 1;
                Ok((code.clone(), *place))
            }
            _ => Err(self.expected_at(0, what)),
        }
    }

    /// D-9: no keyword.
    fn name(&mut self, what: &str) -> Parsed<(String, Span)> {
        match self.tokens.get(self.at) {
            Some((Token::Word(word), place)) if is_keyword(word) => {
                let cause = format!("`{word}` is a word of the language");
                Err(diagnostic(9, *place, cause, "take another name"))
            }
            Some((Token::Word(word), place)) => {
                self.at += 1;
                Ok((word.clone(), *place))
            }
            _ => Err(self.expected_at(0, what)),
        }
    }

    fn plain_number(&mut self, what: &str) -> Parsed<(i64, Span)> {
        match self.tokens.get(self.at) {
            Some((Token::Number { digits, decimals: 0 }, place)) => {
                self.at += 1;
                Ok((*digits, *place))
            }
            _ => Err(self.expected_at(0, what)),
        }
    }

    fn end(&self) -> Parsed<()> {
        match self.tokens.get(self.at) {
            Some((found, place)) => {
                let cause = format!("the line should end before {}", found.describe());
                Err(diagnostic(5, *place, cause, "take it out, or put it on a line of its own"))
            }
            None => Ok(()),
        }
    }
}

fn pair(
    kind: impl FnOnce(Box<Expression>, Box<Expression>) -> Kind,
    left: Expression,
    right: Expression,
) -> Expression {
    let place = left.place.to_end_of(right.place);
    Expression { place, kind: kind(Box::new(left), Box::new(right)) }
}
