//! Golden vectors, and their comparison with the reference.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use thumbformer_checkpoint::{Checkpoint, Input};
use thumbformer_reference::Reference;

pub const BOUND: f64 = 1e-4;

pub fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(path)
}

pub fn load(path: &str) -> Checkpoint {
    Checkpoint::load(&golden(path), None).unwrap_or_else(|error| panic!("{error}"))
}

/// Tensors by name.
pub struct Vectors {
    bytes: Vec<u8>,
}

impl Vectors {
    pub fn read(path: &str) -> Self {
        Self { bytes: std::fs::read(golden(path)).expect("the vectors are committed") }
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("a safetensors file")
    }

    pub fn get(&self, name: &str) -> Option<Vec<f64>> {
        let view = self.tensors().tensor(name).ok()?;
        let floats = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Some(floats.map(f64::from).collect())
    }

    pub fn names(&self) -> Vec<String> {
        self.tensors().names().into_iter().map(str::to_string).collect()
    }

    pub fn frames(&self, n_features: usize) -> Vec<Vec<f64>> {
        self.get("frames").expect("frames").chunks(n_features).map(<[f64]>::to_vec).collect()
    }

    pub fn tokens(&self) -> Vec<u32> {
        self.get("tokens").expect("tokens").into_iter().map(|id| id as u32).collect()
    }
}

/// Runs the reference and compares every golden point; with `every_point` the vectors must have all points of the reference. `Err`
/// lists the points that differ in the order of the computation: the error is before the first of them.
pub fn compare(checkpoint: &Checkpoint, vectors: &Vectors, every_point: bool) -> Result<f64, String> {
    let mut wrong = String::new();
    let mut seen = vec!["tokens".to_string(), "frames".to_string()];
    let mut worst = 0f64;
    let mut judge = |point: &str, found: &[f64]| {
        seen.push(point.into());
        let Some(expected) = vectors.get(point) else {
            if every_point {
                writeln!(wrong, "{point}: not among the golden vectors").unwrap();
            }
            return;
        };
        let largest = expected.iter().fold(0f64, |max, x| max.max(x.abs()));
        let error = expected.iter().zip(found).fold(0f64, |max, (a, b)| max.max((a - b).abs()));
        let relative = error / largest;
        // `max` passes over NaN, so it is looked for on its own.
        let sound = found.len() == expected.len() && found.iter().all(|x| x.is_finite());
        if !sound || relative > BOUND {
            let lengths = (found.len(), expected.len());
            writeln!(wrong, "{point}: relative error {relative:.2e}, (found, expected) lengths {lengths:?}").unwrap();
        }
        worst = worst.max(relative);
    };
    let reference = Reference::new(checkpoint);
    let logits = match checkpoint.config.options.input {
        Input::Tokens => reference.forward(&vectors.tokens(), &mut judge),
        _ => reference.forward_frames(&vectors.frames(checkpoint.config.n_features), &mut judge),
    };
    let logits = logits.map_err(|error| error.to_string())?;
    // What is returned is what was observed.
    judge("logits", &logits.concat());
    for name in vectors.tensors().names() {
        if !seen.iter().any(|seen| seen == name) {
            writeln!(wrong, "{name}: golden, but not computed").unwrap();
        }
    }
    if wrong.is_empty() { Ok(worst) } else { Err(wrong) }
}
