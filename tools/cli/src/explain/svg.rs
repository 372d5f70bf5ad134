//! SVG pictures of a few shapes and text, readable on light and dark pages.

use std::fmt::Write;

/// Colours of both modes; the background is part of the picture, so that it never depends on the page's.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}.small{font-size:10px}.title{font-size:14px;font-weight:600}\
.muted{fill:#59636e}.end{text-anchor:end}.middle{text-anchor:middle}.back{fill:#fff}.gap{stroke:#fff}.grid{stroke:#d1d9e0;fill:none}\
.blue{stroke:#0969da}.red{stroke:#cf222e}.line{fill:none;stroke-width:2}.cell{fill:none;stroke-width:1}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.muted{fill:#9198a1}.back{fill:#0d1117}.gap{stroke:#0d1117}.grid{stroke:#3d444d}\
.blue{stroke:#4493f8}.red{stroke:#f85149}}";

/// A picture that is being drawn; lengths in pixels, `y` downwards.
pub struct Svg {
    body: String,
}

/// A number with one decimal, a tenth of a pixel, without trailing zeros.
fn number(x: f64) -> String {
    let text = format!("{x:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".into() } else { text.into() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Svg {
    /// An empty picture; `title` is for screen readers.
    pub fn new(title: &str) -> Svg {
        let title = escaped(title);
        Svg {
            body: format!(
                "<title>{title}</title>\n<style>{STYLE}</style>\n<rect class=\"back\" width=\"100%\" height=\"100%\"/>\n"
            ),
        }
    }

    /// Text; `class` is any of `title`, `small`, `muted`, `middle`, `end`.
    pub fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let _ = writeln!(self.body, "<text{class} x=\"{}\" y=\"{}\">{}</text>", number(x), number(y), escaped(text));
    }

    /// Text that runs upwards from a point.
    pub fn upwards(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let (x, y) = (number(x), number(y));
        let text = escaped(text);
        let _ =
            writeln!(self.body, "<text class=\"{class}\" transform=\"translate({x} {y})rotate(-90)\">{text}</text>");
    }

    /// A line through points; `class` is `grid`, or a colour with `line`.
    pub fn line(&mut self, class: &str, points: impl IntoIterator<Item = (f64, f64)>) {
        let points: Vec<String> = points.into_iter().map(|(x, y)| format!("{},{}", number(x), number(y))).collect();
        let _ = writeln!(self.body, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    /// A frame.
    pub fn frame(&mut self, x: f64, y: f64, width: f64, height: f64) {
        let right = x + width;
        self.line("grid", [(x, y), (right, y), (right, y + height), (x, y + height), (x, y)]);
    }

    /// Cells of `size` pixels at columns and rows of a grid with its corner at `x`, `y`; `strength` is from 0 to 1.
    pub fn cells(&mut self, class: &str, strength: f64, (x, y): (f64, f64), size: f64, cells: &[(usize, usize)]) {
        if cells.is_empty() {
            return;
        }
        // A cell is a stroke as wide as it is long, which takes a third of a rectangle's bytes.
        let path: String = cells.iter().map(|(column, row)| format!("M{column} {row}h1")).collect();
        let place = format!("translate({} {})scale({})", number(x), number(y + size / 2.0), number(size));
        let _ = writeln!(
            self.body,
            "<path class=\"{class} cell\" stroke-opacity=\"{strength:.1}\" transform=\"{place}\" d=\"{path}\"/>"
        );
    }

    /// Text of the SVG file.
    pub fn finish(self, width: f64, height: f64) -> String {
        let (width, height) = (number(width), number(height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\">\n{}</svg>\n",
            self.body
        )
    }
}
