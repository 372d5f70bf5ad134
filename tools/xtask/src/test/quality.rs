//! Checks of the default model's images against its float checkpoint, over held-out text.

use super::Outcome;
use crate::figures::{self, Figures};
use crate::firmware::{Board, language_model};
use crate::shell::{cargo, output, root};
use anyhow::{Context, Result, ensure};
use board_manifest::DefaultModel;
use std::path::Path;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::verify::{Bounds, Selection, Windows, verify};

/// Checkpoint of the default model, and the text that it was not trained on.
struct HeldOut {
    model: DefaultModel,
    checkpoint: Checkpoint,
    text: String,
}

impl HeldOut {
    fn read() -> Result<HeldOut> {
        let model = language_model()?;
        let file = model.held_out.as_ref().with_context(|| format!("{}/model.toml: no `held_out`", model.name))?;
        let text = std::fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
        Ok(HeldOut { checkpoint: Checkpoint::load(&model.checkpoint(), None)?, text, model })
    }
}

/// Checks the int8 image.
pub fn int8(board: &Board) -> Result<Outcome> {
    let (verdict, figures) = of_int8(board, &HeldOut::read()?)?;
    figures::compare(&figures)?;
    Ok(Outcome::Passed(verdict))
}

/// Checks an int4 image, distilled on stories that the model was trained on.
pub fn int4(board: &Board) -> Result<Outcome> {
    let (verdict, figures) = of_int4(board, &HeldOut::read()?)?;
    figures::compare(&figures)?;
    Ok(Outcome::Passed(verdict))
}

/// Figures of both images.
pub fn figures(board: &Board) -> Result<Figures> {
    let held_out = HeldOut::read()?;
    let (_, mut figures) = of_int8(board, &held_out)?;
    figures.extend(of_int4(board, &held_out)?.1);
    Ok(figures)
}

fn of_int8(board: &Board, held_out: &HeldOut) -> Result<(String, Figures)> {
    keeps_its_bounds("int8", &board.image()?, held_out)
}

fn of_int4(board: &Board, held_out: &HeldOut) -> Result<(String, Figures)> {
    let model = &held_out.model;
    let text = model.calibration.as_ref().with_context(|| format!("{}/model.toml: no `calibration`", model.name))?;
    let image = root().join("target/language-q4.tbf");
    output(
        cargo()
            .args(["run", "--quiet", "--release", "--package", "thumbformer-cli", "--", "convert"])
            .arg(model.checkpoint())
            .args(["--quant", "q4", "--calibrate"])
            .arg(text)
            .arg("--output")
            .arg(&image),
    )?;
    let size =
        |file: &Path| std::fs::metadata(file).map(|data| data.len()).with_context(|| format!("{}", file.display()));
    let (bytes, part) = (size(&image)?, size(&image)? as f64 / size(&board.image()?)? as f64);
    ensure!(part <= 0.6, "the int4 image has {:.1} % of the int8 one's bytes, at most 60 % are allowed", 100.0 * part);
    let (kept, mut figures) = keeps_its_bounds("int4", &image, held_out)?;
    figures.extend(figures::of([("model int4", bytes)]));
    Ok((format!("{:.1} % of the int8 bytes: {kept}", 100.0 * part), figures))
}

/// Number of tokens that are compared, in windows from everywhere in the held-out stories.
const TOKENS: usize = 10_000;

/// Compares an image with its accuracy bounds.
fn keeps_its_bounds(kind: &str, file: &Path, held_out: &HeldOut) -> Result<(String, Figures)> {
    let words = thumbformer_cli::read_image(file)?;
    let model = thumbformer_cli::model(&words, file)?;
    let selection = Selection { last: None, max_tokens: Some(TOKENS) };
    let windows = Windows::of_text(&model, &held_out.text, model.dims().max_seq, selection)?;
    let report = verify(&model, &held_out.checkpoint, &windows.windows, &|_| ())?;
    ensure!(report.tokens == TOKENS, "only {} tokens to compare", report.tokens);
    let bounds = Bounds::of(&model);
    let lines: Vec<String> = report.lines(&bounds).iter().map(ToString::to_string).collect();
    ensure!(report.keeps(&bounds), "{}: {} tokens\n{}", file.display(), report.tokens, lines.join("\n"));
    let mut figures = figures::of([("quality tokens", TOKENS as u64)]);
    figures.extend([
        (format!("{kind} top-1"), format!("{:.2}", 100.0 * report.top1)),
        (format!("{kind} kl"), format!("{:.5}", report.kl)),
        (format!("{kind} perplexity"), format!("{:.4}", report.perplexity)),
        ("float perplexity".into(), format!("{:.4}", report.reference_perplexity)),
    ]);
    Ok((format!("{} tokens; {}", report.tokens, lines.join("; ")), figures))
}
