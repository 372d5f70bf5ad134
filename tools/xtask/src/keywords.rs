//! Keyword models of 16 kHz as their user brings them (`tests/golden/keywords`), with his recordings in a board's program.
//!
//! ```text
//! checkpoint ──► convert ──► image, recordings ──► Given ──► firmware in QEMU ──► label, instructions, CRC-32: the host's
//! ```

use crate::classify::{Row, given_on_core, on_serial_port};
use crate::cores::Core;
use crate::given::Given;
use crate::shell::root;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::packs;

/// Folders of the models, and the names of their front ends.
pub const MODELS: [(&str, &str); 2] = [("logmel", "log-mel"), ("mfcc", "MFCC")];

/// Cores that they are measured on.
pub const CORES: [Core; 2] = [Core::M0Plus, Core::M4];

/// A model's image for boards of this packing, with its recordings, as `--model` and `--recordings` name them.
///
/// # Errors
/// When the checkpoint cannot be converted or the image not be written.
pub fn given(model: &str, pack: &str) -> Result<Given> {
    let folder = root().join("tests/golden/keywords");
    let checkpoint = Checkpoint::load(&folder.join(model), None)?;
    let settings = Settings { packing: packs::packing(pack)?, ..Settings::default() };
    let words = convert(&checkpoint, settings, &mut |_| {})?;
    let image = root().join(format!("target/keywords/{model}-{pack}.tbf"));
    write(&image, thumbformer::image::bytes(&words))?;
    Ok(Given { model: Some(image), recordings: Some(folder.join("recordings")) })
}

/// Writes a file anew only where it differs, so that no build begins for its date.
fn write(file: &PathBuf, bytes: &[u8]) -> Result<()> {
    if std::fs::read(file).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    std::fs::write(file, bytes).with_context(|| format!("{}", file.display()))
}

/// Both models' recordings on a core's board, each named after its model.
///
/// # Errors
/// As [`given_on_core`], and where a word is not heard.
pub fn on_core(core: Core) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (model, _) in MODELS {
        for row in given_on_core(core, &given(model, &core.emulated()?.pack)?)? {
            if !row.is_right() {
                bail!("{model}, {} on {}: heard {}", row.name, row.core, row.label);
            }
            rows.push(Row { name: format!("{model}/{}", row.name), ..row });
        }
    }
    Ok(rows)
}

/// Both models' recordings on the serial port of an emulated M4: the bits of the stored ones.
///
/// # Errors
/// As [`on_serial_port`].
pub fn arriving(stored: &[Row]) -> Result<usize> {
    let mut clips = 0;
    for (model, _) in MODELS {
        clips += on_serial_port(Core::M4, &given(model, &Core::M4.emulated()?.pack)?, |name| {
            stored.iter().find(|row| row.name == format!("{model}/{name}"))
        })?;
    }
    Ok(clips)
}
