//! Numbers of sensors from CSV files: a line for each sample, a column for each axis.

use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use thumbformer::Model;

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
        Table::read_columns(file, &[])
    }

    /// The same with some of a file's columns, by name or by number from 1, in this order; with all where none is given.
    ///
    /// # Errors
    /// As [`Table::read`], and for a column that the file lacks; what stands in the others is not looked at.
    pub fn read_columns(file: &Path, wanted: &[String]) -> Result<Table> {
        let text = std::fs::read(file).with_context(|| format!("{}: cannot be read", file.display()))?;
        let text = String::from_utf8(text)
            .ok()
            .with_context(|| format!("{}: not text in UTF-8: export it as CSV in UTF-8", file.display()))?;
        Table::parse(&text, wanted).with_context(|| format!("{}", file.display()))
    }

    /// The same for a file's text.
    ///
    /// # Errors
    /// As [`Table::read_columns`].
    pub fn parse(text: &str, wanted: &[String]) -> Result<Table> {
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = reader(text)?;
        let mut table = Table { names: None, columns: 0, numbers: Vec::new() };
        let (mut cells, mut chosen): (usize, Vec<usize>) = (0, Vec::new());
        for (index, record) in reader.records().enumerate() {
            let record = record.context("not a table: export it as CSV")?;
            let line = record.position().map_or(0, csv::Position::line);
            if index == 0 {
                cells = record.len();
                let names: Vec<String> = record.iter().map(String::from).collect();
                let names = record.iter().all(|cell| cell.parse::<f32>().is_err()).then_some(names);
                chosen = choose(names.as_deref(), cells, wanted)?;
                table.columns = chosen.len();
                if let Some(names) = names {
                    table.names = Some(chosen.iter().map(|&column| names[column].clone()).collect());
                    continue;
                }
            }
            ensure!(
                record.len() == cells,
                "line {line}: {} cells, expected {cells} as in the first line",
                record.len()
            );
            for (place, &column) in chosen.iter().enumerate() {
                let cell = record.get(column).unwrap_or_default();
                match cell.parse::<f32>() {
                    Ok(number) if number.is_finite() => table.numbers.push(number),
                    _ => bail!(
                        "line {line}, column {}{}: {cell:?}, expected a finite number",
                        table.named(place),
                        column + 1
                    ),
                }
            }
        }
        ensure!(!table.numbers.is_empty(), "no line of numbers: give a recording");
        Ok(table)
    }

    /// A column's name, to be followed by its number.
    fn named(&self, place: usize) -> String {
        let name = self.names.as_ref().and_then(|names| names.get(place));
        name.map_or_else(String::new, |name| format!("{name:?}, "))
    }

    /// The rows as a model has them, `[rows, n_columns]`.
    ///
    /// # Errors
    /// When the columns are not the model's.
    pub(crate) fn rows(&self, model: &Model<'_>) -> Result<Vec<f32>> {
        let names: Vec<&str> = model.columns().into_iter().flatten().collect();
        let order = self.order(model.n_columns().max(1), &names)?;
        let rows = self.numbers.chunks_exact(self.columns.max(1));
        Ok(rows.flat_map(|row| order.iter().filter_map(|&column| row.get(column).copied())).collect())
    }

    /// The column of each of the model's: by name where both have names, else in the order of the file.
    fn order(&self, expected: usize, names: &[&str]) -> Result<Vec<usize>> {
        let wanted = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        let has = self.names.as_ref().map_or_else(String::new, |names| format!(" ({})", names.join(", ")));
        ensure!(
            self.columns == expected,
            "{} columns{has}, expected {expected}{wanted}: give a recording of the model's sensor, or choose its columns by --columns",
            self.columns
        );
        let plain = |name: &str| name.split('(').next().unwrap_or_default().trim().to_lowercase();
        let found: Vec<String> = self.names.iter().flatten().map(|name| plain(name)).collect();
        let places: Vec<Option<usize>> =
            names.iter().map(|name| found.iter().position(|found| *found == plain(name))).collect();
        if places.iter().all(Option::is_none) {
            return Ok((0..expected).collect());
        }
        places.into_iter().collect::<Option<Vec<usize>>>().with_context(|| {
            format!("columns{has}, expected{wanted}: rename those that are the model's, or choose them by --columns")
        })
    }
}

