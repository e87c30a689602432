//! What a policy does, in plain English and Chinese: from the checked policy, so that the words cannot say another
//! thing than what runs. Part of the package that is hashed and made anew when it is read (P-3): other words are
//! another version of the package, and these must stay for those that say them.

use crate::canonical::{bit_runs, factor_text, months};
use crate::policy::{Comparison, Condition, Feed, Language, Policy, Quantity, QuantityKind};
use crate::sector::{SectorCode, SectorSet};
use crate::unit::{Unit, Vintage, WhenStale, decimal};
use crate::{Date, Frequency};
use std::fmt::Write;

impl Policy {
    pub fn explain(&self, language: Language) -> String {
        let say = Say { policy: self, language };
        let mut text = say.pick(
            format!("Policy \"{}\", version {}, for {}.\n", self.name, self.version, self.currency),
            format!("政策“{}”，第{}版，货币：{}。\n", self.name, self.version, self.currency),
        );
        if !self.feeds.is_empty() {
            text += say.pick("\nIt reads:\n", "\n读取的数据：\n");
            (0..).zip(&self.feeds).for_each(|(at, feed)| text += &say.feed(at, feed));
        }
        let mut list = |heading: &str, conditions: &[Condition]| {
            if !conditions.is_empty() {
                text += heading;
                for (line, condition) in (1..).zip(conditions) {
                    let _ = writeln!(text, "{line}. {}", say.condition(condition, false));
                }
            }
        };
        let heading = "\nThe money may be lent only when all of these hold:\n";
        list(say.pick(heading, "\n仅当下列条件全部成立时，资金方可贷出：\n"), &self.effective);
        let heading = "\nEven then it may not be lent when one of these holds:\n";
        list(say.pick(heading, "\n即使如此，下列任一条件成立时，资金不得贷出：\n"), &self.denies);
        // E-4
        if self.effective.iter().chain(&self.denies).any(Condition::asks_for_sector) {
            text += say.pick(
                "\nA loan whose sector is no code of ISIC Rev. 4 is denied wherever the sector is asked for.\n",
                "\n凡涉及行业的条件，贷款行业不属于《国际标准行业分类》修订本第4版代码的，不予贷出。\n",
            );
        }
        let idle = Unit::Days.write(self.idle_days.into());
        text += &say.pick(
            format!("\nMoney that has not been lent {idle} after its issue goes back to the central bank.\n"),
            format!("\n发行后{}天内未贷出的资金退回中央银行。\n", self.idle_days),
        );
        text += &match self.due_days {
            0 => say
                .pick("The bank's return falls due at the end of the loan's term.\n", "贷款到期之日，银行应当归还。\n")
                .to_owned(),
            days => say.pick(
                format!("The bank's return falls due {} after the loan's term.\n", Unit::Days.write(days.into())),
                format!("贷款到期后{days}天，银行应当归还。\n"),
            ),
        };
        text += say.pick("\nOn return the bank pays a yearly rate", "\n归还时，银行支付的年利率");
        if self.cases.is_empty() {
            let rate = say.quantity(&self.otherwise, false);
            text += &say.pick(format!(" of {rate}.\n"), format!("为{rate}。\n"));
        } else {
            text += say.pick(", by the first of these that applies:\n", "，按下列第一项适用者确定：\n");
            for (line, case) in (1..).zip(&self.cases) {
                let (rate, when) = (say.quantity(&case.rate, false), say.condition(&case.when, false));
                let english = format!("{line}. {rate}, when {when}\n");
                text += &say.pick(english, format!("{line}. 当{when}时：{rate}\n"));
            }
            let (line, rate) = (self.cases.len() + 1, say.quantity(&self.otherwise, false));
            text += &say.pick(format!("{line}. {rate} otherwise\n"), format!("{line}. 其他情形：{rate}\n"));
        }
        let [lower, upper] = [self.lower, self.upper].map(|rate| Unit::Rate.write(rate));
        let step = decimal(self.step, 2, 0);
        text + &say.pick(
            format!(
                "The rate is never below {lower} and never above {upper}, and is rounded to steps of {step} bp (half \
                 to even).\nWhat cannot be computed denies the loan; on return it is paid at {upper}.\n"
            ),
            format!(
                "利率不低于{lower}，不高于{upper}，按{step}个基点的步长取整（四舍六入五成双）。\n\
                 无法计算时，不予贷出；归还时按{upper}支付。\n"
            ),
        )
    }
}

impl Condition {
    fn asks_for_sector(&self) -> bool {
        match self {
            Self::And(left, right) | Self::Or(left, right) => left.asks_for_sector() || right.asks_for_sector(),
            Self::Not(inner) => inner.asks_for_sector(),
            Self::Sector(_) => true,
            _ => false,
        }
    }
}

