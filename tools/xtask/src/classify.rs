//! `cargo xtask classify`: the fixtures of the default encoder, heard on every emulated core and on the host.
//!
//! ```text
//! samples ──┬─► firmware in QEMU ──► label, probability, instructions, CRC-32 ──┐
//!           └─► host ──────────────► label,                            CRC-32 ──┴─► the same, or an error
//! ```

use crate::bench::{lines, or_all};
use crate::cores::Core;
use crate::shell::root;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use thumbformer_cli::classify::{Heard, classify, read};

/// A recording on a core.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
pub struct Row {
    /// The core.
    #[serde(default)]
    pub core: String,
    /// The recording.
    pub name: String,
    /// What was heard.
    pub label: String,
    /// Its probability, in thousandths.
    pub permille: u32,
    /// Instructions from samples to frames.
    pub front_end: u32,
    /// Instructions from frames to outputs.
    pub network: u32,
    /// CRC-32 of the outputs.
    pub crc32: u32,
}

/// What the host hears in the recordings that the firmware holds.
///
/// # Errors
/// When a file of the model is missing.
pub fn on_host() -> Result<Vec<Heard>> {
    let folder = root().join("models/digits");
    let image = folder.join("digits.tbf");
    let words = thumbformer_cli::read_image(&image)?;
    let model = thumbformer_cli::model(&words, &image)?;
    let fixtures = folder.join("fixtures");
    let files = std::fs::read_dir(&fixtures).with_context(|| format!("{}", fixtures.display()))?;
    let mut files = files.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    files.iter().map(|file| Ok(classify(&model, &read(&model, file)?)?)).collect()
}

/// All recordings on one core, each with the host's label and bits.
///
/// # Errors
/// When the firmware cannot be built or run, or hears anything else than the host.
pub fn on_core(core: Core, expected: &[Heard]) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = lines(core, "classify", &[])?;
    ensure!(rows.len() == expected.len(), "{} heard {} of {} recordings", core.name(), rows.len(), expected.len());
    for (row, expected) in rows.iter_mut().zip(expected) {
        row.core = core.name();
        ensure!(
            (&row.name, &row.label, row.crc32) == (&expected.name, &expected.label, expected.crc32),
            "{} on {}: {} with crc32 {:08x}, on the host {} with {:08x}",
            row.name,
            row.core,
            row.label,
            row.crc32,
            expected.label,
            expected.crc32
        );
    }
    Ok(rows)
}

/// Prints what the cores hear, a line for each recording.
///
/// # Errors
/// As [`on_core`].
pub fn print(cores: &[Core], json: bool) -> Result<()> {
    let expected = on_host()?;
    if !json {
        println!(
            "{:<7} {:<14} {:<6} {:>6} {:>11} {:>11}  outputs",
            "core", "recording", "label", "prob.", "front end", "network"
        );
    }
    for core in or_all(cores) {
        for row in on_core(core, &expected)? {
            if json {
                println!("{}", serde_json::to_string(&row)?);
            } else {
                let Row { core, name, label, permille, front_end, network, crc32 } = row;
                println!(
                    "{core:<7} {name:<14} {label:<6} {:>6.3} {front_end:>11} {network:>11}  {crc32:08x}, as on the host",
                    f64::from(permille) / 1000.0
                );
            }
        }
    }
    Ok(())
}
