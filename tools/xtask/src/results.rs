//! Figures of the documentation: measured on every emulated core, recorded, and compared in every test.
//!
//! ```text
//! cargo xtask results ──► measure ──► docs/results.json ──► tables between markers in docs/results.md and README.md
//! cargo xtask test    ──► measure ──► equal to results.json?   tables as rendered from it?
//! ```
//! A figure that differs is an error: faster or slower, a change that moves it records it anew and says why. Figures are those of one
//! compiler; under another the comparison is skipped, and said to be.

use crate::bench::{self, Encoder, Row, Token};
use crate::classify;
use crate::cores::Core;
use crate::cycles;
use crate::figures::{self, Figures};
use crate::firmware::Board;
use crate::keywords;
use crate::parallel::each;
use crate::records::Records;
use crate::setup::{self, Toolchain};
use crate::shell::{root, rustc, text};
use crate::size;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::io::Write;
use thumbformer_cli::stdout::stdout;

/// Recorded measurements.
const RECORD: &str = "docs/results.json";
/// Files with tables, and the tables' names.
const PAGES: [(&str, &[&str]); 4] = [
    ("docs/results.md", &["model", "keywords", "kernels", "size", "figures"]),
    ("docs/cycles.md", &["cycles"]),
    ("docs/trust.md", &["trust", "full", "fuzz", "parse", "stack"]),
    ("README.md", &["model"]),
];

/// Measurements of all cores.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Results {
    /// Compiler of the measured firmware, as `rustc --version` prints it, without the date.
    compiler: String,
    kernels: Vec<Row>,
    tokens: Vec<Token>,
    /// Encoder block and front end.
    blocks: Vec<Encoder>,
    recordings: Vec<classify::Row>,
    /// Recordings of the keyword models, each named after its model.
    #[serde(default)]
    keywords: Vec<classify::Row>,
    sizes: Vec<size::Row>,
    /// Single figures, and rows of the boards' cycles.
    #[serde(default)]
    pub figures: Figures,
}

/// Measurement of one kernel, token, block, recording or program.
pub trait Measurement: PartialEq + Debug {
    /// Core, in the spelling of `--core`.
    fn core(&self) -> &str;
}

impl Measurement for Row {
    fn core(&self) -> &str {
        &self.core
    }
}

impl Measurement for Token {
    fn core(&self) -> &str {
        &self.core
    }
}

impl Measurement for Encoder {
    fn core(&self) -> &str {
        &self.core
    }
}

impl Measurement for classify::Row {
    fn core(&self) -> &str {
        &self.core
    }
}

impl Measurement for size::Row {
    fn core(&self) -> &str {
        &self.core
    }
}

impl Results {
    /// The recorded measurements.
    ///
    /// # Errors
    /// A file that is missing or damaged.
    pub fn recorded() -> Result<Results> {
        let text = std::fs::read_to_string(root().join(RECORD)).with_context(|| RECORD.to_string())?;
        serde_json::from_str(&text).with_context(|| RECORD.to_string())
    }

    /// Reason that measurements cannot be compared here, if there is one.
    ///
    /// # Errors
    /// A manifest that cannot be read.
    pub fn incomparable(&self) -> Result<Option<String>> {
        let found = compiler()?;
        Ok((found != self.compiler)
            .then(|| format!("figures not compared: they are those of {}, this is {found}", self.compiler)))
    }

    /// Compares kernels, tokens and blocks of a core.
    ///
    /// # Errors
    /// The first that differs.
    pub fn compare_core(&self, core: Core, found: &OfCore) -> Result<()> {
        compare(core, &self.kernels, &found.kernels)?;
        compare(core, &self.tokens, &found.tokens)?;
        compare(core, &self.blocks, &found.blocks)
    }

    /// Compares the recordings of a core.
    ///
    /// # Errors
    /// The first that differs.
    pub fn compare_recordings(&self, core: Core, found: &[classify::Row]) -> Result<()> {
        compare(core, &self.recordings, found)
    }

    /// Compares the recordings of the keyword models on a core.
    ///
    /// # Errors
    /// The first that differs.
    pub fn compare_keywords(&self, core: Core, found: &[classify::Row]) -> Result<()> {
        compare(core, &self.keywords, found)
    }

    /// Compares the minimal programs of a core.
    ///
    /// # Errors
    /// The first that differs.
    pub fn compare_sizes(&self, core: Core, found: &[size::Row]) -> Result<()> {
        compare(core, &self.sizes, found)
    }

