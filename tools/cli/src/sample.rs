//! Sample of a language model: a few tokens, the likeliest each time, and the mean entropy. Weights in another order than the importer
//! takes them for convert without an error, and babble.

use crate::run::{Options, Prompt, generate};
use std::fmt;
use thumbformer::text::Sampling;
use thumbformer::{Mask, Model, Pooling};
use thumbformer_reference::metrics::log_softmax;

/// Tokens of a sample.
const TOKENS: usize = 24;

/// A sample.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// Its text.
    pub text: String,
    /// Mean entropy of the next token, in nats.
    pub entropy: f64,
    /// Entropy where all tokens are equally likely, in nats.
    pub most: f64,
}

impl Sample {
    /// A sample of a causal language model with a tokenizer; `None` of any other model, and where the engine refuses its logits.
    pub fn of(model: &Model<'_>) -> Option<Sample> {
        let (dims, tokenizer) = (model.dims(), model.tokenizer()?);
        let options = dims.options;
        let is_language = options.head
            && options.mask == Mask::Causal
            && options.pooling == Pooling::None
            && dims.n_outputs == dims.vocab;
        if !is_language {
            return None;
        }
        let first = tokenizer.bos().or(tokenizer.ends().next()).unwrap_or(0);
        let given = Options {
            prompt: Prompt::Ids(vec![first]),
            sampling: Sampling::GREEDY,
            seed: 0,
            steps: TOKENS.min(dims.max_seq),
            max_seq: dims.max_seq.min(TOKENS + 1),
            ignore_end: false,
        };
        let (mut bytes, mut entropy, mut steps) = (Vec::new(), 0.0, 0);
        let generated = generate(model, &given, &mut |piece| bytes.extend_from_slice(piece), &mut |_, logits| {
            let logits: Vec<f64> = logits.iter().map(|logit| f64::from(*logit)).collect();
            entropy -= log_softmax(&logits).iter().map(|log| log.exp() * log).sum::<f64>();
            steps += 1;
        });
        generated.ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some(Sample { text, entropy: entropy / f64::from(steps.max(1)), most: (dims.vocab as f64).ln() })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sample { text, entropy, most } = self;
        write!(f, "{text:?}, {entropy:.2} nats a token, {most:.2} where all are equally likely")
    }
}
