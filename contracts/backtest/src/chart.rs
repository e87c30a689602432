//! The chart: the rate over time, stripes where a loan is permitted, and each feed below it, as one SVG.
//! Floats are here and only here, and only for places on the paper.

use crate::replay::{Replay, Row, Series};
use crate::svg::{Area, Drawn, GRID, INK, LINE as RATE, svg};
use contracts_vm::policy::{Language, Policy};
use contracts_vm::unit::{PERCENT, decimal};
use contracts_vm::{Frequency, Period, Verdict};
use plotters::prelude::*;
use std::ops::Range;

const WIDTH: u32 = 960;
const RATE_HEIGHT: u32 = 340;
const FEED_HEIGHT: u32 = 150;
const LEFT: u32 = 84;

const PERMITTED: RGBColor = RGBColor(0xd6, 0xee, 0xd2);
const FEED: RGBColor = RGBColor(0x8a, 0x4b, 0x08);

/// In English. `series` are the policy's feeds in their order.
pub fn chart(policy: &Policy, series: &[Series], replay: &Replay) -> String {
    chart_in(Language::English, policy, series, replay)
}

/// The same picture with its words in another language.
pub fn chart_in(language: Language, policy: &Policy, series: &[Series], replay: &Replay) -> String {
    let height = RATE_HEIGHT + FEED_HEIGHT * u32::try_from(series.len()).expect("at most 8 feeds");
    let (title, description) = words(language, policy, replay);
    svg((WIDTH, height), &title, &description, |root| draw(root, language, policy, series, replay))
}

fn draw(root: &Area<'_>, language: Language, policy: &Policy, series: &[Series], replay: &Replay) -> Drawn {
    let span = span(replay);
    let (rates, mut rest) = root.split_vertically(RATE_HEIGHT);
    rate_panel(&rates, language, policy, replay, span.clone())?;
    for (feed, series) in policy.feeds.iter().zip(series) {
        let (panel, below) = rest.split_vertically(FEED_HEIGHT);
        rest = below;
        let points: Vec<(f64, f64)> = series
            .values
            .iter()
            .map(|(period, value)| (years(*period, series.frequency).start, *value as f64))
            .filter(|(year, _)| span.contains(year))
            .collect();
        let column = format!("{} ({})", feed.name, feed.series);
        feed_panel(&panel, &column, &points, feed.scale, span.clone())?;
    }
    Ok(())
}

fn rate_panel(area: &Area<'_>, language: Language, policy: &Policy, replay: &Replay, span: Range<f64>) -> Drawn {
    let lower = policy.lower.min(0) as f64 / PERCENT as f64;
    let upper = policy.upper as f64 / PERCENT as f64;
    let room = ((upper - lower) * 0.08).max(0.05);
    let Policy { name, version, .. } = policy;
    let title = match language {
        Language::English => format!("{name} version {version}: rate on return; green where a loan is permitted"),
        Language::Chinese => format!("{name} 第{version}版：归还利率；绿色为允许放贷的时期"),
    };
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 17).into_font().color(&INK))
        .margin_right(18)
        .margin_top(8)
        .x_label_area_size(30)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(span, lower..upper + room)?;
    let (bottom, top) = (lower, upper + room);
    for run in replay.rows.chunk_by(|a, b| permits(a) == permits(b)).filter(|run| permits(&run[0])) {
        let from = years(run[0].period, replay.frequency).start;
        let to = years(run[run.len() - 1].period, replay.frequency).end;
        chart.draw_series([Rectangle::new([(from, bottom), (to, top)], PERMITTED.filled())])?;
    }
    chart
        .configure_mesh()
        .light_line_style(WHITE.mix(0.0))
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .x_labels(12)
        .x_label_formatter(&year_label)
        .y_label_formatter(&|percent| format!("{percent:.2} %"))
        .draw()?;
    let steps = replay.rows.iter().flat_map(|row| {
        let within = years(row.period, replay.frequency);
        let percent = row.rate.0 as f64 / PERCENT as f64;
        [(within.start, percent), (within.end, percent)]
    });
    chart.draw_series(LineSeries::new(steps, RATE.stroke_width(2)))?;
    Ok(())
}

fn feed_panel(area: &Area<'_>, name: &str, points: &[(f64, f64)], scale: u8, span: Range<f64>) -> Drawn {
    let values = || points.iter().map(|(_, value)| *value);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let (low, high) = if points.is_empty() { (0.0, 1.0) } else { (low, high) };
    let room = ((high - low) * 0.08).max(1.0);
    let mut chart = ChartBuilder::on(area)
        .caption(name, ("sans-serif", 14).into_font().color(&INK))
        .margin_right(18)
        .x_label_area_size(24)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(span, low - room..high + room)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE.mix(0.0))
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", 12).into_font().color(&INK))
        .x_labels(12)
        .y_labels(4)
        .x_label_formatter(&year_label)
        .y_label_formatter(&|value| decimal(value.round() as i64, scale, 0))
        .draw()?;
    chart.draw_series(LineSeries::new(points.iter().copied(), FEED.stroke_width(1)))?;
    Ok(())
}

fn permits(row: &Row) -> bool {
    row.verdicts.iter().any(|verdict| matches!(verdict, Verdict::Permit { .. }))
}

fn span(replay: &Replay) -> Range<f64> {
    let (first, last) = (&replay.rows[0], &replay.rows[replay.rows.len() - 1]);
    years(first.period, replay.frequency).start..years(last.period, replay.frequency).end
}

/// Where a period lies on the axis of years.
fn years(period: Period, frequency: Frequency) -> Range<f64> {
    let (count, in_a_year) = match frequency {
        Frequency::Daily => (f64::from(period.0) + 1970.0 * 365.2425, 365.2425),
        Frequency::Monthly => (f64::from(period.0), 12.0),
        Frequency::Quarterly => (f64::from(period.0), 4.0),
        Frequency::Yearly => (f64::from(period.0), 1.0),
    };
    count / in_a_year..(count + 1.0) / in_a_year
}

/// A name and a description, for readers who do not see it.
fn words(language: Language, policy: &Policy, replay: &Replay) -> (String, String) {
    let permitted = replay.rows.iter().filter(|row| permits(row)).count();
    let text = |row: &Row| row.period.text(replay.frequency);
    let (first, last) = (text(&replay.rows[0]), text(&replay.rows[replay.rows.len() - 1]));
    let rates = || replay.rows.iter().map(|row| row.rate);
    let (low, high) = (rates().min().expect("has rows"), rates().max().expect("has rows"));
    let (Policy { name, version, .. }, all) = (policy, replay.rows.len());
    match language {
        Language::English => (
            format!("Back-test of {name} version {version}, {first} to {last}"),
            format!(
                "A loan is permitted in {permitted} of {all} periods; the rate on return lies between {low} and {high}."
            ),
        ),
        Language::Chinese => (
            format!("{name} 第{version}版的回测：{first} 至 {last}"),
            format!("{all} 个时期中有 {permitted} 个允许放贷；归还利率介于 {low} 与 {high} 之间。"),
        ),
    }
}

/// Only whole years have a name: of a short span the marks between them have none.
fn year_label(year: &f64) -> String {
    if (year - year.round()).abs() < 1e-9 { format!("{year:.0}") } else { String::new() }
}
