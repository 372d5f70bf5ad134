//! Names as a training left them, made those of the model: prefixes of wrappers, weight norm, the names of old exporters; adapters
//! that are not yet part of the weights are refused.

use std::collections::BTreeMap;

use super::open::unknown;
use super::{Stored, WeightsFile};
use crate::Error;

/// Prefixes that wrappers put before all names: DataParallel, torch.compile, PEFT, a module around the model.
const PREFIXES: [&str; 4] = ["module.", "_orig_mod.", "base_model.model.", "model."];

/// Names behind `model.` in transformers' own models, whose prefix it is.
const OWN: [&str; 3] = ["embed_tokens.", "encoder.embed_tokens.", "decoder.embed_tokens."];

/// Parts of the names of adapters.
const ADAPTERS: [&str; 5] = [".lora_A.", ".lora_B.", ".lora_embedding_", ".base_layer.", ".lora_magnitude_vector."];

/// Next step with adapters.
pub(super) const MERGE: &str = "make them part of the weights: model = model.merge_and_unload(), then save_pretrained";

/// Ends of the names of a module under weight norm: gain and direction, of the old function and of the new one.
const WEIGHT_NORM: [(&str, &str, &str); 2] = [
    ("weight_g", "weight_v", "weight"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1", "weight"),
];

/// Makes all names plain.
pub(super) fn settle(file: &mut WeightsFile) -> Result<(), Error> {
    let path = file.path().to_path_buf();
    if let Some(name) = file.names().find(|name| ADAPTERS.iter().any(|part| name.contains(part))) {
        return Err(unknown(&path, format!("tensor `{name}` is a LoRA adapter's"), MERGE));
    }
    strip(file);
    fold_weight_norm(file)?;
    if let Some(name) = file.names().find(|name| name.contains("parametrizations.") || name.ends_with(".weight_orig")) {
        let module = name.split(".parametrizations").next().unwrap_or(name).trim_end_matches(".weight_orig");
        let next = format!(
            "bake it into the weight: torch.nn.utils.parametrize.remove_parametrizations(model.{module}, \"weight\"), or torch.nn.utils.remove_spectral_norm(model.{module})"
        );
        return Err(unknown(&path, format!("tensor `{name}` is a weight before its parametrization"), next));
    }
    rename_norms(file);
    Ok(())
}

fn strip(file: &mut WeightsFile) {
    let mut stripped = String::new();
    while let Some(prefix) = PREFIXES.into_iter().find(|prefix| is_common(file, prefix)) {
        let tensors = std::mem::take(&mut file.tensors).into_iter();
        file.tensors = tensors.map(|(name, stored)| (name[prefix.len()..].to_string(), stored)).collect();
        stripped += prefix;
    }
    if !stripped.is_empty() {
        let path = file.path().display();
        let note = format!("{path}: the prefix `{stripped}` of all tensors' names is left out");
        file.notes.push(note);
    }
    file.prefix = stripped;
}

/// True if all names begin with the prefix, and it is not the model's own.
fn is_common(file: &WeightsFile, prefix: &str) -> bool {
    let is_own = |name: &str| OWN.iter().any(|own| name.starts_with(own));
    let mut names = file.names();
    let rest = |name: &str| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && !is_own(rest));
    !file.tensors.is_empty() && names.all(rest)
}

fn fold_weight_norm(file: &mut WeightsFile) -> Result<(), Error> {
    let path = file.path().to_path_buf();
    for (gain, direction, weight) in WEIGHT_NORM {
        let stems: Vec<String> = file.names().filter_map(|name| Some(name.strip_suffix(gain)?.to_string())).collect();
        for stem in stems {
            let (g, v) = (format!("{stem}{gain}"), format!("{stem}{direction}"));
            let (Some(Stored::View(..)), Some(Stored::View(..))) = (file.tensors.get(&g), file.tensors.get(&v)) else {
                continue;
            };
            let (g_shape, v_shape) = (file.tensors[&g].shape(), file.tensors[&v].shape());
            let fits = g_shape.len() == v_shape.len() && g_shape.iter().zip(v_shape).all(|(g, v)| *g == 1 || g == v);
            if !fits && !g_shape.is_empty() {
                let found = format!("tensor `{g}` has shape {g_shape:?}, which does not fit {v_shape:?} of `{v}`");
                return Err(unknown(&path, found, "call torch.nn.utils.remove_weight_norm before saving"));
            }
            if let (Some(g), Some(v)) = (file.tensors.remove(&g), file.tensors.remove(&v)) {
                let folded = Stored::WeightNorm { g: Box::new(g), v: Box::new(v) };
                file.tensors.insert(format!("{stem}{weight}"), folded);
            }
        }
    }
    Ok(())
}

/// `g * v / |v|`, the norm over the dimensions in which `g` has one number.
pub(super) fn weight_norm(g_shape: &[usize], gains: &[f32], v_shape: &[usize], mut values: Vec<f32>) -> Vec<f32> {
    // The place in `g` of each element of `v`.
    let place = |mut index: usize| {
        let (mut place, mut step) = (0, 1);
        for (dimension, &size) in v_shape.iter().enumerate().rev() {
            let wide = g_shape.get(dimension).copied().unwrap_or(1);
            if wide > 1 {
                place += index % size * step;
            }
            step *= wide;
            index /= size.max(1);
        }
        place
    };
    let mut squares = vec![0_f64; gains.len()];
    values.iter().enumerate().for_each(|(index, value)| squares[place(index)] += f64::from(*value).powi(2));
    for (index, value) in values.iter_mut().enumerate() {
        let at = place(index);
        *value = (f64::from(*value) * f64::from(gains[at]) / squares[at].sqrt()) as f32;
    }
    values
}

/// Gain and bias of a norm, which checkpoints that come from TensorFlow call gamma and beta.
fn rename_norms(file: &mut WeightsFile) {
    let tensors = &file.tensors;
    let has = |stem: &str, end: &str| tensors.contains_key(&format!("{stem}{end}"));
    let stems = tensors.keys().filter_map(|name| name.strip_suffix("gamma"));
    let stems: Vec<String> = stems
        .filter(|stem| stem.ends_with('.') && has(stem, "beta") && !has(stem, "weight") && !has(stem, "bias"))
        .map(str::to_string)
        .collect();
    if stems.is_empty() {
        return;
    }
    let mut renamed: BTreeMap<String, Stored> = std::mem::take(&mut file.tensors);
    for stem in &stems {
        for (old, new) in [("gamma", "weight"), ("beta", "bias")] {
            if let Some(stored) = renamed.remove(&format!("{stem}{old}")) {
                renamed.insert(format!("{stem}{new}"), stored);
            }
        }
    }
    file.tensors = renamed;
    let path = file.path().display();
    let note = format!("{path}: `gamma` and `beta` of {} norms are read as their weight and bias", stems.len());
    file.notes.push(note);
}