    fn table(&self, name: &str) -> Result<String> {
        match name {
            "model" => self.model(),
            "keywords" => self.keywords(),
            "kernels" => self.kernels(),
            "size" => Ok(self.sizes()),
            "parse" => Ok(self.parse()),
            "stack" => Ok(self.stacks()),
            "figures" => figures::table(&figures::ROWS, &self.figures),
            "trust" => figures::table(&figures::TRUST, &self.figures),
            "full" => Ok(Records::read()?.of_checks()),
            "fuzz" => Ok(Records::read()?.of_fuzzing()),
            "cycles" => Ok(cycles::table(&self.figures)),
            _ => anyhow::bail!("no table {name:?}"),
        }
    }

    /// Instructions of tokens, the encoder block, a clip and a frame of a stream.
    fn model(&self) -> Result<String> {
        let clip = self.recordings.iter().find(|row| row.answers == 1).context("no recording of a clip")?;
        let stream = self.recordings.iter().find(|row| row.answers > 1).context("no recording of a stream")?;
        let positions: Vec<u32> =
            self.tokens.iter().filter(|token| token.core == clip.core).map(|token| token.position).collect();
        let mut header = vec!["core".to_string()];
        header.extend(positions.iter().map(|position| format!("token at position {position}")));
        header.extend(["encoder block".into(), format!("clip `{}`", clip.name), format!("frame of `{}`", stream.name)]);
        let mut rows = Vec::new();
        for &core in Core::value_variants() {
            let name = core.name();
            let tokens = self.tokens.iter().filter(|token| token.core == name).map(|token| token.instructions);
            let block = self.blocks.iter().find(|block| block.core == name && block.what == bench::ENCODER);
            let of = |recording: &str| self.recordings.iter().find(|row| row.core == name && row.name == recording);
            let (of_clip, of_stream) = of(&clip.name).zip(of(&stream.name)).context("a core without recordings")?;
            let mut row = vec![title(core)];
            row.extend(tokens.map(thousands));
            row.push(thousands(block.context("a core without an encoder block")?.instructions));
            row.push(thousands(of_clip.front_end + of_clip.network));
            row.push(thousands(of_stream.network / of_stream.answers.max(1)));
            rows.push(row);
        }
        Ok(markdown(&header, &rows))
    }

    /// Instructions of a second of sound at 16 kHz, by the first recording of each keyword model.
    fn keywords(&self) -> Result<String> {
        let header: Vec<String> = ["core".to_string()]
            .into_iter()
            .chain(
                keywords::MODELS
                    .iter()
                    .flat_map(|(_, front_end)| [format!("{front_end}: front end"), format!("{front_end}: network")]),
            )
            .collect();
        let mut rows = Vec::new();
        for core in keywords::CORES {
            let mut row = vec![title(core)];
            for (model, _) in keywords::MODELS {
                let is_of = |row: &&classify::Row| row.core == core.name() && row.name.split('/').next() == Some(model);
                let found = self.keywords.iter().find(is_of).with_context(|| format!("{model}: no recording"))?;
                row.extend([found.front_end, found.network].map(thousands));
            }
            rows.push(row);
        }
        Ok(markdown(&header, &rows))
    }

    /// Instructions per multiply-accumulate.
    fn kernels(&self) -> Result<String> {
        const SHOWN: [(&str, &str, &str, u32, u32); 5] = [
            ("int8 64 x 256", "matvec", "q8", 64, 256),
            ("int8 256 x 64", "matvec", "q8", 256, 64),
            ("int8 256 x 64, 16 vectors", "matmul", "q8", 256, 64),
            ("int4 64 x 256", "matvec", "q4", 64, 256),
            ("softmax, per element", "softmax", "q15", 1, 256),
        ];
        let header: Vec<String> =
            ["core"].into_iter().chain(SHOWN.iter().map(|shown| shown.0)).map(str::to_string).collect();
        let mut rows = Vec::new();
        for &core in Core::value_variants() {
            let mut row = vec![title(core)];
            for (what, kernel, quant, height, width) in SHOWN {
                let found = self.kernels.iter().find(|row| {
                    let shape = (row.rows, row.cols) == (height, width);
                    shape && row.core == core.name() && row.kernel == kernel && row.quant == quant
                });
                let found = found.with_context(|| format!("{}: no {what}", core.name()))?;
                row.push(format!("{:.3}", found.per_mac));
            }
            rows.push(row);
        }
        Ok(markdown(&header, &rows))
    }

