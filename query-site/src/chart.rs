//! Charts as SVG, drawn here: a picture without a script, with title and description for whoever cannot see it.
//!
//! Figures are drawn with floats and stated, beside the picture, as the integers that they are.

use crate::qr::escaped;

pub struct Line {
    /// `line-a`, `line-b`, `line-c`: colours are the style sheet's.
    pub class: &'static str,
    pub points: Vec<(u64, f64)>,
    /// A level that holds until the next point, or a reading at a time.
    pub shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Steps,
    Area,
    Bars,
}

pub struct Chart<'a> {
    pub id: &'a str,
    pub title: &'a str,
    pub description: &'a str,
    pub lines: &'a [Line],
    pub x_label: &'a dyn Fn(u64, u64) -> String,
    pub y_label: &'a dyn Fn(f64) -> String,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

impl Chart<'_> {
    /// Of amounts: from zero up. Nothing to draw below two points.
    pub fn svg(&self) -> Option<String> {
        self.drawn_from(0.0)
    }

    /// Of levels, which may lie far from zero or below it: as high as they lie.
    pub fn svg_around(&self) -> Option<String> {
        let lowest = self.lines.iter().flat_map(|line| line.points.iter()).map(|point| point.1).reduce(f64::min)?;
        self.drawn_from(lowest)
    }

    fn drawn_from(&self, lowest: f64) -> Option<String> {
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let (first, last) = (points().map(|p| p.0).min()?, points().map(|p| p.0).max()?);
        if first == last {
            return None;
        }
        let highest = points().map(|p| p.1).fold(lowest, f64::max);
        let step = nice_step(highest - lowest);
        // In steps, so that no sum of floats runs through the labels.
        let bottom_step = (lowest / step).floor();
        let top_step = (highest / step).ceil().max(bottom_step + 1.0);
        let (bottom, top) = (bottom_step * step, top_step * step);
        let x = |at: u64| LEFT + (at - first) as f64 / (last - first) as f64 * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| TOP + (top - value) / (top - bottom) * (HEIGHT - TOP - BOTTOM);
        let id = self.id;
        let mut svg = format!(
            "<svg class=\"chart\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" viewBox=\"0 0 {WIDTH} {HEIGHT}\">\
             <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
            escaped(self.title),
            escaped(self.description)
        );
        for n in bottom_step as i64..=top_step as i64 {
            // Rounded: a tenth is no float.
            let value = (n as f64 * step * 1e9).round() / 1e9;
            let at = y(value);
            svg.push_str(&format!(
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/><text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" \
                 text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0,
                escaped(&(self.y_label)(value))
            ));
        }
        let marks = [(first, "start"), (first + (last - first) / 2, "middle"), (last, "end")];
        for (at, anchor) in marks {
            svg.push_str(&format!(
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                x(at),
                HEIGHT - 8.0,
                escaped(&(self.x_label)(at, last - first))
            ));
        }
        for line in self.lines {
            svg.push_str(&drawn(line, &x, &y, last, bottom));
        }
        svg.push_str("</svg>");
        Some(svg)
    }
}

fn drawn(line: &Line, x: &dyn Fn(u64) -> f64, y: &dyn Fn(f64) -> f64, last: u64, bottom: f64) -> String {
    let Some(begin) = line.points.first() else { return String::new() };
    if line.shape == Shape::Bars {
        let path: String =
            line.points.iter().map(|(at, value)| format!("M{:.1} {:.1}V{:.1}", x(*at), y(bottom), y(*value))).collect();
        return format!("<path class=\"bars {}\" d=\"{path}\"/>", line.class);
    }
    let mut path = format!("M{:.1} {:.1}", x(begin.0), y(begin.1));
    for (at, value) in &line.points[1..] {
        path.push_str(&format!("H{:.1}V{:.1}", x(*at), y(*value)));
    }
    path.push_str(&format!("H{:.1}", x(last)));
    let area = match line.shape {
        Shape::Area => {
            format!("<path class=\"area {}\" d=\"{path}V{:.1}H{:.1}z\"/>", line.class, y(bottom), x(begin.0))
        }
        Shape::Steps | Shape::Bars => String::new(),
    };
    format!("{area}<path class=\"line {}\" d=\"{path}\"/>", line.class)
}

/// 1, 2 or 5 times a power of ten, so that three to five of them reach `highest`.
fn nice_step(highest: f64) -> f64 {
    if highest <= 0.0 {
        return 1.0;
    }
    let raw = highest / 4.0;
    let power = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= raw).unwrap_or(10.0);
    factor * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(u64, f64)>) -> Option<String> {
        let lines = [Line { class: "line-a", points, shape: Shape::Area }];
        Chart {
            id: "x",
            title: "<title>",
            description: "\"&",
            lines: &lines,
            x_label: &|at, _| at.to_string(),
            y_label: &|value| value.to_string(),
        }
        .svg()
    }

    #[test]
    fn a_chart_takes_two_points_and_its_texts_are_escaped() {
        assert_eq!(chart(vec![]), None);
        assert_eq!(chart(vec![(1, 5.0)]), None);
        let svg = chart(vec![(0, 0.0), (10, 870.0)]).unwrap();
        assert!(!svg.contains("<title>\"") && svg.contains("&#60;title&#62;") && !svg.contains("NaN"), "{svg}");
        assert!(svg.contains(">1000</text>"), "the axis ends above the highest point: {svg}");
    }

    #[test]
    fn levels_are_drawn_where_they_lie() {
        let lines = [Line { class: "line-a", points: vec![(0, -0.5), (1, 3.45), (2, 3.45)], shape: Shape::Steps }];
        let chart = Chart {
            id: "x",
            title: "t",
            description: "d",
            lines: &lines,
            x_label: &|at, _| at.to_string(),
            y_label: &|value| value.to_string(),
        };
        let svg = chart.svg_around().unwrap();
        assert!(svg.contains(">-1</text>") && svg.contains(">4</text>") && !svg.contains("NaN"), "{svg}");
        let flat = [Line { class: "line-a", points: vec![(0, 430.0), (1, 430.0)], shape: Shape::Steps }];
        let svg = Chart { lines: &flat, ..chart }.svg_around().unwrap();
        assert!(svg.contains(">430</text>") && !svg.contains("NaN"), "{svg}");
    }
}
