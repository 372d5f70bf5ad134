//! Checks of the default model's images against its float checkpoint, over held-out text.

use super::Outcome;
use crate::firmware::{Board, language_model};
use crate::shell::{cargo, output, root};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::verify::{Bounds, Selection, Windows, verify};

/// Checkpoint of the default model, and the held-out text.
struct HeldOut {
    folder: PathBuf,
    checkpoint: Checkpoint,
    file: PathBuf,
    text: String,
    last: usize,
}

impl HeldOut {
    fn read() -> Result<Result<HeldOut, Outcome>> {
        let model = language_model()?;
        let named = model.held_out.as_ref().with_context(|| format!("{}/model.toml: no `held_out`", model.name))?;
        let (file, last) = (named.text.clone(), named.last);
        if !file.is_file() {
            let name = file.strip_prefix(root()).unwrap_or(&file).display();
            return Ok(Err(Outcome::Skipped(format!("no {name}, whose last {last} documents the model never saw"))));
        }
        let folder = model.checkpoint();
        let checkpoint = Checkpoint::load(&folder, None)?;
        let text = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
        Ok(Ok(HeldOut { folder, checkpoint, file, text, last }))
    }
}

/// Checks the int8 image.
pub fn int8(board: &Board) -> Result<Outcome> {
    let held_out = match HeldOut::read()? {
        Ok(held_out) => held_out,
        Err(skipped) => return Ok(skipped),
    };
    keeps_its_bounds(&board.image()?, &held_out).map(Outcome::Passed)
}

/// Checks an int4 image, distilled on the first of the stories that the model was trained on.
pub fn int4(board: &Board) -> Result<Outcome> {
    let held_out = match HeldOut::read()? {
        Ok(held_out) => held_out,
        Err(skipped) => return Ok(skipped),
    };
    let image = root().join("target/language-q4.tbf");
    output(
        cargo()
            .args(["run", "--quiet", "--release", "--package", "thumbformer-cli", "--", "convert"])
            .arg(&held_out.folder)
            .args(["--quant", "q4", "--calibrate"])
            .arg(&held_out.file)
            .arg("--output")
            .arg(&image),
    )?;
    let size =
        |file: &Path| std::fs::metadata(file).map(|data| data.len()).with_context(|| format!("{}", file.display()));
    let part = size(&image)? as f64 / size(&board.image()?)? as f64;
    ensure!(part <= 0.6, "the int4 image has {:.1} % of the int8 one's bytes, at most 60 % are allowed", 100.0 * part);
    let kept = keeps_its_bounds(&image, &held_out)?;
    Ok(Outcome::Passed(format!("{:.1} % of the int8 bytes: {kept}", 100.0 * part)))
}

/// Compares an image with its accuracy bounds, over the beginning of the held-out stories.
fn keeps_its_bounds(file: &Path, held_out: &HeldOut) -> Result<String> {
    let HeldOut { checkpoint, text, last, .. } = held_out;
    let words = thumbformer_cli::read_image(file)?;
    let model = thumbformer_cli::model(&words, file)?;
    let selection = Selection { last: Some(*last), max_tokens: Some(5000) };
    let windows = Windows::of_text(&model, text, model.dims().max_seq, selection)?;
    let report = verify(&model, checkpoint, &windows.windows, &|_| ())?;
    ensure!(report.tokens >= 2000, "only {} tokens to compare", report.tokens);
    let bounds = Bounds::of(&model);
    let lines: Vec<String> = report.lines(&bounds).iter().map(ToString::to_string).collect();
    ensure!(report.keeps(&bounds), "{}: {} tokens\n{}", file.display(), report.tokens, lines.join("\n"));
    Ok(format!("{} tokens; {}", report.tokens, lines.join("; ")))
}
