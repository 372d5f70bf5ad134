//! Reader of a `config.json`, key by key; every error names the key, the value and the accepted values.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use thumbformer::{Activation, DenseActivation, Input, Mask, Outputs, Pooling, Positions};

use crate::{Config, Error};

/// Larger than any dimension of a model for a microcontroller, small enough that no product overflows 64 bits.
pub(crate) const LARGEST: usize = 1 << 20;

/// Next step after a number or word that describes no network.
pub(crate) const NEXT: &str = "correct config.json; it must be the one that the model was trained with";

/// Names of `pooling`.
pub(crate) const POOLINGS: [(&str, Pooling); 7] = [
    ("none", Pooling::None),
    ("class", Pooling::Class),
    ("mean", Pooling::Mean),
    ("last", Pooling::Last),
    ("mean_of_inputs", Pooling::MeanOfInputs),
    ("mean_of_class", Pooling::MeanOfClass),
    ("classes", Pooling::Classes),
];

/// Names of `outputs`.
pub(crate) const OUTPUTS: [(&str, Outputs); 3] =
    [("classes", Outputs::Classes), ("labels", Outputs::Labels), ("numbers", Outputs::Numbers)];

/// Keys and values of a file, with a record of the keys that were read. `null` counts as absent.
pub(crate) struct Settings {
    pub(crate) path: PathBuf,
    /// Path of the object in its file, in front of every key.
    within: &'static str,
    map: Map<String, Value>,
    used: RefCell<BTreeSet<String>>,
}

impl Settings {
    /// Settings of a JSON object; any other value has no keys, so that the first required one is reported.
    pub(crate) fn new(path: &Path, value: Value) -> Self {
        Self::within(path, "", value)
    }

    /// Settings of an object inside a file's object.
    pub(crate) fn within(path: &Path, within: &'static str, value: Value) -> Self {
        let map = if let Value::Object(map) = value { map } else { Map::new() };
        Self { path: path.into(), within, map, used: RefCell::default() }
    }

    pub(crate) fn error(&self, key: &str, found: impl ToString, expected: impl ToString, next: &str) -> Error {
        Error::Setting {
            path: self.path.clone(),
            key: format!("{}{key}", self.within),
            found: found.to_string(),
            expected: expected.to_string(),
            next: next.into(),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.used.borrow_mut().insert(key.into());
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// True if the key is present, even with `null`.
    pub(crate) fn mentions(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    fn absent(&self, key: &str, expected: impl ToString) -> Error {
        self.error(key, "absent", expected, "add what the model was trained with to config.json")
    }

    /// A count: 1 to [`LARGEST`].
    pub(crate) fn size(&self, key: &str) -> Result<usize, Error> {
        let expected = format!("a whole number from 1 to {LARGEST}");
        let value = self.get(key).ok_or_else(|| self.absent(key, &expected))?;
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.filter(|size| (1..=LARGEST).contains(size)).ok_or_else(|| self.error(key, value, expected, NEXT))
    }

    /// A size, or a list of sizes.
    pub(crate) fn widths(&self, key: &str) -> Result<Vec<usize>, Error> {
        let Some(Value::Array(widths)) = self.get(key) else { return Ok(vec![self.size(key)?]) };
        let size = |value: &Value| value.as_u64().and_then(|size| usize::try_from(size).ok());
        let sizes = widths.iter().map(|value| size(value).filter(|size| (1..=LARGEST).contains(size)));
        let expected = format!("whole numbers from 1 to {LARGEST}");
        sizes.collect::<Option<_>>().ok_or_else(|| self.error(key, Value::Array(widths.clone()), expected, NEXT))
    }

    pub(crate) fn size_or(&self, key: &str, default: usize) -> Result<usize, Error> {
        if self.get(key).is_none() { Ok(default) } else { self.size(key) }
    }

    /// A positive number.
    pub(crate) fn positive(&self, key: &str, default: Option<f64>) -> Result<f64, Error> {
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (None, None) => Err(self.absent(key, "a positive number")),
            (Some(value), _) => {
                // The epsilon is stored in f32, where it must not become 0.
                let number = value.as_f64().filter(|&number| number.is_finite() && number as f32 > 0.0);
                number.ok_or_else(|| self.error(key, value, "a positive number", NEXT))
            }
        }
    }

    pub(crate) fn flag(&self, key: &str, default: Option<bool>) -> Result<bool, Error> {
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (None, None) => Err(self.absent(key, "true or false")),
            (Some(value), _) => value.as_bool().ok_or_else(|| self.error(key, value, "true or false", NEXT)),
        }
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.error(key, value, "a text", NEXT))
    }

    /// A text, or a list of texts, at least one; none where the key is absent.
    pub(crate) fn texts(&self, key: &str) -> Result<Vec<&str>, Error> {
        match self.get(key) {
            Some(Value::Array(list)) if !list.is_empty() => {
                let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                texts.ok_or_else(|| self.error(key, Value::Array(list.clone()), "a text, or a list of texts", NEXT))
            }
            Some(Value::Array(_)) => Err(self.error(key, "[]", "a text, or a list of texts", NEXT)),
            _ => Ok(self.text(key)?.into_iter().collect()),
        }
    }

