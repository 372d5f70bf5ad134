//! int4 by distillation: trains all matrices together, so that the rounded network predicts what the float network predicts.
//!
//! ```text
//! windows of text ──┬─► float network ─────────────────────────────► probabilities ──┐
//!                   └─► rounded network, with backward pass ──────► probabilities ──┴─► divergence (Hinton et al. 2015)
//! weights, scales ◄── Adam ◄── gradients, summed in the windows' order ◄───────────────┘
//! ```
//! The weights are rounded anew in every step. The steps are the same in every run, on every machine, with any number of cores.

mod attention;
mod block;
mod latent;
mod math;
mod mlp;
mod multiply;
mod network;
mod rows;
mod student;
#[cfg(test)]
mod tests;

use super::Quantized;
use anyhow::{Result, bail};
use network::Network;
use student::Student;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_checkpoint::random::Random;

/// The result of a distillation.
pub struct Distilled {
    /// The trained int4 matrices.
    pub quantized: Quantized,
    /// Mean KL divergence of plain rounding from the float model over held-out text, in nats.
    pub before: f64,
    /// Mean KL divergence of the trained matrices, likewise.
    pub after: f64,
}

/// The first property of a checkpoint's network that prevents distillation, if any.
pub fn lacking(checkpoint: &Checkpoint) -> Option<&'static str> {
    network::lacking(checkpoint)
}

/// Maximum number of tokens of a window; nothing is trained on positions beyond it.
const WINDOW: usize = 128;
/// Number of windows in a step.
const BATCH: usize = 8;
/// Interval of the held-out windows: one of so many is held out.
const ASIDE: usize = 20;
/// Maximum number of held-out windows that are evaluated.
const MOST_ASIDE: usize = 64;

/// Number of tokens in `steps` steps.
pub const fn tokens(steps: usize) -> usize {
    steps * BATCH * WINDOW
}

/// The reason that a network cannot be distilled with a text, as a sentence; `None` if it can.
pub fn refusal(checkpoint: &Checkpoint, documents: &[Vec<u16>]) -> Option<String> {
    if let Some(what) = lacking(checkpoint) {
        return Some(format!("only decoders of text are distilled, this network has {what}"));
    }
    let windows = Windows::new(documents);
    let enough = !windows.aside.is_empty() && windows.seen.len() >= BATCH;
    let count = windows.aside.len() + windows.seen.len();
    let length = checkpoint.config.max_seq.min(WINDOW);
    (!enough).then(|| format!("the text has {count} windows of up to {length} tokens; give at least {ASIDE}"))
}

/// Documents, cut into windows.
struct Windows<'a> {
    /// Windows for training.
    seen: Vec<&'a [u16]>,
    /// Held-out windows.
    aside: Vec<&'a [u16]>,
}

impl Windows<'_> {
    fn new(documents: &[Vec<u16>]) -> Windows<'_> {
        let mut windows = Windows { seen: Vec::new(), aside: Vec::new() };
        for (index, window) in documents.iter().flat_map(|document| document.chunks(WINDOW)).enumerate() {
            let aside = index % ASIDE == ASIDE - 1;
            if aside { windows.aside.push(window) } else { windows.seen.push(window) }
        }
        windows.aside.truncate(MOST_ASIDE);
        windows
    }
}

/// Trains the int4 matrices of all layers against the float network.
///
/// `progress` is called with the number of finished steps.
///
/// # Errors
/// With the [`refusal`] if there is one, and for weights that are not finite, by name.
pub fn distilled(
    checkpoint: &Checkpoint,
    documents: &[Vec<u16>],
    steps: usize,
    threads: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Distilled> {
    if let Some(why) = refusal(checkpoint, documents) {
        bail!("{why}");
    }
    let windows = Windows::new(documents);
    let teacher = Network::new(checkpoint);
    let mut student = Student::new(checkpoint, threads)?;
    let before = student.divergence(&teacher, &windows.aside)?;
    let mut order = Order::new(windows.seen.len());
    for step in 0..steps {
        let batch: Vec<&[u16]> = (0..BATCH).map(|_| windows.seen[order.next()]).collect();
        student.step(&teacher, &batch, step, rate(step, steps))?;
        progress(step + 1);
    }
    let after = student.divergence(&teacher, &windows.aside)?;
    Ok(Distilled { quantized: student.quantized(), before, after })
}

/// Learning rate of a step, as a fraction of the largest: a short warm-up, then a cosine decay.
fn rate(step: usize, steps: usize) -> f32 {
    const WARM: f32 = 10.0;
    let done = step as f32 / steps.max(1) as f32;
    ((step as f32 + 1.0) / WARM).min(1.0) * (0.01 + 0.495 * (1.0 + libm::cosf(std::f32::consts::PI * done)))
}

/// A random order of windows, in which each comes once before any comes again.
struct Order {
    left: Vec<usize>,
    count: usize,
    random: Random,
}

impl Order {
    fn new(count: usize) -> Order {
        Order { left: Vec::new(), count, random: Random::new(0x7b1f_a6c5_0d43_91e7) }
    }

    fn next(&mut self) -> usize {
        if self.left.is_empty() {
            self.left = (0..self.count).collect();
        }
        self.left.swap_remove((self.random.next() % self.left.len() as u64) as usize)
    }
}
