//! The model of `docs/your-model.md`, from the checkpoint on that the page's script writes, which is committed.
//!
//! ```text
//! tests/golden/your_model ──► `thumbformer convert`, for a board ──► image ──┬─► program, as `--model` and `--recordings` give them
//!                        └──► recordings, a long one, and one without header ┘
//! ```

use crate::given::Given;
use crate::shell::{self, output, root};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;

/// Files that the page's script writes.
fn folder() -> PathBuf {
    root().join("tests/golden/your_model")
}

/// The page's image for a board, with its recordings, one of several clips and a table without a header: arguments of `flash` and `board run`.
///
/// # Errors
/// When the checkpoint cannot be converted or the files cannot be copied.
pub fn given(board: &str) -> Result<Given> {
    let folder = folder();
    let own = root().join("target/your model").join(board);
    _ = std::fs::remove_dir_all(&own);
    let recordings = own.join("recordings");
    std::fs::create_dir_all(&recordings).with_context(|| format!("{}", recordings.display()))?;
    let files = thumbformer_recordings::in_folder(&folder.join("recordings"))?;
    for file in &files {
        std::fs::copy(file, recordings.join(file.file_name().context("a file")?))?;
    }
    let text = std::fs::read_to_string(files.last().context("no recording")?)?;
    let (_, numbers) = text.split_once('\n').context("a header")?;
    std::fs::write(recordings.join("OWN.CSV"), numbers)?;
    // Two clips and a few rows.
    let shaken = std::fs::read_to_string(folder.join("recordings/shake_0.csv"))?;
    let (header, rows) = shaken.split_once('\n').context("a header")?;
    let some: String = rows.split_inclusive('\n').take(3).collect();
    std::fs::write(recordings.join("shake_long.csv"), format!("{header}\n{rows}{rows}{some}"))?;
    let image = own.join("gestures.tbf");
    let mut convert = Command::new(shell::thumbformer()?);
    output(convert.arg("convert").arg(folder.join("checkpoint")).args(["--pack", board, "-o"]).arg(&image))?;
    Ok(Given { model: Some(image), recordings: Some(recordings) })
}