struct Say<'a> {
    policy: &'a Policy,
    language: Language,
}

impl Say<'_> {
    fn pick<T>(&self, english: T, chinese: T) -> T {
        match self.language {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }

    fn feed(&self, at: u8, feed: &Feed) -> String {
        let (name, series, age, scale) = (&feed.name, &feed.series, feed.max_age_days, feed.scale);
        let frequency = match feed.frequency {
            Frequency::Daily => self.pick("daily", "每日"),
            Frequency::Monthly => self.pick("monthly", "每月"),
            Frequency::Quarterly => self.pick("quarterly", "每季"),
            Frequency::Yearly => self.pick("yearly", "每年"),
        };
        let unit = match feed.unit {
            Unit::Rate => self.pick("in percent".to_owned(), "百分率".to_owned()),
            Unit::Money { currency, .. } => self.pick(format!("in {currency}"), format!("{currency}金额")),
            _ => self.pick("an index".to_owned(), "指数".to_owned()),
        };
        let vintage = match feed.vintage {
            Vintage::First => self.pick("the first published value of a period counts", "以每期首次公布值为准"),
            Vintage::Latest => self.pick("the latest revision of a period counts", "以每期最新修订值为准"),
        };
        let stale = match feed.when_stale {
            WhenStale::Deny => {
                let highest = Unit::Rate.write(self.policy.upper);
                match self.policy.reads(at) {
                    (true, false) => self.pick("the loan is denied".to_owned(), "不予贷出".to_owned()),
                    (false, _) => self.pick(
                        format!("a return whose rate depends on it is paid at {highest}"),
                        format!("利率取决于该数列的归还按{highest}支付"),
                    ),
                    (true, true) => self.pick(
                        format!("the loan is denied, and a return whose rate depends on it is paid at {highest}"),
                        format!("不予贷出，利率取决于该数列的归还按{highest}支付"),
                    ),
                }
            }
            WhenStale::Fallback(_) => {
                let value = feed.unit.write(feed.fallback_in_unit().expect("it has one"));
                self.pick(
                    format!("all of it counts as standing still at {value}"),
                    format!("整个数列视为保持在{value}不变"),
                )
            }
        };
        let age = Unit::Days.write(age.into());
        self.pick(
            format!(
                "- {name}: the series {series}, {frequency}, {unit}, {scale} decimals; {vintage}. When a value that is \
                 needed is missing, lies beyond a gap or cannot be computed with, or the newest one was published more \
                 than {age} ago or later than now, or has expired, {stale}.\n"
            ),
            format!(
                "- {name}：数列{series}，{frequency}，{unit}，{scale}位小数；{vintage}。所需数值缺失、期次不连续或无法计算，\
                 或最新值公布已逾{}天、公布时间晚于当前时间或已过有效期时，{stale}。\n",
                feed.max_age_days
            ),
        )
    }

    fn name(&self, feed: u8) -> &str {
        &self.policy.feeds[usize::from(feed)].name
    }

    fn periods(&self, feed: u8, count: u16) -> String {
        let frequency = self.policy.feeds[usize::from(feed)].frequency;
        let chinese = match frequency {
            Frequency::Daily => format!("{count}个公布日"),
            Frequency::Monthly => format!("{count}个月"),
            Frequency::Quarterly => format!("{count}个季度"),
            Frequency::Yearly => format!("{count}年"),
        };
        let word = frequency.period_word();
        let english = if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
        self.pick(english, chinese)
    }

    /// In brackets where it stands within another.
    fn condition(&self, condition: &Condition, is_inner: bool) -> String {
        let joined = |left: &Condition, right: &Condition, english: &str, chinese: &str| {
            let (left, right) = (self.condition(left, true), self.condition(right, true));
            let text = self.pick(format!("{left} {english} {right}"), format!("{left}{chinese}{right}"));
            if is_inner { self.pick(format!("({text})"), format!("（{text}）")) } else { text }
        };
        match condition {
            Condition::And(left, right) => joined(left, right, "and", "，且"),
            Condition::Or(left, right) => joined(left, right, "or", "，或"),
            Condition::Not(inner) => match &**inner {
                Condition::Sector(set) => {
                    let sectors = self.sectors(*set);
                    self.pick(
                        format!("the borrower's sector is none of {sectors}"),
                        format!("借款人行业不属于{sectors}"),
                    )
                }
                inner => {
                    let inner = self.condition(inner, false);
                    self.pick(format!("it is not so that ({inner})"), format!("并非（{inner}）"))
                }
            },
            Condition::Compare(comparison, left, right) => {
                let is_duration = left.unit == Unit::Days;
                let (left, right) = (self.quantity(left, false), self.quantity(right, false));
                let (english, chinese) = match comparison {
                    Comparison::Less if is_duration => ("is shorter than", "短于"),
                    Comparison::AtMost if is_duration => ("is at most", "不超过"),
                    Comparison::AtLeast if is_duration => ("is at least", "不短于"),
                    Comparison::Greater if is_duration => ("is longer than", "超过"),
                    Comparison::Less => ("is below", "低于"),
                    Comparison::AtMost => ("is at most", "不高于"),
                    Comparison::Equal => ("is exactly", "恰为"),
                    Comparison::AtLeast => ("is at least", "不低于"),
                    Comparison::Greater => ("is above", "高于"),
                };
                self.pick(format!("{left} {english} {right}"), format!("{left}{chinese}{right}"))
            }
            Condition::Time { from, until } => self.window(*from, *until),
            Condition::Months(set) => {
                const ENGLISH: [&str; 12] = [
                    "January",
                    "February",
                    "March",
                    "April",
                    "May",
                    "June",
                    "July",
                    "August",
                    "September",
                    "October",
                    "November",
                    "December",
                ];
                const CHINESE: [&str; 12] = [
                    "一月",
                    "二月",
                    "三月",
                    "四月",
                    "五月",
                    "六月",
                    "七月",
                    "八月",
                    "九月",
                    "十月",
                    "十一月",
                    "十二月",
                ];
                let names = self.named(if self.language == Language::English { &ENGLISH } else { &CHINESE }, *set);
                self.pick(format!("the month, UTC, is {names}"), format!("当前月份（UTC）为{names}"))
            }
            Condition::Weekdays(set) => {
                const ENGLISH: [&str; 7] =
                    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
                const CHINESE: [&str; 7] = ["星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"];
                let names = if self.language == Language::English { &ENGLISH } else { &CHINESE };
                let names = self.named(names, *set);
                self.pick(format!("the day of the week, UTC, is {names}"), format!("当前（UTC）为{names}"))
            }
            Condition::Sector(set) => {
                let sectors = self.sectors(*set);
                self.pick(format!("the borrower's sector is one of {sectors}"), format!("借款人行业属于{sectors}"))
            }
            Condition::Falls { feed, periods } => {
                let (name, periods) = (self.name(*feed), self.periods(*feed, *periods));
                self.pick(
                    format!("{name} has fallen in each of the last {periods}"),
                    format!("{name}已连续下降至少{periods}"),
                )
            }
            Condition::Rises { feed, periods } => {
                let (name, periods) = (self.name(*feed), self.periods(*feed, *periods));
                self.pick(
                    format!("{name} has risen in each of the last {periods}"),
                    format!("{name}已连续上升至少{periods}"),
                )
            }
        }
    }

    fn window(&self, from: Option<Date>, until: Option<Date>) -> String {
        match (from, until) {
            (Some(from), Some(until)) => self.pick(
                format!("the time, UTC, is at or after the start of {from} and before the start of {until}"),
                format!("时间（UTC）自{from}零时起，至{until}零时止（不含）"),
            ),
            (Some(from), None) => self.pick(
                format!("the time, UTC, is at or after the start of {from}"),
                format!("时间（UTC）在{from}零时或之后"),
            ),
            (None, Some(until)) => self.pick(
                format!("the time, UTC, is before the start of {until}"),
                format!("时间（UTC）在{until}零时之前"),
            ),
            (None, None) => String::new(),
        }
    }

    fn named(&self, names: &[&str], bits: impl Into<u32>) -> String {
        let runs = bit_runs(bits.into()).into_iter().map(|(first, last)| {
            let (first, last) = (names[first], names[last]);
            if first == last {
                first.to_owned()
            } else {
                self.pick(format!("{first} to {last}"), format!("{first}至{last}"))
            }
        });
        runs.collect::<Vec<_>>().join(self.pick(", ", "、"))
    }

    fn sectors(&self, set: SectorSet) -> String {
        let title = |code: SectorCode| {
            let (english, chinese) = code.section_titles();
            self.pick(english, chinese)
        };
        let runs = set.runs().into_iter().map(|(first, last)| {
            let codes = if first == last {
                first.to_string()
            } else {
                self.pick(format!("{first} to {last}"), format!("{first}至{last}"))
            };
            // A division is named by the section that it belongs to.
            let of = if first.0 & 0xff == 0 { "" } else { self.pick("of ", "属") };
            self.pick(format!("{codes} ({of}{})", title(first)), format!("{codes}（{of}{}）", title(first)))
        });
        let list = runs.collect::<Vec<_>>().join(self.pick(", ", "、"));
        self.pick(format!("ISIC Rev. 4 {list}"), format!("《国际标准行业分类》修订本第4版{list}"))
    }

    fn constant(&self, unit: Unit, value: i64) -> String {
        match (self.language, unit) {
            (Language::Chinese, Unit::Spread) => format!("{}个基点", decimal(value, 2, 0)),
            (Language::Chinese, Unit::Days) => format!("{value}天"),
            (Language::Chinese, Unit::Index { scale }) => format!("{}点", decimal(value, scale, scale)),
            _ => unit.write(value),
        }
    }

    fn quantity(&self, quantity: &Quantity, is_inner: bool) -> String {
        let over = |feed: &u8, periods: &u16, english: &str, chinese: &str| {
            let (name, periods) = (self.name(*feed), self.periods(*feed, *periods));
            self.pick(
                format!("the {english} of {name} over the last {periods}"),
                format!("{name}近{periods}的{chinese}"),
            )
        };
        let two = |left: &Quantity, right: &Quantity, english: &str, chinese: &str| {
            let (left, right) = (self.quantity(left, true), self.quantity(right, true));
            let text =
                self.pick(format!("the {english} of {left} and {right}"), format!("{left}与{right}中的{chinese}"));
            if is_inner { self.pick(format!("({text})"), format!("（{text}）")) } else { text }
        };
        match &quantity.kind {
            QuantityKind::Constant(value) => self.constant(quantity.unit, *value),
            QuantityKind::LoanRate => self.pick("the loan's rate", "贷款利率").to_owned(),
            QuantityKind::LoanTerm => self.pick("the loan's term", "贷款期限").to_owned(),
            QuantityKind::LoanAge => self.pick("the time since the loan was made", "贷款已持续的时间").to_owned(),
            QuantityKind::Months(count) => {
                let chinese = if count % 12 == 0 { format!("{}年", count / 12) } else { format!("{count}个月") };
                self.pick(format!("{} from the day of the loan", months(*count)), format!("自放款之日起{chinese}"))
            }
            QuantityKind::Level { feed, back: 0 } => self.name(*feed).to_owned(),
            QuantityKind::Level { feed, back } => {
                let (name, periods) = (self.name(*feed), self.periods(*feed, *back));
                self.pick(format!("{name} of {periods} ago"), format!("{periods}前的{name}"))
            }
            QuantityKind::Average { feed, periods } => over(feed, periods, "average", "平均值"),
            QuantityKind::Highest { feed, periods } => over(feed, periods, "highest value", "最高值"),
            QuantityKind::Lowest { feed, periods } => over(feed, periods, "lowest value", "最低值"),
            QuantityKind::Change { feed, periods } => over(feed, periods, "change", "变动"),
            QuantityKind::Growth { feed, periods } => over(feed, periods, "growth", "增长率"),
            QuantityKind::Add(left, right) | QuantityKind::Subtract(left, right) => {
                let is_sum = matches!(quantity.kind, QuantityKind::Add(..));
                let (english, chinese) = if is_sum { ("plus", "加") } else { ("minus", "减") };
                // A chain from left to right reads as it runs; all else of two parts needs its brackets.
                let is_choice = |side: &Quantity| matches!(side.kind, QuantityKind::Min(..) | QuantityKind::Max(..));
                let is_sum = |side: &Quantity| matches!(side.kind, QuantityKind::Add(..) | QuantityKind::Subtract(..));
                let (left, right) =
                    (self.quantity(left, is_choice(left)), self.quantity(right, is_choice(right) || is_sum(right)));
                let text = self.pick(format!("{left} {english} {right}"), format!("{left}{chinese}{right}"));
                if is_inner { self.pick(format!("({text})"), format!("（{text}）")) } else { text }
            }
            QuantityKind::Times(factor, inner) => {
                let (factor, inner) = (factor_text(*factor), self.quantity(inner, true));
                let text = self.pick(format!("{factor} times {inner}"), format!("{inner}的{factor}倍"));
                if is_inner { self.pick(format!("({text})"), format!("（{text}）")) } else { text }
            }
            QuantityKind::Min(left, right) => two(left, right, "lower", "较低者"),
            QuantityKind::Max(left, right) => two(left, right, "higher", "较高者"),
            QuantityKind::InBasisPoints(inner) => {
                let inner = self.quantity(inner, true);
                self.pick(format!("{inner} in basis points"), format!("{inner}（以基点计）"))
            }
            QuantityKind::InPercent(inner) => {
                let inner = self.quantity(inner, true);
                self.pick(format!("{inner} in percent"), format!("{inner}（以百分率计）"))
            }
        }
    }
}
