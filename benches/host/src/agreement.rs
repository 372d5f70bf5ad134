//! Agreement check: all contenders compute the same model, before anything is timed.
//!
//! ```text
//! prompt ─► plain float, greedy ─► tokens ─┬─► float contenders, f64 reference ─► largest difference of a logit < 1e-3
//!                                          └─► quantized contenders ─► share of tokens with the same largest logit
//! ```

use crate::decoder::{Contender, Decoder, Kind};
use anyhow::{Context, Result, ensure};
use thumbformer::text::argmax;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_reference::Reference;

/// Most that a logit of two float implementations may differ by. The order of additions makes a hundredth of this;
/// a wrong angle or head makes thousands.
const LARGEST_DIFFERENCE: f32 = 1e-3;

/// Least share of tokens with the same largest logit, as `thumbformer verify` asks for. The default model has 0.99 over
/// these tokens; the image of a checkpoint with another `rope_theta`, 5,000, has 0.93.
const LEAST_AGREEMENT: f64 = 0.97;

/// Tokens and the logits that plain float gave after each.
pub struct Expected {
    /// Input tokens of every contender.
    pub tokens: Vec<u16>,
    /// `[tokens][vocab]`
    logits: Vec<Vec<f32>>,
}

impl Expected {
    /// Lets plain float go on with a prompt, greedily, until there are `count` tokens; an end token does not stop it.
    ///
    /// # Errors
    /// When plain float fails.
    pub fn generate(plain: &mut dyn Decoder, prompt: &[u16], count: usize) -> Result<Self> {
        let (mut tokens, mut logits): (Vec<u16>, Vec<Vec<f32>>) = (prompt.to_vec(), Vec::new());
        plain.reset()?;
        while logits.len() < count {
            let found = plain.decode(tokens[logits.len()])?.to_vec();
            if tokens.len() == logits.len() + 1 && tokens.len() < count {
                tokens.push(argmax(&found));
            }
            logits.push(found);
        }
        tokens.truncate(count);
        Ok(Self { tokens, logits })
    }

    /// Checks a contender over all tokens and says what was found.
    ///
    /// # Errors
    /// When it computes something else, or fails.
    pub fn check(&self, contender: &mut Contender<'_>) -> Result<String> {
        let name = format!("{} {}", contender.implementation, contender.backend);
        let decoder = &mut contender.decoder;
        decoder.reset().with_context(|| name.clone())?;
        let logits = self.tokens.iter().map(|&token| Ok(decoder.decode(token)?.to_vec()));
        let logits: Vec<Vec<f32>> = logits.collect::<Result<_>>().with_context(|| name.clone())?;
        self.compare(&name, contender.kind, &logits)
    }

    /// Checks plain float itself against the `f64` reference, which PyTorch was compared with.
    ///
    /// # Errors
    /// When they compute different things.
    pub fn check_reference(&self, checkpoint: &Checkpoint) -> Result<String> {
        let tokens: Vec<u32> = self.tokens.iter().copied().map(u32::from).collect();
        let logits = Reference::new(checkpoint).forward(&tokens, &mut |_, _| ())?;
        let logits: Vec<Vec<f32>> = logits.iter().map(|row| row.iter().map(|&x| x as f32).collect()).collect();
        self.compare("reference f64", Kind::Float, &logits)
    }

    fn compare(&self, name: &str, kind: Kind, logits: &[Vec<f32>]) -> Result<String> {
        let count = self.logits.len();
        ensure!(logits.len() == count, "{name} computed {} of {count} tokens", logits.len());
        let pairs = || logits.iter().zip(&self.logits);
        let same = pairs().filter(|(found, expected)| argmax(found) == argmax(expected)).count();
        let differences = pairs().flat_map(|(found, expected)| found.iter().zip(expected)).map(|(a, b)| (a - b).abs());
        // Of a comparison with NaN, `max` would keep the number.
        let largest = differences.fold(0.0, |max: f32, x| if x > max || x.is_nan() { x } else { max });
        let found = format!(
            "{name:<20} top-1 as plain float at {same} of {count} positions, logits at most {largest:.1e} away"
        );
        let agrees = match kind {
            Kind::Float => largest < LARGEST_DIFFERENCE,
            Kind::Quantized => same as f64 >= LEAST_AGREEMENT * count as f64,
        };
        let wanted = match kind {
            Kind::Float => format!("less than {LARGEST_DIFFERENCE:e} away"),
            Kind::Quantized => format!("the same top-1 at {:.0} %", 100.0 * LEAST_AGREEMENT),
        };
        ensure!(
            agrees,
            "{found}, expected {wanted}: they do not compute the same model, so there is nothing to time. If the \
             checkpoint in models/stories was changed, convert it to stories.tbf as its README says"
        );
        Ok(found)
    }
}
