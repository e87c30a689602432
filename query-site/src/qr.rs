//! QR codes as SVG, one path. What a reader of the picture cannot see stands in its label.

use askama::filters::{Escaper, Html};
use qrcode::{Color, EcLevel, QrCode};

/// Light modules that a scanner needs around the code.
const QUIET: usize = 4;

/// None if the text is longer than a code holds.
pub fn svg(text: &str, label: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let (width, colors) = (code.width(), code.to_colors());
    let mut path = String::new();
    for (y, row) in colors.chunks(width).enumerate() {
        let mut x = 0;
        while x < width {
            let run = row[x..].iter().take_while(|color| **color == Color::Dark).count();
            if run > 0 {
                path.push_str(&format!("M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET));
            }
            x += run.max(1);
        }
    }
    let side = width + 2 * QUIET;
    let label = escaped(label);
    Some(format!(
        "<svg class=\"qr\" role=\"img\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <title>{label}</title><rect class=\"qr-paper\" width=\"{side}\" height=\"{side}\"/>\
         <path class=\"qr-ink\" d=\"{path}\"/></svg>"
    ))
}

pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    Html.write_escaped_str(&mut out, text).expect("a String takes everything");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_text_whatever_it_says() {
        let svg = svg("COIN1QQQ", "<script>\"&").unwrap();
        assert!(!svg.contains("<script>") && svg.starts_with("<svg") && svg.contains("M4 4h7v1h-7z"), "{svg}");
        assert_eq!(super::svg(&"x".repeat(8_000), "too long"), None);
    }
}
