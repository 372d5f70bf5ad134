//! The bounds that `verify` is asked for.

use crate::verify::{Bounds, sequences};
use anyhow::{Result, ensure};
use clap::Args;
use thumbformer::Model;

/// Bounds in place of the usual ones.
#[derive(Args)]
pub(super) struct Asked {
    /// Minimum fraction of positions with the float model's answer [default: of a text 0.97 for int8, 0.93 for int4; of recordings 0.98, 0.93]
    #[arg(long)]
    min_top1: Option<f64>,
    /// Maximum mean KL divergence in nats [default: of a text 0.005 for int8, 0.03 for int4; of recordings none]
    #[arg(long)]
    max_kl: Option<f64>,
    /// Maximum relative change of a text's perplexity [default: 0.01 for int8, 0.03 for int4]
    #[arg(long)]
    pub(super) max_perplexity_change: Option<f64>,
    /// Maximum loss of accuracy over labelled recordings, as a fraction [default: 0.005 for int8, 0.03 for int4]
    #[arg(long)]
    max_accuracy_loss: Option<f64>,
    /// Minimum SQNR of the outputs in decibels [default: of a text 30 for int8, 21 for int4; of recordings 28, 16]
    #[arg(long)]
    min_sqnr: Option<f64>,
}

impl Asked {
    /// The bounds of a language model.
    pub(super) fn of_text(&self, model: &Model<'_>) -> Result<Bounds> {
        let none = "is for labelled recordings; a language model's bounds are --min-top1, --max-kl, --max-perplexity-change and \
                    --min-sqnr";
        ensure!(self.max_accuracy_loss.is_none(), "--max-accuracy-loss {none}");
        let usual = Bounds::of(model);
        Ok(Bounds {
            top1: self.min_top1.unwrap_or(usual.top1),
            kl: self.max_kl.unwrap_or(usual.kl),
            perplexity: self.max_perplexity_change.unwrap_or(usual.perplexity),
            sqnr: self.min_sqnr.unwrap_or(usual.sqnr),
        })
    }

    /// The bounds of other models.
    pub(super) fn of_sequences(&self, model: &Model<'_>) -> Result<sequences::Bounds> {
        let none = "is for the text of a language model; this model's bounds are --min-top1, --max-kl, --max-accuracy-loss and \
                    --min-sqnr";
        ensure!(self.max_perplexity_change.is_none(), "--max-perplexity-change {none}");
        let usual = sequences::Bounds::of(model);
        Ok(sequences::Bounds {
            loss: self.max_accuracy_loss.unwrap_or(usual.loss),
            agreement: self.min_top1.unwrap_or(usual.agreement),
            sqnr: self.min_sqnr.unwrap_or(usual.sqnr),
            kl: self.max_kl.or(usual.kl),
        })
    }
}
