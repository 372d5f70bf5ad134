//! Single figures of docs/results.md, each compared by the check that measures it anyway.
//!
//! ```text
//! cargo xtask results ──► measure ──► docs/results.json, by name ──► rows of docs/results.md
//! a check             ──► what it has measured ──► equal to results.json?
//! ```

use crate::firmware;
use crate::results::{Results, thousands};
use crate::{checkasm, classify, cycles, faults, footprint, on_target, panics, setup, test};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::path::Path;
use thumbformer_cli::inspect;

/// Figures as the page prints them, by their names.
pub type Figures = BTreeMap<String, String>;

/// Rows of docs/results.md: title, text with names of figures in braces, command.
pub const ROWS: [[&str; 3]; 9] = [
    [
        "Flash: the M4 program with the model / the model / the model in int4",
        "{demo flash} / {model int8} / {model int4} bytes",
        "`cargo xtask demo`",
    ],
    [
        "RAM: everything but the stack / the state for 256 tokens",
        "{demo ram} / {model state} bytes",
        "`cargo xtask demo`",
    ],
    [
        "Multiply-accumulates a token",
        "{model macs} with weights, {model attention macs} with keys and values at position 255",
        "`thumbformer inspect models/stories/stories-m4.tbf --max-seq 256`",
    ],
    [
        "Top-1 agreement with the float model, int8 / int4",
        "{int8 top-1} / {int4 top-1} % of {quality tokens} held-out tokens",
        "`cargo xtask test quality quality-int4`, all held-out tokens: [model card](../models/stories/README.md#quality)",
    ],
    ["Mean KL divergence, int8 / int4", "{int8 kl} / {int4 kl} nats", "same"],
    ["Perplexity, float / int8 / int4", "{float perplexity} / {int8 perplexity} / {int4 perplexity}", "same"],
    [
        "Digits on the M4: flash for code and weights, built for size / RAM, with the watch's model",
        "{digits flash} / {digits ram} bytes",
        "`cargo xtask test encoders`",
    ],
    [
        "The watch's model on a micro:bit (Cortex-M0, 16 KiB of RAM): flash, seven recordings included / static RAM / region of the stack",
        "{microbit classify flash} / {microbit classify ram} / {microbit classify stack} bytes",
        "`cargo xtask board size microbit`",
    ],
    [
        "Estimated cycles of a token at position 64: M4 without wait states / Pico 2 at 150 MHz",
        "{cycles m4} / {cycles raspberry-pi-pico-2}, {rate raspberry-pi-pico-2} tokens/s est.",
        "`cargo xtask cycles`, [cycles.md](cycles.md)",
    ],
];

/// Rows of docs/trust.md.
pub const TRUST: [[&str; 3]; 5] = [
    [
        "Kernels in assembly × emulated cores, called through the wrapper of checkasm / lengths / calls",
        "{checkasm kernels} / {checkasm lengths} / {checkasm calls}",
        "`cargo xtask test checkasm`",
    ],
    [
        "Modes of the FPU (rounding, flush-to-zero, default NaN), on all cores with one: on the main thread / in an interrupt handler",
        "{FPU modes} / {FPU modes in handlers}",
        "`cargo xtask test on-target`",
    ],
    [
        "Interruptions of inference by another inference, on all cores, and wrong bits in either",
        "{preemptions} / 0",
        "`cargo xtask test on-target`",
    ],
    [
        "Bits flipped during inference on the M4, a third each in image / state / stack: found by an error, a fault or a watchdog; by one pass of `Model::check`; harmless; silent",
        "{flips image found}, {flips image checked}, {flips image harmless}, {flips image silent} / \
         {flips state found}, {flips state checked}, {flips state harmless}, {flips state silent} / \
         {flips stack found}, {flips stack checked}, {flips stack harmless}, {flips stack silent}",
        "`cargo xtask test faults`",
    ],
    ["Calls from the demo's inference to a panic", "0 of {demo calls}", "`cargo xtask test panics`"],
];

/// Figures of numbers.
pub fn of<const N: usize>(numbers: [(&str, u64); N]) -> Figures {
    numbers.into_iter().map(|(name, number)| (name.to_string(), thousands(number as u32))).collect()
}

/// A table of such rows.
///
/// # Errors
/// A figure that is not recorded.
pub fn table(rows: &[[&str; 3]], figures: &Figures) -> Result<String> {
    let mut text = "| | | command |\n|---|---|---|\n".to_string();
    for [title, template, command] in rows {
        let mut parts = template.split(['{', '}']);
        let mut cell = parts.next().unwrap_or_default().to_string();
        while let Some(name) = parts.next() {
            cell += figures.get(name).with_context(|| format!("no figure {name:?}: run `cargo xtask results`"))?;
            cell += parts.next().unwrap_or_default();
        }
        text += &format!("| {title} | {cell} | {command} |\n");
    }
    Ok(text)
}

