//! Recordings on the serial port of an emulated board, against the same ones stored in its program.
//!
//! ```text
//! recordings ──┬─► the program ─────────────► CRC-32 of each ──┐
//!              └─► numbers, as text ─► UART ─► CRC-32 of each ──┴─► the same, or an error
//! ```

use crate::boards::parse;
use crate::classify::Row;
use crate::cores::Core;
use crate::emulator::{Extra, emulate_with};
use crate::given::Given;
use crate::setup;
use crate::shell::root;
use anyhow::{Context, Result, ensure};
use board_manifest::{Application, Image, Signal, clip_samples, numbers, signals};
use serde_json::Value;
use thumbformer::Model;

/// Most clips that are sent to an emulated board.
const CLIPS: usize = 3;

/// The first recordings of a user's image that make whole clips, on the serial port of a core's board one after the other: the bits of
/// the stored ones. Returns their number.
///
/// # Errors
/// When the program cannot be built or run, and when an answer is another one.
pub fn on_serial_port<'r>(core: Core, given: &Given, stored: impl Fn(&str) -> Option<&'r Row>) -> Result<usize> {
    let board = given.build_for(&core.emulated()?, Application::Classify)?;
    let elf = board.build_program(&setup::ensure(&board.target)?, Application::Classify.name())?;
    let image = Image::read(given.model.as_deref().context("no image is given")?)?;
    let image = image.with_recordings(given.recordings.as_deref());
    let model = image.model()?;
    let (mut text, mut expected) = (String::new(), Vec::new());
    for (name, signal) in signals(&image, &model)? {
        let numbers: Vec<f32> = match signal {
            Signal::Sound(mut samples) => {
                samples.resize(clip_samples(&model), 0);
                samples.into_iter().map(f32::from).collect()
            }
            Signal::Frames(frames) if frames.len() == numbers(&model) => rows(&model, &frames),
            _ => continue,
        };
        if expected.len() < CLIPS {
            text.extend(numbers.iter().map(|number| format!("{number}\n")));
            expected.push(stored(&name).with_context(|| format!("{name}: not among the stored recordings"))?);
        }
    }
    let arriving = root().join("target").join(format!("arriving-{}.txt", std::process::id()));
    std::fs::write(&arriving, text).with_context(|| format!("{}", arriving.display()))?;
    let extra = Extra { serial: Some(&arriving), options: &[] };
    let output = emulate_with(&board, &elf, &["serial=model".into()], &extra, |_| ());
    _ = std::fs::remove_file(&arriving);
    let found: Vec<Value> = parse(&board.name, &elf, &output?)?;
    let same =
        |(found, row): (&Value, &&Row)| found["crc32"] == row.crc32.as_str() && found["label"] == row.label.as_str();
    ensure!(
        !found.is_empty() && found.len() == expected.len() && found.iter().zip(&expected).all(same),
        "{}: on the serial port {found:?}, stored {expected:?}",
        image.file.display()
    );
    Ok(found.len())
}

/// The rows that frames are made of, without what a frame has of the one before it.
fn rows(model: &Model<'_>, frames: &[f32]) -> Vec<f32> {
    let width = model.dims().n_features;
    let kept = width - model.n_columns() * model.frame_hop();
    let new = |(index, frame): (usize, &[f32])| frame[if index == 0 { 0 } else { kept }..].to_vec();
    frames.chunks(width).enumerate().flat_map(new).collect()
}