/// Indices of the wanted columns, of all where none is wanted.
fn choose(names: Option<&[String]>, cells: usize, wanted: &[String]) -> Result<Vec<usize>> {
    if wanted.is_empty() {
        return Ok((0..cells).collect());
    }
    let by_number = |name: &String| name.parse::<usize>().ok().filter(|number| (1..=cells).contains(number));
    let index = |name: &String| {
        let by_name = names.and_then(|names| names.iter().position(|found| found == name));
        by_name.or_else(|| by_number(name).map(|number| number - 1)).with_context(|| {
            let names = names.map_or_else(String::new, |names| format!("{}, or ", names.join(", ")));
            format!("no column {name:?}: expected {names}a number from 1 to {cells}")
        })
    };
    wanted.iter().map(index).collect()
}

/// Cells of a file, row by row, whatever they hold; as [`Table::read`] separates them.
///
/// # Errors
/// For a file that cannot be read as text.
pub fn rows(file: &Path) -> Result<Vec<Vec<String>>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{}: cannot be read", file.display()))?;
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = reader(text).with_context(|| format!("{}", file.display()))?;
    let row = |record: Result<csv::StringRecord, csv::Error>| Ok(record?.iter().map(String::from).collect());
    reader.records().map(row).collect::<Result<_>>().with_context(|| format!("{}", file.display()))
}

/// Rows of cells, of any number; no row is a header yet.
fn reader(text: &str) -> Result<csv::Reader<&[u8]>> {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).trim(csv::Trim::All).delimiter(separator(text)?);
    Ok(builder.from_reader(text.as_bytes()))
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
        Table::parse(text, &[]).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn columns_are_chosen_by_name_or_number_and_the_others_may_hold_anything() {
        let text = "time,ax,label,ay\n12:00,1,rest,2\n12:01,3,,4\n";
        let chosen = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            Table::parse(text, &wanted).map_err(|error| format!("{error:#}"))
        };
        for wanted in [["ay", "ax"], ["4", "2"]] {
            let table = chosen(&wanted).unwrap();
            assert_eq!((table.columns, table.numbers), (2, vec![2.0, 1.0, 4.0, 3.0]));
            assert_eq!(table.names.unwrap(), ["ay", "ax"]);
        }
        let error = chosen(&["az"]).unwrap_err();
        assert_eq!(error, "no column \"az\": expected time, ax, label, ay, or a number from 1 to 4");
        let error = chosen(&["ax", "label"]).unwrap_err();
        assert_eq!(error, "line 2, column \"label\", 3: \"rest\", expected a finite number");
    }

    #[test]
    fn columns_are_the_model_s_by_name_whatever_their_order() {
        let table = |text: &str| parse(text).unwrap();
        let order = |text: &str| table(text).order(2, &["ax (g)", "wx (rad/s)"]).map_err(|error| format!("{error:#}"));
        assert_eq!(order("wx,ax\n1,2\n"), Ok(vec![1, 0]));
        assert_eq!(order("AX (m/s2),wx\n1,2\n"), Ok(vec![0, 1]));
        assert_eq!(order("x,y\n1,2\n"), Ok(vec![0, 1]), "other names say nothing");
        assert_eq!(order("1,2\n"), Ok(vec![0, 1]));
        assert!(order("ax,wy\n1,2\n").unwrap_err().contains("columns (ax, wy), expected (ax (g), wx (rad/s))"));
        let error = order("1,2,3\n").unwrap_err();
        assert!(error.contains("3 columns, expected 2 (ax (g), wx (rad/s))"), "{error}");
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
}
