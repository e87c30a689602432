//! A run as one SVG, drawn from its JSON document alone: items a second over the run's time, and percentiles of latency.

use contracts_backtest::svg::{self, Area, Drawn, GRID, INK, LINE};
use plotters::prelude::*;
use serde_json::{Map, Value};

const WIDTH: u32 = 960;
const THROUGHPUT_HEIGHT: u32 = 320;
/// Of the latencies' panel: its caption and axis, and each step that was measured.
const LATENCY_HEIGHT: u32 = 90;
const STEP_HEIGHT: u32 = 54;
const LEFT: u32 = 96;

/// p50, p95 and p99: each is drawn over the slower one.
const PERCENTILES: [(&str, RGBColor); 3] =
    [("p99", RGBColor(0xc6, 0xd9, 0xea)), ("p95", RGBColor(0x7d, 0xa7, 0xcc)), ("p50", LINE)];

/// Of the document of `order`, `pay` or `lookup`.
pub fn svg(run: &Value) -> String {
    let steps = steps(run);
    let height = THROUGHPUT_HEIGHT + LATENCY_HEIGHT + STEP_HEIGHT * u32::try_from(steps.len()).unwrap_or(1);
    let limited = format!("limited by {}", run["limiting_stage"].as_str().unwrap_or("unknown"));
    svg::svg((WIDTH, height), &title(run), &limited, |root| draw(root, run, &steps))
}

fn draw(root: &Area<'_>, run: &Value, steps: &[(String, [f64; 3])]) -> Drawn {
    let (above, below) = root.split_vertically(THROUGHPUT_HEIGHT);
    throughput(&above, run)?;
    latency(&below, steps)
}

fn throughput(area: &Area<'_>, run: &Value) -> Drawn {
    let each: Vec<f64> = run["per_second"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let top = each.iter().copied().fold(1.0, f64::max) * 1.08;
    let mut chart = ChartBuilder::on(area)
        .caption(title(run), ("sans-serif", 17).into_font().color(&INK))
        .margin_right(18)
        .margin_top(8)
        .x_label_area_size(40)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..each.len().max(1) as f64, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE.mix(0.0))
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .x_desc("seconds since the clock started")
        .y_desc("a second")
        .x_label_formatter(&|second| format!("{second:.0}"))
        .y_label_formatter(&|rate| format!("{rate:.0}"))
        .draw()?;
    let points = each.iter().zip(0u32..).flat_map(|(rate, second)| {
        let second = f64::from(second);
        [(second, *rate), (second + 1.0, *rate)]
    });
    chart.draw_series(LineSeries::new(points, LINE.stroke_width(2)))?;
    Ok(())
}

fn latency(area: &Area<'_>, steps: &[(String, [f64; 3])]) -> Drawn {
    let slowest = steps.iter().map(|(_, [.., p99])| *p99).fold(1.0, f64::max) * 1.08;
    let mut chart = ChartBuilder::on(area)
        .caption("milliseconds: 50, 95 and 99 of 100 took no longer", ("sans-serif", 15).into_font().color(&INK))
        .margin_right(18)
        .x_label_area_size(30)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..slowest, 0.0..steps.len().max(1) as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(WHITE.mix(0.0))
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .y_labels(0)
        .x_label_formatter(&|ms| format!("{ms:.0}"))
        .draw()?;
    for ((name, [p50, p95, p99]), row) in steps.iter().rev().zip(0u32..) {
        let row = f64::from(row);
        for (ms, (_, colour)) in [p99, p95, p50].into_iter().zip(PERCENTILES) {
            chart.draw_series([Rectangle::new([(0.0, row + 0.15), (*ms, row + 0.6)], colour.filled())])?;
        }
        let text = format!("{name}: p50 {p50} ms, p95 {p95} ms, p99 {p99} ms");
        let style = ("sans-serif", 13).into_font().color(&INK);
        chart.draw_series([Text::new(text, (0.0, row + 0.95), style)])?;
    }
    Ok(())
}

/// Each step's percentiles; a step that nothing reached has none.
fn steps(run: &Value) -> Vec<(String, [f64; 3])> {
    let one: Map<String, Value> = [("all".to_owned(), run["latency_ms"].clone())].into_iter().collect();
    let by_step = run["latency_ms_by_step"].as_object().unwrap_or(&one);
    let mut steps: Vec<(String, [f64; 3])> = by_step
        .iter()
        .filter_map(|(name, at)| Some((name.clone(), [at["p50"].as_f64()?, at["p95"].as_f64()?, at["p99"].as_f64()?])))
        .collect();
    steps.sort_by(|(_, a), (_, b)| a[0].total_cmp(&b[0]));
    steps
}

fn title(run: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let offered = run["rate"].as_u64().map_or("as many as it takes".to_owned(), |rate| format!("{rate}/s offered"));
    format!(
        "bench {}: {} a second over {:.0} s, {offered}; {} cores of {}",
        text(&run["bench"]),
        run["throughput_per_s"].as_f64().unwrap_or(0.0).round(),
        run["seconds"].as_f64().unwrap_or(0.0),
        run["machine"]["cores"],
        text(&run["machine"]["cpu"]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run() -> Value {
        json!({
            "bench": "pay", "rate": 500, "throughput_per_s": 495.0, "seconds": 3, "per_second": [400, 500, 585],
            "latency_ms": { "p50": 500.5, "p95": 840.0, "p99": 1200.0 },
            "latency_ms_by_step": {
                "confirmed": { "p50": 500.5, "p95": 840.0, "p99": 1200.0, "count": 3 },
                "ordered": { "p50": 90.0, "p95": 100.0, "p99": 110.0, "count": 3 },
                "settled": { "p50": null, "p95": null, "p99": null, "count": 0 },
            },
            "limiting_stage": "the offered rate", "machine": { "cores": 2, "cpu": "a processor" },
        })
    }

    #[test]
    fn a_picture_says_what_ran_how_fast_and_how_slow_each_step_was() {
        let svg = svg(&run());
        assert!(svg.starts_with("<svg role=\"img\""), "{}", &svg[..80]);
        for said in
            ["bench pay: 495 a second over 3 s, 500/s offered; 2 cores of a processor", "limited by the offered rate"]
        {
            assert!(svg.contains(said), "{said}");
        }
        assert!(svg.contains("confirmed: p50 500.5 ms, p95 840 ms, p99 1200 ms"));
        assert!(
            svg.contains("ordered: p50 90 ms") && !svg.contains("settled:"),
            "nothing is drawn of what nothing reached"
        );
    }

    #[test]
    fn steps_stand_in_the_order_in_which_a_payment_takes_them_and_a_run_without_steps_has_one() {
        let names = |run: &Value| steps(run).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(&run()), ["ordered", "confirmed"]);
        let mut without = run();
        without.as_object_mut().unwrap().remove("latency_ms_by_step");
        assert_eq!(names(&without), ["all"]);
        svg(&json!({}));
    }
}