    /// One of several words.
    pub(crate) fn choice<T: Copy>(&self, key: &str, default: Option<T>, words: &[(&str, T)]) -> Result<T, Error> {
        let expected = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (None, None) => Err(self.absent(key, expected())),
            (Some(value), _) => match words.iter().find(|(word, _)| value == word) {
                Some((_, meaning)) => Ok(*meaning),
                None => Err(self.error(key, value, expected(), "train the model with one of them")),
            },
        }
    }

    /// The activation, by its names in transformers.
    pub(crate) fn activation(&self, key: &str, default: Option<Activation>) -> Result<Activation, Error> {
        use Activation::{Gelu, GeluTanh, Relu, Silu};
        let words = [
            ("gelu", Gelu),
            ("gelu_python", Gelu),
            ("gelu_new", GeluTanh),
            ("gelu_fast", GeluTanh),
            ("gelu_accurate", GeluTanh),
            ("gelu_pytorch_tanh", GeluTanh),
            ("gelu_python_tanh", GeluTanh),
            ("relu", Relu),
            ("silu", Silu),
            ("swish", Silu),
        ];
        self.choice(key, default, &words)
    }

    /// The activation of a layer outside the blocks; a network without that layer has no such key.
    pub(crate) fn dense(
        &self,
        key: &str,
        words: &[(&str, DenseActivation)],
        has_layer: bool,
    ) -> Result<DenseActivation, Error> {
        let found = self.choice(key, Some(DenseActivation::None), words)?;
        if found != DenseActivation::None && !has_layer {
            return Err(self.error(
                key,
                "present",
                "absent: there is no layer that it follows",
                "leave it out, or name the layer",
            ));
        }
        Ok(found)
    }

    /// No id, one id, or several.
    pub(crate) fn ids(&self, key: &str) -> Result<Vec<u32>, Error> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids = match value {
            Value::Array(ids) => ids.iter().map(id).collect(),
            one => id(one).map(|id| vec![id]),
        };
        ids.ok_or_else(|| self.error(key, value, "a token id, or several", NEXT))
    }

    /// A name for each output, or none at all.
    pub(crate) fn labels(&self, n_outputs: usize) -> Result<Vec<String>, Error> {
        self.names("labels", n_outputs, "output")
    }

    /// The names of transformers' `id2label`, `{"0": name, …}`; none where they are its defaults, `LABEL_0`.
    pub(crate) fn id2label(&self, n_outputs: usize) -> Result<Vec<String>, Error> {
        let Some(value) = self.get("id2label") else { return Ok(Vec::new()) };
        let name = |index: usize| value.get(index.to_string())?.as_str().filter(|name| !name.contains('\n'));
        let names: Option<Vec<String>> = (0..n_outputs).map(|index| name(index).map(String::from)).collect();
        let expected = format!("{n_outputs} names, one for each output, by their numbers");
        let next = "correct config.json, or leave id2label out";
        let complete = names.filter(|_| value.as_object().is_some_and(|names| names.len() == n_outputs));
        let names = complete.ok_or_else(|| self.error("id2label", value, expected, next))?;
        let is_default = names.iter().enumerate().all(|(index, name)| *name == format!("LABEL_{index}"));
        Ok(if is_default { Vec::new() } else { names })
    }

    /// The meaning of a classifier's outputs: transformers' `problem_type`, or as it guesses it at training where the key is absent.
    pub(crate) fn problem_type(&self, n_outputs: usize) -> Result<Outputs, Error> {
        let guessed = if n_outputs == 1 { Outputs::Numbers } else { Outputs::Classes };
        let words = [
            ("regression", Outputs::Numbers),
            ("single_label_classification", Outputs::Classes),
            ("multi_label_classification", Outputs::Labels),
        ];
        self.choice("problem_type", Some(guessed), &words)
    }

    /// So many names, or none at all.
    fn names(&self, key: &str, count: usize, of: &str) -> Result<Vec<String>, Error> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let name = |value: &Value| value.as_str().filter(|name| !name.contains('\n')).map(String::from);
        let names: Option<Vec<String>> = value.as_array().and_then(|names| names.iter().map(name).collect());
        let expected = format!("{count} names, one for each {of}");
        let next = "correct config.json, or leave the names out";
        names.filter(|names| names.len() == count).ok_or_else(|| self.error(key, value, expected, next))
    }

    /// Columns, samples and hop of a sensor's frames; a convolution's kernel and stride may say the last two.
    pub(crate) fn sensor(&self, config: &mut Config, window: Option<(usize, usize)>) -> Result<(), Error> {
        let keys = ["columns", "frame_samples", "frame_hop"];
        if config.options.input != Input::Frames {
            // Of frames only: anywhere else the keys stay unread, and are refused as unknown.
            return Ok(());
        }
        if self.get("front_end").is_some() && self.get(keys[1]).is_none() && window.is_none() {
            // The front end's numbers say the samples of a frame, and are held to the hop.
            return Ok(());
        }
        let (kernel, stride) = window.unzip();
        let samples = self.size_or(keys[1], kernel.unwrap_or(1))?;
        if !config.n_features.is_multiple_of(samples) {
            let expected = format!("a divisor of the {} numbers of a frame", config.n_features);
            return Err(self.error(keys[1], samples, expected, NEXT));
        }
        config.frame_samples = samples;
        config.frame_hop = self.size_or(keys[2], stride.unwrap_or(samples))?;
        if config.frame_hop > samples {
            let expected = format!("at most the samples of a frame ({samples}): every sample is in one");
            let key = if window.is_some() { "embedding_stride" } else { keys[2] };
            return Err(self.error(key, config.frame_hop, expected, NEXT));
        }
        config.columns = self.names(keys[0], config.n_features / samples, "column of a sample")?;
        Ok(())
    }

    /// The width of a sliding window, only under a causal mask.
    pub(crate) fn sliding_window(&self, mask: Mask) -> Result<Option<usize>, Error> {
        if self.get("sliding_window").is_none() {
            return Ok(None);
        }
        if mask != Mask::Causal {
            let next = "make the mask causal, or leave the window out";
            return Err(self.error("sliding_window", "present", "absent: the mask is not causal", next));
        }
        self.size("sliding_window").map(Some)
    }

    /// Refuses a value that would change the computation; the key may be absent.
    pub(crate) fn only(&self, key: &str, accepted: &[Value], expected: &str) -> Result<(), Error> {
        match self.get(key) {
            Some(found) if !accepted.contains(found) => {
                Err(self.error(key, found, expected, "train the model without it"))
            }
            _ => Ok(()),
        }
    }

    /// Reports all missing keys at once.
    pub(crate) fn require(&self, keys: &[&str], why: &str) -> Result<(), Error> {
        let missing: Vec<&str> = keys.iter().filter(|key| !self.mentions(key)).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(self.error(&missing.join("`, `"), "absent", why, "add what the model was trained with to config.json"))
    }

    /// Keys that were not read, and their values.
    pub(crate) fn unread(&self) -> impl Iterator<Item = (&String, &Value)> {
        let used = self.used.borrow().clone();
        self.map.iter().filter(move |(key, _)| !used.contains(*key))
    }

    /// Refuses the keys that were not read: a misspelt option would silently change the network.
    pub(crate) fn no_others(&self) -> Result<(), Error> {
        let used = self.used.borrow();
        match self.map.keys().find(|key| !used.contains(*key)) {
            None => Ok(()),
            Some(key) => {
                let known = used.iter().cloned().collect::<Vec<_>>().join(", ");
                Err(self.error(key, &self.map[key], format!("one of the keys {known}"), "correct or remove it"))
            }
        }
    }

    /// `width / heads`, or an error when it is not whole.
    pub(crate) fn head_dim(&self, width: (&str, usize), heads: (&str, usize)) -> Result<usize, Error> {
        if width.1.is_multiple_of(heads.1) {
            return Ok(width.1 / heads.1);
        }
        Err(self.error(width.0, width.1, format!("a multiple of {} ({})", heads.0, heads.1), NEXT))
    }

    /// Refuses numbers and options that describe no network, by the names of this project's own layout.
    pub(crate) fn check(&self, config: &Config) -> Result<(), Error> {
        let wrong = |key: &str, found: &dyn std::fmt::Debug, expected: &str| {
            Err(self.error(key, format!("{found:?}"), expected, NEXT))
        };
        if !config.n_heads.is_multiple_of(config.n_kv_heads) {
            return wrong("n_heads", &config.n_heads, &format!("a multiple of n_kv_heads ({})", config.n_kv_heads));
        }
        if config.options.positions == Positions::Rotary && !config.head_dim.is_multiple_of(2) {
            return wrong("head_dim", &config.head_dim, "an even number: rotary positions turn pairs");
        }
        let (pooling, n_class) = (config.options.pooling, config.n_class);
        let causal = config.options.mask == Mask::Causal;
        if causal && !matches!(pooling, Pooling::None | Pooling::Last) {
            return wrong("pooling", &pooling, "none or last: under a causal mask no vector sees the whole sequence");
        }
        match pooling {
            Pooling::None | Pooling::Last if n_class > 0 => {
                let expected = format!("absent: pooling = {pooling:?} reads no class token");
                wrong("class_token", &n_class, &expected)
            }
            Pooling::MeanOfInputs | Pooling::MeanOfClass | Pooling::Classes if n_class == 0 => {
                wrong("pooling", &pooling, "class, mean, last or none: the network has no class token (`class_token`)")
            }
            _ => Ok(()),
        }
    }

    /// Refuses ids beyond the vocabulary, which a file that is written by hand has by mistake.
    pub(crate) fn check_ids(&self, config: &Config) -> Result<(), Error> {
        let below = format!("below the vocabulary of {}", config.vocab);
        match config.bos.iter().chain(&config.eos).find(|id| **id as usize >= config.vocab) {
            Some(id) => Err(self.error("bos_token_id, eos_token_id", id, &below, NEXT)),
            None => Ok(()),
        }
    }
}
