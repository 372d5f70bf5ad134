//! The network in training: its matrices are rounded from floats, which are trained.

use super::latent::Latent;
use super::math::softmax;
use super::network::Network;
use super::rows::{Gradients, Rows};
use crate::quantize::{Quantized, STAGES, rounded};
use anyhow::{Context, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use thumbformer::Tensor;
use thumbformer_checkpoint::{Checkpoint, Weights};

/// The network in training, and the floats that its matrices are rounded from.
pub(super) struct Student {
    network: Network,
    latents: Vec<(usize, Tensor, Latent)>,
    /// The plainly rounded matrices at the start; a matrix of zeros is not trained.
    plain: Quantized,
    /// Number of weights of each trained matrix.
    sizes: Vec<usize>,
    threads: usize,
}

impl Student {
    /// The checkpoint's network, plainly rounded.
    pub(super) fn new(checkpoint: &Checkpoint, threads: usize) -> Result<Student> {
        let plain = rounded(checkpoint)?;
        let (latents, sizes) = (Vec::new(), Vec::new());
        let mut student = Student { network: Network::new(checkpoint), latents, plain, sizes, threads };
        for index in 0..checkpoint.config.n_layers {
            for &tensor in STAGES.iter().flat_map(|(_, tensors)| *tensors) {
                // A matrix that has no int4 form, or is zero, is not trained.
                let Some(int4) = student.plain.get(index, tensor).filter(|int4| int4.scale > 0.0) else { continue };
                let (Some(linear), Some(Weights { data, .. })) =
                    (student.network.linear_mut(index, tensor), checkpoint.tensors.get(tensor, index))
                else {
                    continue;
                };
                linear.slot = Some(student.latents.len());
                student.sizes.push(data.len());
                student.latents.push((index, tensor, Latent::new(data, int4)));
            }
        }
        student.round();
        Ok(student)
    }

    /// Copies the rounded weights into the network.
    fn round(&mut self) {
        for (layer, tensor, latent) in &self.latents {
            if let Some(linear) = self.network.linear_mut(*layer, *tensor) {
                linear.set(latent.rounded());
            }
        }
    }

    /// One step of training.
    pub(super) fn step(&mut self, teacher: &Network, windows: &[&[u16]], step: usize, rate: f32) -> Result<()> {
        let gradients = self.gradients(teacher, windows)?;
        for ((_, _, latent), gradient) in self.latents.iter_mut().zip(&gradients) {
            latent.step(gradient, step, rate);
        }
        self.round();
        Ok(())
    }

    /// Gradients of the mean divergence over the windows.
    pub(super) fn gradients(&self, teacher: &Network, windows: &[&[u16]]) -> Result<Gradients> {
        let tokens: usize = windows.iter().map(|window| window.len()).sum();
        let parts = in_order(self.threads, windows, |window| {
            let mut gradients: Gradients = self.sizes.iter().map(|&size| vec![0.0; size]).collect();
            let (logits, tape) = self.network.forward(window);
            let (wanted, mut found) = (probabilities(teacher.forward(window).0), probabilities(logits));
            // The gradient of the divergence by the logits.
            for (found, wanted) in found.data.iter_mut().zip(&wanted.data) {
                *found = (*found - wanted) / tokens as f32;
            }
            self.network.backward(&tape, &found, &mut gradients);
            gradients
        })?;
        let mut parts = parts.into_iter();
        let mut sum = parts.next().unwrap_or_default();
        for part in parts {
            let both = sum.iter_mut().flatten().zip(part.into_iter().flatten());
            both.for_each(|(sum, part)| *sum += part);
        }
        Ok(sum)
    }

    /// Mean divergence of the rounded network from the float one, in nats.
    pub(super) fn divergence(&self, teacher: &Network, windows: &[&[u16]]) -> Result<f64> {
        let sums = in_order(self.threads, windows, |window| {
            let wanted = probabilities(teacher.forward(window).0);
            divergence(&wanted, &probabilities(self.network.forward(window).0))
        })?;
        Ok(sums.iter().sum::<f64>() / windows.iter().map(|window| window.len()).sum::<usize>() as f64)
    }

    pub(super) fn quantized(&self) -> Quantized {
        let trained = self.latents.iter().map(|(layer, tensor, latent)| ((*layer, *tensor), latent.int4()));
        Quantized { matrices: self.plain.matrices.clone().into_iter().chain(trained).collect() }
    }
}

fn probabilities(mut logits: Rows) -> Rows {
    logits.iter_mut().for_each(softmax);
    logits
}

/// Sum over positions of the divergence of the found logits from the wanted ones.
fn divergence(wanted: &Rows, found: &Rows) -> f64 {
    let smallest = f64::from(f32::MIN_POSITIVE);
    let term = |(&wanted, &found): (&f32, &f32)| {
        let (wanted, found) = (f64::from(wanted).max(smallest), f64::from(found).max(smallest));
        wanted * (wanted / found).ln()
    };
    wanted.data.iter().zip(&found.data).map(term).sum()
}

/// A result for every window, computed by `threads` threads, in the windows' order.
fn in_order<T: Send>(threads: usize, windows: &[&[u16]], of: impl Fn(&[u16]) -> T + Sync) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(window) = windows.get(index) else { return done };
            done.push((index, of(window)));
        }
    };
    let mut all = Vec::with_capacity(windows.len());
    std::thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..threads.clamp(1, windows.len().max(1))).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            all.extend(worker.join().ok().context("a worker panicked")?);
        }
        Ok(())
    })?;
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, part)| part).collect())
}
