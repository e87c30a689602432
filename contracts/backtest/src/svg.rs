//! What pictures have in common: how one is begun, its colours, and a name for readers who do not see it.
//!
//! plotters lays out with its SVG backend alone, without fonts: text is text, so that a reader can search and scale it, and
//! no font of the machine moves a byte.

use plotters::coord::Shift;
use plotters::prelude::*;

pub const INK: RGBColor = RGBColor(0x22, 0x2b, 0x38);
pub const GRID: RGBColor = RGBColor(0xdd, 0xe1, 0xe6);
/// Dark enough on white for text beside it (contrast 7 to 1).
pub const LINE: RGBColor = RGBColor(0x0b, 0x4f, 0x8a);

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub type Drawn = Result<(), Box<dyn std::error::Error>>;

/// So many units wide and high, on white.
pub fn svg(size: (u32, u32), title: &str, description: &str, draw: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).expect("a string takes everything");
        draw(&root).expect("a string takes everything");
        root.present().expect("a string takes everything");
    }
    let (head, body) = svg.split_at(svg.find('>').map_or(0, |at| at + 1));
    let head = head.replacen("<svg ", "<svg role=\"img\" aria-labelledby=\"title desc\" ", 1);
    format!("{head}\n<title id=\"title\">{title}</title>\n<desc id=\"desc\">{description}</desc>{body}")
}
