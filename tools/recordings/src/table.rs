//! Numbers of sensors from CSV files: a line for each sample, a column for each axis.

use anyhow::{Context, Result, bail, ensure};
use std::path::Path;

/// Rows of numbers.
#[derive(Clone, PartialEq, Debug)]
pub struct Table {
    /// Names of the columns, if the first line has them.
    pub names: Option<Vec<String>>,
    /// Numbers of a row.
    pub columns: usize,
    /// `[rows, columns]`.
    pub numbers: Vec<f32>,
}

impl Table {
    /// Reads a file. Cells are separated by commas, semicolons or tabs; the first line is a header if no cell of it is a number.
    ///
    /// # Errors
    /// With line, column and content of a cell that is no finite number, and for lines of different lengths.
    pub fn read(file: &Path) -> Result<Table> {
        let text = std::fs::read(file).with_context(|| format!("{}: cannot be read", file.display()))?;
        let text = String::from_utf8(text)
            .ok()
            .with_context(|| format!("{}: not text in UTF-8: export it as CSV in UTF-8", file.display()))?;
        Table::parse(&text).with_context(|| format!("{}", file.display()))
    }

    /// The same for a file's text.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn parse(text: &str) -> Result<Table> {
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .delimiter(separator(text)?)
            .from_reader(text.as_bytes());
        let mut table = Table { names: None, columns: 0, numbers: Vec::new() };
        for (index, record) in reader.records().enumerate() {
            let record = record.context("not a table: export it as CSV")?;
            let line = record.position().map_or(0, csv::Position::line);
            if index == 0 {
                table.columns = record.len();
                if record.iter().all(|cell| cell.parse::<f32>().is_err()) {
                    table.names = Some(record.iter().map(String::from).collect());
                    continue;
                }
            }
            ensure!(
                record.len() == table.columns,
                "line {line}: {} cells, expected {} as in the first line",
                record.len(),
                table.columns
            );
            for (column, cell) in record.iter().enumerate() {
                match cell.parse::<f32>() {
                    Ok(number) if number.is_finite() => table.numbers.push(number),
                    _ => bail!("line {line}, column {}: {cell:?}, expected a finite number", table.named(column)),
                }
            }
        }
        ensure!(!table.numbers.is_empty(), "no line of numbers: give a recording");
        Ok(table)
    }

    /// A column's number, counted from 1, and its name.
    fn named(&self, column: usize) -> String {
        let name = self.names.as_ref().and_then(|names| names.get(column));
        name.map_or_else(String::new, |name| format!("{name:?}, ")) + &format!("{}", column + 1)
    }

    /// Frames, `[seq, n_features]`: the rows one after the other, as many as fill whole frames.
    ///
    /// # Errors
    /// When frames are no whole rows, or there are too few for one.
    pub fn frames(mut self, n_features: usize) -> Result<Vec<f32>> {
        let columns = self.columns;
        ensure!(
            columns > 0 && n_features.is_multiple_of(columns),
            "{columns} columns, and the model's frames of {n_features} numbers are not a multiple of that: give a recording of its sensor"
        );
        self.numbers.truncate(self.numbers.len() - self.numbers.len() % n_features.max(1));
        ensure!(!self.numbers.is_empty(), "too short for a frame of {n_features} numbers: record for longer");
        Ok(self.numbers)
    }
}

/// The separator of a text: the only one of its first line, or a comma.
fn separator(text: &str) -> Result<u8> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let found: Vec<char> = [',', ';', '\t'].into_iter().filter(|&separator| first.contains(separator)).collect();
    match found[..] {
        [] => Ok(b','),
        [one] => Ok(one as u8),
        [',', ..] => {
            bail!("both `,` and {:?} in the first line: a decimal comma is not read; export with points", found[1])
        }
        _ => bail!("both semicolons and tabs in the first line: export with one separator"),
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    fn parse(text: &str) -> Result<Table, String> {
        Table::parse(text).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn tables_of_every_spelling_have_the_same_numbers() {
        for text in [
            "1,2.5\n-3,4e-1\n",
            "1,2.5\r\n-3,4e-1",
            "\u{feff}1,2.5\n\n-3 , 4e-1\n",
            "1;2.5\n-3;4e-1\n",
            "1\t2.5\n-3\t4e-1\n",
            "x,y\n1,2.5\n-3,4e-1\n",
            "\"x, of the board\",\"y\"\n\"1\",2.5\n-3,4e-1\n",
        ] {
            let table = parse(text).unwrap();
            assert_eq!((table.columns, &table.numbers[..]), (2, &[1.0, 2.5, -3.0, 0.4][..]), "{text:?}");
            assert_eq!(table.names.is_some(), text.contains('x'), "{text:?}");
        }
    }

    #[test]
    fn a_first_line_with_any_number_is_no_header() {
        assert_eq!(parse("1,2\n3,4\n").unwrap().numbers, [1.0, 2.0, 3.0, 4.0], "the first sample is kept");
        let error = parse("1,y\n3,4\n").unwrap_err();
        assert!(error.contains("line 1, column 2: \"y\""), "{error}");
    }

    #[test]
    fn a_wrong_cell_is_named_by_line_column_and_content() {
        for (text, expected) in [
            ("x,y\n1,2\n3,\n", "line 3, column \"y\", 2: \"\""),
            ("x,y\n1,2\n3,4,5\n", "line 3: 3 cells, expected 2"),
            ("1,nan\n", "line 1, column 2: \"nan\""),
            ("1,1e39\n", "expected a finite number"),
            ("1,5;2,5\n", "decimal comma"),
            ("x;y\n1,5;2\n", "line 2, column \"x\", 1: \"1,5\""),
            ("x,y\n", "no line of numbers"),
            ("", "no line of numbers"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {expected:?} is not in {error:?}");
        }
    }

    #[test]
    fn frames_are_whole_and_of_the_model_s_width() {
        let table = parse("1,2\n3,4\n5,6\n").unwrap();
        assert_eq!(table.clone().frames(4).unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert!(table.clone().frames(3).unwrap_err().to_string().contains("2 columns"));
        assert!(table.frames(8).unwrap_err().to_string().contains("too short for a frame of 8 numbers"));
    }
}
