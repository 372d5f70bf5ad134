//! One input of a model, and its outputs: the float reference's and the engine's.

use anyhow::{Result, bail, ensure};
use std::sync::atomic::{AtomicUsize, Ordering};
use thumbformer::observe::Observer;
use thumbformer::state::HostState;
use thumbformer::{Error, Mask, Model, Pooling};
use thumbformer_reference::{Observe, Reference};

/// An input of a model.
#[derive(Clone, PartialEq, Debug)]
pub enum Sequence {
    /// Token ids.
    Tokens(Vec<u16>),
    /// Frames, `[seq, n_features]`.
    Frames(Vec<f32>),
}

impl Sequence {
    /// Its first positions.
    pub fn begin(&self, positions: usize, n_features: usize) -> Sequence {
        match self {
            Sequence::Tokens(tokens) => Sequence::Tokens(tokens[..positions.min(tokens.len())].to_vec()),
            Sequence::Frames(frames) => Sequence::Frames(frames[..(positions * n_features).min(frames.len())].to_vec()),
        }
    }

    /// Outputs of the float reference: one for each position, or with a pooling one.
    ///
    /// # Errors
    /// As of [`Reference::forward`].
    pub fn expected(
        &self,
        reference: &Reference,
        observe: &mut Observe<'_>,
    ) -> Result<Vec<Vec<f64>>, thumbformer_reference::Error> {
        match self {
            Sequence::Tokens(tokens) => {
                let ids: Vec<u32> = tokens.iter().map(|&token| token.into()).collect();
                reference.forward(&ids, observe)
            }
            Sequence::Frames(frames) => {
                let frames = frames.chunks(reference.config().n_features.max(1));
                let frames: Vec<Vec<f64>> = frames.map(double).collect();
                reference.forward_frames(&frames, observe)
            }
        }
    }

    /// Outputs of the engine: one for each position of a causal model, else one for each position or with a pooling one.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn found(&self, model: &Model<'_>, observer: &mut impl Observer) -> Result<Vec<Vec<f64>>, Error> {
        let dims = model.dims();
        let length = match self {
            Sequence::Tokens(tokens) => tokens.len() + model.dims().n_class,
            // A stream needs no more than its window.
            Sequence::Frames(_) => dims.max_seq,
        };
        let mut state = HostState::new(dims, length.clamp(1, dims.max_seq));
        let mut session = model.session(state.memory());
        let mut found = Vec::new();
        match self {
            Sequence::Tokens(tokens) if dims.options.mask == Mask::Causal => {
                for &token in tokens {
                    found.push(double(session.observe(&mut *observer).decode(token)?));
                }
            }
            Sequence::Frames(frames) if dims.options.mask == Mask::Causal => {
                for frame in frames.chunks_exact(dims.n_features.max(1)) {
                    found.push(double(session.observe(&mut *observer).push(frame)?));
                }
            }
            _ => {
                let inputs = match self {
                    Sequence::Tokens(tokens) => thumbformer::Inputs::from(&tokens[..]),
                    Sequence::Frames(frames) => thumbformer::Inputs::from(&frames[..]),
                };
                let session = session.observe(observer);
                if dims.options.pooling == Pooling::None {
                    session.infer_each(inputs, None, |_, outputs| found.push(double(outputs)))?;
                } else {
                    found.push(double(session.infer(inputs)?));
                }
            }
        }
        Ok(found)
    }
}

fn double(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

/// Index of the largest of several outputs.
pub fn likeliest(outputs: &[f64]) -> usize {
    let mut best = 0;
    for (index, output) in outputs.iter().enumerate() {
        if *output > outputs[best] {
            best = index;
        }
    }
    best
}

/// The results of all items, computed on all processors; in the items' order, so that a sum of floats does not depend on their speed.
///
/// # Errors
/// The first of the work's.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(usize, &T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<Vec<(usize, R)>> {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return Ok(done) };
            done.push((index, work(index, item)?));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let results: Vec<Result<Vec<(usize, R)>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| bail!("a worker panicked"))).collect()
    });
    let mut done = results.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect::<Vec<_>>();
    ensure!(done.len() == items.len(), "a worker ended early");
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
