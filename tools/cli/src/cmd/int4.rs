//! `convert --quant q4`: which method makes the integers, and what is said about it.
//!
//! ```text
//! no text ──► plain rounding
//! text ──► documents ─┬─► a decoder, and enough of them ──► trained together ──► better on text kept aside? ─► done
//!                     └─► otherwise, or with `--distill 0` ──► layer by layer
//! ```

use super::{bar, read_text};
use crate::quantize::{self, Quantized, distill};
use crate::text;
use crate::{convert, model};
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::path::{Path, PathBuf};
use thumbformer_checkpoint::Checkpoint;

/// Steps that the default model needs.
const STEPS: usize = 300;
/// Tokens that say enough about single matrices.
const LAYERWISE_TOKENS: usize = 8192;

/// Arguments of `convert` for int4.
#[derive(Args)]
pub struct Calibration {
    /// Calibration text for int4, similar to the training data; lines `<|end|>` separate documents
    #[arg(long = "calibrate", id = "calibrate", value_name = "FILE", group = "calibration")]
    pub text: Option<PathBuf>,
    /// Distillation steps: a decoder's int4 matrices are trained together on the text; 0 quantizes layer by layer
    #[arg(long, value_name = "STEPS", default_value_t = STEPS, requires = "calibration")]
    distill: usize,
    /// Token ids in place of a calibration text: a JSON list, or words
    #[arg(long = "tokens", id = "calibration_ids", value_name = "FILE", group = "calibration")]
    pub tokens: Option<PathBuf>,
    /// Calibration tokens, rounded up to whole documents [default: as many as the method uses]
    #[arg(long = "calibrate-tokens", id = "calibrate_tokens", value_name = "NUMBER", requires = "calibration")]
    count: Option<usize>,
}

impl Calibration {
    /// The int4 matrices of the layers; `max_seq` is the context of the image.
    pub fn quantize(&self, checkpoint: &Checkpoint, max_seq: Option<usize>) -> Result<Quantized> {
        let Some(file) = self.text.as_ref().or(self.tokens.as_ref()) else {
            eprintln!(
                "warning: plain rounding to int4 loses much accuracy; give a text of the training text's kind with --calibrate FILE"
            );
            return quantize::rounded(checkpoint);
        };
        self.by_text(checkpoint, max_seq, file).with_context(|| format!("{}", file.display()))
    }

    fn by_text(&self, checkpoint: &Checkpoint, max_seq: Option<usize>, file: &Path) -> Result<Quantized> {
        let steps = self.distill;
        let distillable = steps > 0 && distill::lacking(checkpoint).is_none();
        let of_use = if distillable { distill::tokens(steps) } else { LAYERWISE_TOKENS };
        let mut documents = self.documents(checkpoint, max_seq, file, of_use)?;
        if steps > 0 {
            match distill::refusal(checkpoint, &documents) {
                Some(why) => eprintln!("not distilled, but quantized layer by layer: {why}"),
                None => {
                    if let Some(quantized) = distilled(checkpoint, &documents, steps)? {
                        return Ok(quantized);
                    }
                    documents = self.documents(checkpoint, max_seq, file, LAYERWISE_TOKENS)?;
                }
            }
        }
        layerwise(checkpoint, &documents)
    }

    /// Documents as tokens, from the beginning until there are enough, each cut at the context; a text by the image's own tokenizer.
    fn documents(
        &self,
        checkpoint: &Checkpoint,
        max_seq: Option<usize>,
        file: &Path,
        of_use: usize,
    ) -> Result<Vec<Vec<u16>>> {
        let settings = convert::Settings { max_seq, ..Default::default() };
        let words = convert::convert(checkpoint, settings, &mut |_| ())?;
        let model = model(&words, file)?;
        let (most, context) = (self.count.unwrap_or(of_use), model.dims().max_seq);
        let (mut taken, mut total) = (Vec::new(), 0);
        let mut take = |mut document: Vec<u16>| {
            // The last token of a document is only predicted.
            document.truncate(context.min(document.len().saturating_sub(1)));
            total += document.len();
            taken.extend(Some(document).filter(|document| !document.is_empty()));
            total < most
        };
        if self.tokens.is_some() {
            text::read_ids(&model, file)?.into_iter().all(&mut take);
        } else {
            let (tokenizer, text) = (text::tokenizer(&model)?, read_text(file)?);
            for document in text::documents(&tokenizer, &text) {
                if !take(document?) {
                    break;
                }
            }
        }
        ensure!(!taken.is_empty(), "no document of at least two tokens: give a longer text");
        Ok(taken)
    }
}

/// All layers together; `None` where it does not help.
fn distilled(checkpoint: &Checkpoint, documents: &[Vec<u16>], steps: usize) -> Result<Option<Quantized>> {
    let bar = bar(steps, "steps of training")?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut progress = |steps| bar.set_position(steps as u64);
    let distilled = distill::distilled(checkpoint, documents, steps, threads, &mut progress);
    bar.finish_and_clear();
    let distill::Distilled { quantized, before, after } = distilled?;
    eprintln!("divergence from the float model on text kept aside: {before:.5} nats rounded, {after:.5} distilled");
    let helped = after < before;
    if !helped {
        eprintln!("this does not help: quantized layer by layer");
    }
    Ok(helped.then_some(quantized))
}

fn layerwise(checkpoint: &Checkpoint, documents: &[Vec<u16>]) -> Result<Quantized> {
    let bar = bar(checkpoint.config.n_layers, "layers calibrated")?;
    let quantized = quantize::calibrated(checkpoint, documents, &mut |layers| bar.set_position(layers as u64));
    bar.finish_and_clear();
    quantized
}
