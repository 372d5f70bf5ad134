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

pub mod accuracy;
pub mod classify;
pub mod cmd;
pub mod convert;
pub mod explain;
pub mod features;
mod files;
pub mod inspect;
pub mod packs;
pub mod quantize;
pub mod run;
pub mod scaling;
pub mod stdout;
pub mod texts;
pub mod verify;

use anyhow::{Context, Result, ensure};
pub use files::write_file;
use std::path::Path;
use thumbformer::text::Tokenizer;
use thumbformer::{Error, Input, Model};

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

/// Tokens of a text, BOS first where the model has one; names of special tokens in the text are those tokens.
///
/// # Errors
/// When the vocabulary has no token for a byte of the text.
pub fn tokens(tokenizer: &Tokenizer<'_>, text: &str) -> Result<Vec<u16>, Error> {
    // Before merging there is at most one symbol for each byte, one for BOS, and a space before each part between names, of at least a byte.
    let mut tokens = vec![0; 2 * text.len() + 2];
    let length = tokenizer.encode_named(text, true, &mut tokens)?;
    tokens.truncate(length);
    Ok(tokens)
}

/// Refuses a model that reads no text.
///
/// # Errors
/// For a model of frames or streams; the error names the commands for it.
pub fn reads_text(model: &Model<'_>) -> Result<()> {
    let input = model.dims().options.input;
    ensure!(
        input == Input::Tokens,
        "the model reads {input:?}, not text: use `classify` or `verify --recordings`, and int4 without --calibrate"
    );
    Ok(())
}
