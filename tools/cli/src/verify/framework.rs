//! The float reference against outputs of the user's own framework: a wrong config or importer is found here, and nowhere else, as the
//! image is made of the same config.
//!
//! ```text
//! checkpoint ──► Reference ──► streams, logits ─┐
//! framework ──► hidden states, logits ──────────┴─► decibels, first point where they part ──► settings under which they agree
//! ```

use super::expected::Expected;
use super::suspects::suspects;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::fmt::Write as _;
use thumbformer::{Mask, Pooling};
use thumbformer_checkpoint::{Checkpoint, Tensor};
use thumbformer_reference::Reference;
use thumbformer_reference::metrics::{Sqnr, log_softmax};

/// Minimum ratio of a framework's signal to its difference from the reference, in decibels.
pub const BOUND: f64 = 80.0;
/// A ratio that single precision gives: below it, a small setting such as an epsilon may still differ.
const SINGLE: f64 = 125.0;
/// Gain in decibels by which another setting is proved to be the right one: rounding is not explained by a setting.
const PROOF: f64 = 10.0;
/// Positions of a causal model that the settings are tried over: later ones cost time and say nothing else.
const TRIED: usize = 128;

/// Distance of a framework's outputs from the float reference's.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Agreement {
    /// Ratio of the outputs, in decibels.
    pub logits: f64,
    /// Ratios at the points that are given, in the order of the computation.
    pub points: Vec<Ratio>,
    /// Settings under which they agree better, with their ratio; only where the agreement leaves something to be explained.
    pub settings: Vec<Ratio>,
    /// Function of the outputs that the framework's outputs are, where they are not the outputs themselves.
    pub function: Option<Ratio>,
}

/// A ratio in decibels.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Ratio {
    /// The point or the setting.
    pub name: String,
    /// The ratio.
    pub decibels: f64,
}

impl Agreement {
    /// Compares the reference of a checkpoint with a framework.
    ///
    /// # Errors
    /// When the reference refuses a sequence, or a point is not the network's.
    pub fn of(checkpoint: &Checkpoint, expected: &[Expected]) -> Result<Agreement> {
        let Compared { logits, points, function } = compare(checkpoint, expected)?;
        let mut settings = Vec::new();
        if function.is_none() && least(logits, &points) < SINGLE {
            let first: Vec<Expected> = expected.iter().take(1).map(|first| begin(checkpoint, first)).collect();
            let tried =
                |checkpoint: &Checkpoint| compare(checkpoint, &first).map(|found| least(found.logits, &found.points));
            let proof = (tried(checkpoint)? + PROOF).max(BOUND);
            let better =
                |(name, other)| Some(Ratio { name, decibels: tried(&other).ok().filter(|&found| found >= proof)? });
            settings.extend(suspects(checkpoint).into_iter().filter_map(better));
            settings.sort_by(|a, b| b.decibels.total_cmp(&a.decibels));
            settings.truncate(3);
        }
        Ok(Agreement { logits, points, settings, function })
    }

    /// Fails where the config or the importer differs from the framework.
    ///
    /// # Errors
    /// With the first point that differs, and the setting that would agree, if one is found.
    pub fn check(&self) -> Result<()> {
        let first = self.points.iter().find(|point| point.decibels.is_nan() || point.decibels < BOUND);
        let agrees = self.logits >= BOUND && first.is_none() && self.settings.is_empty();
        if agrees {
            return Ok(());
        }
        if let Some(Ratio { name, decibels }) = &self.function {
            anyhow::bail!(
                "the expected outputs are the {name} of the network's outputs ({decibels:.1} dB), which an image gives without it: save the \
                 numbers before the {name}, the logits"
            );
        }
        let mut text = format!(
            "config or importer differ from the framework: the float reference has {:.1} dB of its outputs",
            self.logits
        );
        if self.logits < BOUND {
            write!(text, ", at least {BOUND} dB")?;
        }
        match first {
            Some(first) => write!(text, "; they part first at {}, {:.1} dB", first.name, first.decibels)?,
            None if self.points.is_empty() => {
                text += "; with hidden states (`hidden`) in the file the first layer where they part is named"
            }
            None => text += "; all points that are given agree: the difference is after them",
        }
        match &self.settings[..] {
            [] => text += "; no single setting explains it: compare config.json with the training script",
            [best, others @ ..] => {
                write!(text, "; with {} they agree, {:.1} dB", best.name, best.decibels)?;
                for other in others {
                    write!(text, "; with {}, {:.1} dB", other.name, other.decibels)?;
                }
                text += ": correct config.json or the exported tensors";
            }
        }
        Err(anyhow::anyhow!(text))
    }
}

/// The least of the ratios: another setting has to explain them all.
fn least(logits: f64, points: &[Ratio]) -> f64 {
    points.iter().map(|point| point.decibels).fold(logits, f64::min)
}

/// The beginning of a long sequence of a causal model.
fn begin(checkpoint: &Checkpoint, expected: &Expected) -> Expected {
    let options = &checkpoint.config.options;
    let mut begin = expected.clone();
    if options.mask == Mask::Causal && options.pooling == Pooling::None && begin.outputs.len() > TRIED {
        begin.input = begin.input.begin(TRIED, checkpoint.config.n_features);
        begin.outputs.truncate(TRIED);
        begin.hidden.iter_mut().for_each(|stream| stream.truncate(TRIED * checkpoint.config.d_model));
        begin.points.clear();
    }
    begin
}

