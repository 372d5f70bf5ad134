//! Parts of the `thumbformer` command as functions, which tests and `cargo xtask` call, too.
//!
//! ```text
//! checkpoint ──► convert ──► image ──┬─► run      text, on the host's engine, which is the chip's
//!      │                             ├─► inspect  cost in flash, RAM and multiply-accumulates
//!      │                             ├─► explain  intermediate values, shown
//!      └─────────── reference ───────┴─► verify   distance of the image's logits from the float model's
//!
//! recordings ──► classify ──► frames ──► labels; and against the float model: accuracy
//! WAV files ──► features ──► frames, by the on-device front end, for the training of speech models
//! ```

#![deny(clippy::print_stdout)]

mod about;
pub mod classify;
pub mod cmd;
pub mod convert;
pub mod explain;
pub mod features;
mod files;
pub mod inspect;
pub mod packs;
pub mod quantize;
pub mod reading;
pub mod run;
pub mod sample;
pub mod scaling;
pub mod stdout;
pub mod text;
pub mod texts;
pub mod verify;

use anyhow::{Context, Result};
pub use files::write_file;
use std::path::Path;
use thumbformer::Model;

/// Reads the words of an image from a file; [`model`] checks them.
///
/// # Errors
/// When the file cannot be read.
pub fn read_image(file: &Path) -> Result<Vec<u32>> {
    let bytes = std::fs::read(file)
        .with_context(|| format!("{}: cannot be read; make an image with `thumbformer convert`", file.display()))?;
    // Bytes that do not fill a word are padded to one, so that the length check finds them.
    let (whole, rest) = bytes.as_chunks::<4>();
    let mut words: Vec<u32> = whole.iter().map(|&word| u32::from_le_bytes(word)).collect();
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        words.push(u32::from_le_bytes(last));
    }
    Ok(words)
}

/// Checks an image from a file.
///
/// # Errors
/// For an invalid image, with the file's name.
pub fn model<'a>(words: &'a [u32], file: &Path) -> Result<Model<'a>> {
    Model::parse(words).with_context(|| format!("{}", file.display()))
}