    /// Instructions a byte of an image that is parsed at run time.
    fn parse(&self) -> String {
        let bytes = bench::encoder_bytes() as f64;
        let found = self.blocks.iter().filter(|block| block.what == bench::PARSE);
        let of = |block: &Encoder| vec![block.core.clone(), format!("{:.1}", f64::from(block.instructions) / bytes)];
        markdown(&["core", "instructions a byte"].map(str::to_string), &found.map(of).collect::<Vec<_>>())
    }

    /// Stack of the minimal programs as most users build them: painted, and the worst case of the machine code.
    fn stacks(&self) -> String {
        let fast = self.sizes.iter().filter(|row| row.profile == "3");
        let of = |row: &size::Row| {
            let bytes = [row.stack, row.worst].map(|bytes| thousands(bytes as u32));
            [row.core.clone(), row.program.clone()].into_iter().chain(bytes).collect()
        };
        markdown(&["core", "program", "painted", "worst case"].map(str::to_string), &fast.map(of).collect::<Vec<_>>())
    }

    /// Bytes of the minimal programs.
    fn sizes(&self) -> String {
        let header =
            ["core", "`opt-level`", "program", "code", "constants", "state", "stack", "worst"].map(str::to_string);
        let rows: Vec<Vec<String>> = self
            .sizes
            .iter()
            .map(|row| {
                let bytes = [row.code, row.constants, row.state, row.stack, row.worst];
                let bytes = bytes.map(|bytes| thousands(bytes as u32));
                [row.core.clone(), row.profile.clone(), row.program.clone()].into_iter().chain(bytes).collect()
            })
            .collect();
        markdown(&header, &rows)
    }
}

/// Measurements of one core by the benchmark programs.
pub struct OfCore {
    /// Kernels.
    pub kernels: Vec<Row>,
    /// Tokens of the default language model.
    pub tokens: Vec<Token>,
    /// Encoder block and front end.
    pub blocks: Vec<Encoder>,
}

/// Measures kernels, tokens, the encoder block and the front end of a core; all are exact.
///
/// # Errors
/// Firmware that cannot be built or run; a result that is not exact.
pub fn measure(core: Core) -> Result<OfCore> {
    let (kernels, tokens) = (bench::kernels(core)?, bench::model(core)?);
    if let Some(wrong) = kernels.iter().find(|row| !row.exact) {
        anyhow::bail!("{}: {} of {}x{} is not exact", core.name(), wrong.kernel, wrong.rows, wrong.cols);
    }
    let blocks = bench::blocks(core)?;
    if let Some(wrong) = blocks.iter().find(|block| !block.exact) {
        anyhow::bail!("{}: {} has other bits than on the host", core.name(), wrong.what);
    }
    Ok(OfCore { kernels, tokens, blocks })
}

/// Measures everything, records it, and renders the tables.
///
/// # Errors
/// As [`measure`]; a page without a table's markers.
pub fn write() -> Result<()> {
    let mut results = Results { compiler: compiler()?, ..Results::default() };
    let expected = classify::on_host()?;
    let cores = Core::value_variants();
    let measured = each(cores, |&core| {
        let of_core = measure(core)?;
        let recordings = classify::on_core(core, &expected, &[])?;
        _ = writeln!(std::io::stderr(), "{}: measured", core.name());
        Ok((of_core, recordings))
    })?;
    for (of_core, recordings) in measured {
        results.kernels.extend(of_core.kernels);
        results.tokens.extend(of_core.tokens);
        results.blocks.extend(of_core.blocks);
        results.recordings.extend(recordings);
    }
    for rows in each(&keywords::CORES, |&core| keywords::on_core(core))? {
        results.keywords.extend(rows);
    }
    for core in size::CORES {
        results.sizes.extend(size::on_core(core)?);
    }
    results.figures = figures::measure()?;
    std::fs::write(root().join(RECORD), serde_json::to_string_pretty(&results)? + "\n")
        .with_context(|| RECORD.to_string())?;
    render()?;
    for (page, tables) in PAGES {
        writeln!(stdout(), "{page}: {}", tables.join(", "))?;
    }
    Ok(())
}