/// A point of the framework, the points of the reference that it may be, and their ratios.
struct Held {
    name: String,
    may_be: Vec<(String, Sqnr)>,
}

/// Ratios of the outputs and of the points.
struct Compared {
    logits: f64,
    points: Vec<Ratio>,
    function: Option<Ratio>,
}

/// Function of an output vector.
type Function = fn(&[f64]) -> Vec<f64>;

/// Functions that frameworks have behind the last layer.
const FUNCTIONS: [(&str, Function); 2] = [
    ("softmax", |logits| log_softmax(logits).iter().map(|log| log.exp()).collect()),
    ("sigmoid", |logits| logits.iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect()),
];

fn compare(checkpoint: &Checkpoint, expected: &[Expected]) -> Result<Compared> {
    let mut every = checkpoint.clone();
    if every.config.options.mask == Mask::Causal && expected.iter().any(|expected| expected.outputs.len() > 1) {
        every.config.options.pooling = Pooling::None;
    }
    let reference = Reference::new(&every);
    let mut held = points(checkpoint, expected);
    let (mut logits, mut order) = (Sqnr::default(), Vec::<String>::new());
    let mut functions = FUNCTIONS.map(|(name, function)| (name, function, Sqnr::default()));
    for (index, expected) in expected.iter().enumerate() {
        let wanted = |held: &Held| match held.name.strip_prefix("hidden[").and_then(|rest| rest.strip_suffix(']')) {
            Some(number) => number.parse::<usize>().ok().and_then(|number| expected.hidden.get(number)).cloned(),
            None => expected.points.iter().find(|(name, _)| *name == held.name).map(|(_, values)| values.clone()),
        };
        let mut wrong = None;
        let mut observe = |point: &str, found: &[f64]| {
            if index == 0 {
                order.push(point.into());
            }
            for held in &mut held {
                let values = wanted(held);
                for (_, sqnr) in held.may_be.iter_mut().filter(|(name, _)| name == point) {
                    match &values {
                        Some(values) if values.len() == found.len() => sqnr.add(values, found),
                        // Of another number of heads.
                        Some(values) if point.ends_with("scores") => sqnr.add(values, &vec![0.0; values.len()]),
                        Some(values) => wrong = Some((held.name.clone(), values.len(), found.len())),
                        None => {}
                    }
                }
            }
        };
        let found =
            expected.input.expected(&reference, &mut observe).with_context(|| format!("sequence {}", index + 1))?;
        if let Some((name, found, expected)) = wrong {
            anyhow::bail!("{name} has {found} numbers, the network has {expected} there: give the same sequence's");
        }
        let found = if expected.outputs.len() == 1 { &found[found.len() - 1..] } else { &found[..] };
        ensure!(
            found.len() == expected.outputs.len(),
            "{} outputs, the network gives {}",
            expected.outputs.len(),
            found.len()
        );
        for (expected, found) in expected.outputs.iter().zip(found) {
            logits.add(expected, found);
            functions.iter_mut().for_each(|(_, function, sqnr)| sqnr.add(expected, &function(found)));
        }
    }
    let place = |name: &str| order.iter().position(|seen| seen == name);
    let mut ratios = Vec::new();
    for held in held {
        let seen = held.may_be.iter().filter_map(|(name, sqnr)| Some((place(name)?, name, sqnr.decibels())));
        let best = seen
            .max_by(|a, b| a.2.total_cmp(&b.2))
            .with_context(|| format!("the network has no point {:?}", held.name))?;
        let name = if *best.1 == held.name { held.name } else { format!("{} ({})", held.name, best.1) };
        ratios.push((best.0, Ratio { name, decibels: best.2 }));
    }
    ratios.sort_by_key(|(place, _)| *place);
    let logits = logits.decibels();
    let of = |(name, _, sqnr): (&str, _, Sqnr)| Ratio { name: name.into(), decibels: sqnr.decibels() };
    let function = functions.into_iter().map(of).find(|function| logits < BOUND && function.decibels >= BOUND);
    Ok(Compared { logits, points: ratios.into_iter().map(|(_, ratio)| ratio).collect(), function })
}

/// The points that a framework gives.
fn points(checkpoint: &Checkpoint, expected: &[Expected]) -> Vec<Held> {
    let Some(first) = expected.first() else { return Vec::new() };
    let layers = checkpoint.config.n_layers;
    let hidden = (0..first.hidden.len()).map(|index| {
        let may_be = match index {
            // Before or after a norm that follows the embedding.
            0 => vec!["embedding".into(), "embedding_norm".into()],
            // transformers shows the last stream of some networks after the final norm.
            _ if index == layers => vec![format!("layers.{}.output", index - 1), "final_norm".into()],
            _ => vec![format!("layers.{}.output", index - 1)],
        };
        let norm = checkpoint.tensors.has(Tensor::EmbeddingNorm);
        let may_be = may_be.into_iter().filter(|name: &String| name != "embedding_norm" || norm);
        Held { name: format!("hidden[{index}]"), may_be: may_be.map(|name| (name, Sqnr::default())).collect() }
    });
    let named =
        first.points.iter().map(|(name, _)| Held { name: name.clone(), may_be: vec![(name.clone(), Sqnr::default())] });
    hidden.chain(named).collect()
}
