//! A grid of tokens, printed as letters or drawn as cells.

use super::svg::Svg;
use std::fmt::Write;

/// A grid with a column for each token; each cell in tenths, from 0 to 10.
pub struct Grid {
    /// Title above the grid.
    pub title: String,
    /// Names of the tokens.
    pub columns: Vec<String>,
    /// Rows: name and cells.
    pub rows: Vec<(String, Vec<u8>)>,
}

/// Side of a cell in a grid with names, in pixels.
const CELL: f64 = 16.0;

impl Grid {
    /// The grid as text: `·` for 0, `#` for 10. Columns are numbered, as names are too wide.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.title);
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let tens = |index: usize| if index < 10 { " ".into() } else { (index / 10).to_string() };
        let tens: String = (0..self.columns.len()).map(|index| format!(" {}", tens(index))).collect();
        let ones: String = (0..self.columns.len()).map(|index| format!(" {}", index % 10)).collect();
        if self.columns.len() > 10 {
            let _ = writeln!(text, "{:width$}{tens}", "");
        }
        let _ = writeln!(text, "{:width$}{ones}", "");
        for (name, cells) in &self.rows {
            let letters = cells.iter().map(|&cell| match cell {
                0 => " ·".into(),
                1..=9 => format!(" {cell}"),
                _ => " #".into(),
            });
            let _ = writeln!(text, "{name:<width$}{}", letters.collect::<String>().trim_end());
        }
        text
    }

    /// Draws the grid with its names, the corner of the cells at `x`, `y`; returns its right and lower edges.
    pub fn draw(&self, svg: &mut Svg, colour: &str, (x, y): (f64, f64)) -> (f64, f64) {
        let (columns, rows) = (self.columns.len(), self.rows.len());
        for (index, name) in self.columns.iter().enumerate() {
            svg.upwards("small", x + CELL * (index as f64 + 0.7), y - 4.0, name);
        }
        for (index, (name, _)) in self.rows.iter().enumerate() {
            svg.text("small end", x - 6.0, y + CELL * (index as f64 + 0.7), name);
        }
        self.cells(svg, colour, (x, y), CELL);
        let (width, height) = (CELL * columns as f64, CELL * rows as f64);
        // Lines in the background's colour separate the cells.
        for column in 1..columns {
            let x = x + CELL * column as f64;
            svg.line("gap", [(x, y), (x, y + height)]);
        }
        for row in 1..rows {
            let y = y + CELL * row as f64;
            svg.line("gap", [(x, y), (x + width, y)]);
        }
        svg.frame(x, y, width, height);
        (x + width, y + height)
    }

    /// Draws only the cells.
    pub fn cells(&self, svg: &mut Svg, colour: &str, corner: (f64, f64), size: f64) {
        for strength in 1..=10_u8 {
            let cells = self.rows.iter().enumerate().flat_map(|(row, (_, cells))| {
                let same = cells.iter().enumerate().filter(move |(_, cell)| **cell == strength);
                same.map(move |(column, _)| (column, row))
            });
            svg.cells(colour, f64::from(strength) / 10.0, corner, size, &cells.collect::<Vec<_>>());
        }
    }
}