/// Renders the tables of all pages from what is recorded.
///
/// # Errors
/// A page without a table's markers.
pub fn render() -> Result<()> {
    let results = Results::recorded()?;
    for (page, tables) in PAGES {
        let file = root().join(page);
        let text = rendered(page, &std::fs::read_to_string(&file)?, tables, &results)?;
        std::fs::write(&file, text).with_context(|| page.to_string())?;
    }
    Ok(())
}

/// Compares the tables of all pages with the record.
///
/// # Errors
/// The page that differs.
pub fn check() -> Result<String> {
    let results = Results::recorded()?;
    figures::compare(&figures::of_model(&Board::from(Core::M4.emulated()?).image()?)?)?;
    for (page, tables) in PAGES {
        let text = std::fs::read_to_string(root().join(page)).with_context(|| page.to_string())?;
        let same = rendered(page, &text, tables, &results)? == text;
        ensure!(same, "{page}: its tables are not those of {RECORD}: run `cargo xtask results`");
    }
    Ok(format!("the tables of {} pages are those of {RECORD}", PAGES.len()))
}

/// Compares a core's measurements with the recorded ones.
fn compare<T: Measurement>(core: Core, recorded: &[T], found: &[T]) -> Result<()> {
    let mut of_core = recorded.iter().filter(|row| row.core() == core.name());
    for found in found {
        let recorded =
            of_core.next().with_context(|| format!("{found:?} is not in {RECORD}: run `cargo xtask results`"))?;
        ensure!(
            recorded == found,
            "{RECORD} has {recorded:?}, found {found:?}: if it is meant, run `cargo xtask results` and say why in the commit"
        );
    }
    ensure!(of_core.next().is_none(), "{}: {RECORD} has more than was measured", core.name());
    Ok(())
}

/// Compiler of the firmware.
fn compiler() -> Result<String> {
    if let Toolchain::Debian { .. } = setup::ensure(&Core::M4.board()?.target)? {
        return Ok("Debian's rustc".into());
    }
    let version = text(rustc().arg("--version")).context("rustc cannot be started")?;
    Ok(version.split(" (").next().unwrap_or_default().to_string())
}

/// A page with its tables anew.
fn rendered(page: &str, text: &str, tables: &[&str], results: &Results) -> Result<String> {
    let mut text = text.to_string();
    for name in tables {
        let begin = format!("<!-- cargo xtask results: {name} -->\n");
        let place = || format!("{page}: no table between {begin:?} and `<!-- end -->`");
        let (before, rest) = text.split_once(&begin).with_context(place)?;
        let (_, after) = rest.split_once("<!-- end -->").with_context(place)?;
        text = format!("{before}{begin}{}<!-- end -->{after}", results.table(name)?);
    }
    Ok(text)
}

fn markdown(header: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = "|---".repeat(header.len()) + "|\n";
    line(header) + &rule + &rows.iter().map(|row| line(row)).collect::<String>()
}

/// `m0plus` as Arm writes it.
fn title(core: Core) -> String {
    format!("Cortex-{}", core.name().replacen('m', "M", 1).replace("plus", "+"))
}

/// 1234567 as 1,234,567.
pub fn thousands(number: u32) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::{Encoder, Results, compare, rendered, thousands};
    use crate::cores::Core;

    fn block(core: &str, instructions: u32) -> Encoder {
        Encoder { core: core.into(), what: "block".into(), instructions, crc32: 1, exact: true }
    }

    #[test]
    fn a_figure_that_differs_is_found_whether_more_less_missing_or_new() {
        let recorded = [block("m3", 10), block("m4", 20), block("m4", 30)];
        let check = |found: &[Encoder]| compare(Core::M4, &recorded, found);
        assert!(check(&[block("m4", 20), block("m4", 30)]).is_ok());
        for found in
            [vec![block("m4", 20), block("m4", 31)], vec![block("m4", 19), block("m4", 30)], vec![block("m4", 20)]]
        {
            assert!(check(&found).is_err(), "{found:?}");
        }
        assert!(check(&[block("m4", 20), block("m4", 30), block("m4", 40)]).is_err());
    }

    #[test]
    fn a_page_without_the_markers_of_a_table_is_an_error() {
        let page = "a\n<!-- cargo xtask results: size -->\nold\n<!-- end -->\nb\n";
        let found = rendered("page", page, &["size"], &Results::default()).expect("a table");
        assert!(
            found.starts_with("a\n<!-- cargo xtask results: size -->\n| core |")
                && found.ends_with("<!-- end -->\nb\n")
        );
        assert!(rendered("page", "a\n", &["size"], &Results::default()).is_err());
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
