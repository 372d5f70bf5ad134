//! int4 by distillation: all matrices are trained together, so that the rounded network says what the float one says.
//!
//! ```text
//! windows of text ──┬─► float network ─────────────────────────────► probabilities ──┐
//!                   └─► rounded network, with its pass back ──────► probabilities ──┴─► divergence (Hinton et al. 2015)
//! weights, scales ◄── Adam ◄── gradients, summed in the windows' order ◄───────────────┘
//! ```
//! Rounding is done anew in every step. The same steps are taken in every run, on every machine, with any number of cores.

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

/// A network whose matrices were trained as int4.
pub struct Distilled {
    /// Its matrices.
    pub quantized: Quantized,
    /// Mean divergence of plain rounding from the float model over text that was kept aside, in nats.
    pub before: f64,
    /// That of the trained matrices.
    pub after: f64,
}

/// What of a checkpoint's network cannot be distilled; `None`: it can.
pub fn lacking(checkpoint: &Checkpoint) -> Option<&'static str> {
    network::lacking(checkpoint)
}

/// Most tokens of a window: positions beyond are learned from those before them.
const WINDOW: usize = 128;
/// Windows of a step.
const BATCH: usize = 8;
/// Every so many-th window is kept aside.
const ASIDE: usize = 20;
/// Most of those that are looked at.
const MOST_ASIDE: usize = 64;

/// Tokens that so many steps read.
pub const fn tokens(steps: usize) -> usize {
    steps * BATCH * WINDOW
}

/// Why a network cannot be distilled with a text, as a sentence; `None`: it can.
pub fn refusal(checkpoint: &Checkpoint, documents: &[Vec<u16>]) -> Option<String> {
    if let Some(what) = lacking(checkpoint) {
        return Some(format!("only decoders of text are distilled, this network has {what}"));
    }
    let windows = Windows::new(documents);
    let enough = !windows.aside.is_empty() && windows.seen.len() >= BATCH;
    let count = windows.aside.len() + windows.seen.len();
    (!enough).then(|| format!("the text has {count} windows of {WINDOW} tokens; give at least {ASIDE}"))
}

/// Documents in pieces.
struct Windows<'a> {
    /// Those to learn from.
    seen: Vec<&'a [u16]>,
    /// Those to judge by.
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
/// `progress` is told the steps that are done.
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

/// How large a step is, as a part of the largest: rises over a few steps, then falls along a cosine.
fn rate(step: usize, steps: usize) -> f32 {
    const WARM: f32 = 10.0;
    let done = step as f32 / steps.max(1) as f32;
    ((step as f32 + 1.0) / WARM).min(1.0) * (0.01 + 0.495 * (1.0 + libm::cosf(std::f32::consts::PI * done)))
}

/// Windows in a random order, each once before any comes again.
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