/// Compares figures with the recorded ones; other compilers' are not compared.
///
/// # Errors
/// Those that differ.
pub fn compare(found: &Figures) -> Result<()> {
    let recorded = Results::recorded()?;
    if recorded.incomparable()?.is_some() {
        return Ok(());
    }
    same(&recorded.figures, found)
}

/// Bytes of flash that a clone in another folder may take more or fewer: cargo hashes the folder into the names of symbols, the linker
/// orders by them, and functions are aligned. 4 bytes were seen.
const FOLDER: u64 = 16;

/// True if a figure is the recorded one; of a program's flash, if it is as near as another folder's.
fn is_same(name: &str, recorded: &str, found: &str) -> bool {
    let number = |text: &str| text.replace(',', "").parse::<u64>().ok();
    let near = |(recorded, found): (u64, u64)| recorded.abs_diff(found) <= FOLDER;
    recorded == found || name.ends_with(" flash") && number(recorded).zip(number(found)).is_some_and(near)
}

fn same(recorded: &Figures, found: &Figures) -> Result<()> {
    let is_other =
        |(name, found): &(&String, &String)| recorded.get(*name).is_none_or(|recorded| !is_same(name, recorded, found));
    let other = found.iter().filter(is_other).map(|(name, found)| {
        let recorded = recorded.get(name).map_or("nothing", String::as_str);
        format!("{recorded} of {name:?}, found {found}")
    });
    let other: Vec<String> = other.collect();
    ensure!(
        other.is_empty(),
        "docs/results.json has {}: if it is meant, run `cargo xtask results` and say why in the commit",
        other.join("; ")
    );
    Ok(())
}

/// Figures of the demonstration's program.
///
/// # Errors
/// When it is not an ELF file.
pub fn of_demo(elf: &Path) -> Result<Figures> {
    let size = firmware::size(&std::fs::read(elf)?)?;
    Ok(of([("demo flash", size.flash), ("demo ram", size.ram)]))
}

/// Figures of the default language model that need no firmware.
///
/// # Errors
/// When its image cannot be read.
pub fn of_model(image: &Path) -> Result<Figures> {
    const CONTEXT: usize = crate::demo::Story::MAX_SEQ;
    let words = thumbformer_cli::read_image(image)?;
    let model = thumbformer_cli::model(&words, image)?;
    let dims = model.dims();
    Ok(of([
        ("model int8", 4 * words.len() as u64),
        ("model state", inspect::ram(dims, CONTEXT).total as u64),
        ("model macs", dims.weight_macs() as u64),
        ("model attention macs", dims.attention_macs(CONTEXT - 1) as u64),
    ]))
}

/// Measures all figures.
///
/// # Errors
/// Firmware that cannot be built or run.
pub fn measure() -> Result<Figures> {
    let board = firmware::Board::find(crate::DEMO_BOARD)?;
    let elf = board.build_program(&setup::ensure(&board.target)?, "generate")?;
    let mut all = of_model(&board.image()?)?;
    for more in [
        of_demo(&elf)?,
        test::quality_figures(&board)?,
        classify::figures(&classify::size()?),
        footprint::figures()?,
        cycles::estimates(cycles::POSITION)?,
        panics::figures(&panics::check(&elf)?),
        checkasm::figures()?,
        faults::figures()?,
        on_target::figures()?,
    ] {
        all.extend(more);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::{Figures, ROWS, of, same, table};

    #[test]
    fn a_row_has_its_figures_and_one_that_is_not_recorded_is_an_error() {
        let names = ROWS.iter().flat_map(|[_, template, _]| template.split(['{', '}']).skip(1).step_by(2));
        let mut all: Figures = names.map(|name| (name.to_string(), format!("<{name}>"))).collect();
        let text = table(&ROWS, &all).expect("all figures");
        assert!(
            text.contains(" | <demo flash> / <model int8> / <model int4> bytes | `cargo xtask demo` |\n"),
            "{text}"
        );
        assert!(!text.contains(['{', '}']), "{text}");
        all.remove("digits ram");
        assert!(table(&ROWS, &all).is_err());
    }

    #[test]
    fn a_figure_that_differs_or_is_not_recorded_is_found_by_its_name() {
        let recorded = of([("a", 1000), ("b", 2)]);
        assert!(same(&recorded, &of([("b", 2)])).is_ok());
        for found in [of([("a", 1001)]), of([("c", 2)])] {
            let error = same(&recorded, &found).expect_err("another figure").to_string();
            assert!(error.contains(found.keys().next().expect("a name")), "{error}");
        }
        let recorded = of([("a flash", 222_048)]);
        assert!(same(&recorded, &of([("a flash", 222_052)])).is_ok(), "another folder");
        assert!(same(&recorded, &of([("a flash", 222_068)])).is_err());
    }
}
