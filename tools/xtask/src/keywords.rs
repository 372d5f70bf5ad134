//! Keyword models of 16 kHz as their user brings them (`tests/golden/keywords`), with his recordings in a board's program.
//!
//! ```text
//! checkpoint ──► convert ──► image, recordings ──► Given ──► firmware in QEMU ──► label, instructions, CRC-32: the host's
//! ```

use crate::classify::{Row, given_on_core};
use crate::cores::Core;
use crate::given::Given;
use crate::serial_port::on_serial_port;
use crate::shell::root;
use anyhow::{Context, Result, bail};
use std::path::Path;
use thumbformer::Model;
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
fn write(file: &Path, bytes: &[u8]) -> Result<()> {
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

/// Both models' recordings, and those of one of sensors, on the serial port of an emulated M4: the bits of the stored ones. Returns the
/// number of clips.
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
    let given = sensors(&Core::M4.emulated()?.pack)?;
    let rows = given_on_core(Core::M4, &given)?;
    clips += on_serial_port(Core::M4, &given, |name| rows.iter().find(|row| row.name == name))?;
    Ok(clips)
}

/// Columns of [`sensors`], the rows that make a frame, and those from one frame to the next.
const SENSORS: (usize, usize, usize) = (40, 4, 2);

/// The first model's network as one of sensors: frames of 160 numbers that overlap; with a recording of two clips.
fn sensors(pack: &str) -> Result<Given> {
    let (columns, frame_samples, frame_hop) = SENSORS;
    let mut checkpoint = Checkpoint::load(&root().join("tests/golden/keywords").join(MODELS[0].0), None)?;
    checkpoint.front_end = None;
    let config = &mut checkpoint.config;
    config.columns = (0..columns).map(|column| format!("c{column}")).collect();
    (config.frame_samples, config.frame_hop) = (frame_samples, frame_hop);
    let settings = Settings { packing: packs::packing(pack)?, ..Settings::default() };
    let words = convert(&checkpoint, settings, &mut |_| {})?;
    let folder = root().join("target/keywords/sensors");
    let image = folder.join(format!("{pack}.tbf"));
    write(&image, thumbformer::image::bytes(&words))?;
    let clip = Model::parse(&words)?.clip_frames().context("a clip")?;
    let cell = |index: usize| format!("{:.3}", (index * 37 % 1009) as f32 / 500.0 - 1.0);
    let row = |row: usize| (0..columns).map(|column| cell(row * columns + column)).collect::<Vec<_>>().join(",") + "\n";
    write(&folder.join("recordings/waves.csv"), (0..2 * clip).map(row).collect::<String>().as_bytes())?;
    Ok(Given { model: Some(image), recordings: Some(folder.join("recordings")) })
}
