//! State dicts of `torch.nn.TransformerEncoder`, or of one `nn.TransformerEncoderLayer`, saved as
//! `model.safetensors`. Settings that the tensors do not tell are in a `config.json` beside them; nothing is guessed.
//!
//! | key | value |
//! | --- | --- |
//! | `architecture` | `"nn.TransformerEncoder"`; may be absent |
//! | `nhead`, `norm_first` | as given to `nn.TransformerEncoderLayer` |
//! | `activation` | `"relu"`, `"gelu"` (PyTorch's default, by `erf`), `"gelu_tanh"` or `"silu"` |
//! | `mask` | `"causal"` or `"bidirectional"` |
//! | `input` | `"tokens"` or `"frames"` |
//! | `embedding` | name of the `nn.Embedding` (tokens), `nn.Linear` or `nn.Conv1d` (frames); `null`: frames are the stream |
//! | `embedding_stride`, `embedding_padding` | as given to the `nn.Conv1d`, padding 0; required with one |
//! | `embedding_batch_norm`, `batch_norm_eps` | name of an `nn.BatchNorm1d` behind the embedding of frames, and its epsilon; absent: none, 1e-5 |
//! | `embedding_activation` | activation behind those, as `head_activation`; absent: none |
//! | `positions` | name of the table, learned or sinusoidal, `[max_seq, d_model]` with any dimensions of 1; `null`: none |
//! | `pooling` | input of the head: `"none"` (every vector), `"class"` (the first class token's or token's), `"mean"` (of all, class tokens included), `"last"`, `"mean_of_inputs"` (without class tokens), `"mean_of_class"` (of class tokens), or `"classes"` (class tokens' vectors, one after the other) |
//! | `head` | name of the `nn.Linear`; a list of names for an MLP; the embedding's name for a tied one; `null`: none |
//! | `head_norm` | name of an `nn.LayerNorm` between pooling and head; absent: none |
//! | `head_activation` | between the layers of an MLP: `"relu"`, `"gelu"`, `"gelu_tanh"`, `"silu"` or `"tanh"`; required with one |
//! | `outputs` | `"classes"` (one is right), `"labels"` (any number of them) or `"numbers"`; absent: classes |
//! | `max_seq` | longest sequence, class tokens included; may be absent where `positions` is a table |
//! | `class_token` | name of the vector before the sequence, or of several; absent: none |
//! | `class_place` | `"first"`, or `"last"`: class tokens stand after the sequence; absent: first |
//! | `embedding_norm` | name of an `nn.LayerNorm` between embedding and encoder; absent: none |
//! | `embedding_scale` | factor of the embedding, often `sqrt(d_model)`; absent: 1 |
//! | `encoder` | name of the encoder, where the tensors have several |
//! | `layer_norm_eps` | absent: 1e-5, PyTorch's default |
//! | `labels` | names of the outputs; absent: none |
//! | `front_end` | audio front end whose frames the network reads: a preset's name or an object, see `crate::front_end`; absent: none |
//! | `columns` | names of the columns of a sensor's recordings, as `"ax (g)"`; absent: none |
//! | `frame_samples`, `frame_hop` | samples of the sensor that make a frame, one after the other, and those from one frame to the next; absent: 1, and frames do not overlap |
//! | `bos_token_id`, `eos_token_id` | a token id, or several that end a text; absent: none |
//!
//! The order is: embedding, batch norm, activation, scale, class token, positions, norm, encoder (with its `norm`, if it has one),
//! pooling, norm, head.

mod ends;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use thumbformer::{Activation, Mask, NormPlace, Options, Tensor};

use crate::names::{Bias, QKV, Row, Source, read};
use crate::settings::{POOLINGS, Settings};
use crate::weights::{Reader, WeightsFile};
use crate::{Checkpoint, Config, Error, Tensors, front_end};

/// The value of `architecture` in `config.json`.
pub(crate) const NAME: &str = "nn.TransformerEncoder";

/// End of a tensor's name that every layer has.
pub(crate) const MARK: &str = "self_attn.in_proj_weight";

/// Keys that must be present, `null` if they do not apply.
const REQUIRED: [&str; 9] =
    ["nhead", "norm_first", "activation", "mask", "input", "embedding", "positions", "pooling", "head"];

/// Facts that the tensors tell.
struct Encoder {
    /// Prefix of the names, before `layers.N.` or before the parts of a single layer.
    prefix: String,
    n_layers: usize,
    /// True for a single layer, false for an encoder of layers.
    single: bool,
    bias: Bias,
    d_model: usize,
    d_ff: usize,
}

/// Reads a folder whose `config.json` is `value`.
pub(crate) fn load(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    settings.text("architecture")?;
    settings.require(&REQUIRED, "what tensors do not tell: a value, or null for a part that the model lacks")?;
    let mut reader = file.reader();
    let encoder = Encoder::find(&settings, &reader)?;
    let mut config = encoder.config(&settings)?;
    let mut rows = encoder.rows(&reader);
    let mut made = Tensors::default();
    let (row, window) = ends::embedding(&settings, &mut reader, &mut config, &mut made)?;
    rows.extend(row);
    ends::positions(&settings, &mut reader, &mut config, &mut made)?;
    ends::class_tokens(&settings, &mut reader, &mut config, &mut made)?;
    let norm = settings.text("embedding_norm")?;
    rows.extend(norm.map(|name| Row::new(Tensor::EmbeddingNorm, name, Bias::AsInFile)));
    rows.extend(ends::head(&settings, &mut reader, &mut config, &mut made)?);
    config.labels = settings.labels(config.n_outputs)?;
    settings.sensor(&mut config, window)?;
    let front_end = front_end::of_network(&settings, &mut config, window)?;
    settings.check(&config)?;
    settings.check_ids(&config)?;
    let mut tensors = read(&mut reader, &config, &rows)?;
    made.iter().for_each(|(tensor, layer, weights)| tensors.insert(tensor, layer, weights.clone()));
    let constants = ends::fold_batch_norm(&settings, &mut reader, &config, &mut tensors)?;
    settings.no_others()?;
    ends::no_other_convolution(&settings, &reader)?;
    reader.finish(&constants.iter().map(String::as_str).collect::<Vec<_>>())?;
    ends::scale_embedding(&settings, &config, &mut tensors)?;
    if let Some(front_end) = &front_end {
        front_end::fold_mfcc(front_end, &mut config, &mut tensors);
    }
    Ok(Checkpoint { front_end, ..Checkpoint::new(file.source(), NAME, config, tensors) })
}

impl Encoder {
    /// Finds the layers; `encoder` in `config.json` names the encoder, if there are several.
    fn find(settings: &Settings, reader: &Reader<'_>) -> Result<Self, Error> {
        let marks: Vec<&str> = reader.iter_names().filter_map(|name| name.strip_suffix(MARK)).collect();
        let stem = |mark: &str| {
            let parts: Vec<&str> = mark.strip_suffix('.').unwrap_or("").rsplitn(3, '.').collect();
            match parts[..] {
                [number, "layers"] if number.parse::<usize>().is_ok() => (String::new(), false),
                [number, "layers", rest] if number.parse::<usize>().is_ok() => (format!("{rest}."), false),
                _ => (mark.to_string(), true),
            }
        };
        let stems: BTreeSet<(String, bool)> = marks.iter().map(|mark| stem(mark)).collect();
        let named = settings.text("encoder")?;
        let wanted = |prefix: &str| named.is_none_or(|name| prefix.trim_end_matches('.') == name);
        let found: Vec<&(String, bool)> = stems.iter().filter(|(prefix, _)| wanted(prefix)).collect();
        let [(prefix, single)] = found[..] else {
            let all: Vec<String> =
                stems.iter().map(|(prefix, _)| format!("`{}`", prefix.trim_end_matches('.'))).collect();
            let expected = match all.len() {
                0 => format!("tensors named `….layers.N.{MARK}`, found {}", reader.names()),
                _ => format!("one of {}", all.join(", ")),
            };
            let found = named.map_or("absent".into(), |name| format!("`{name}`"));
            return Err(settings.error("encoder", found, expected, "name the encoder as its tensors do"));
        };
        let layers = marks.iter().filter(|mark| stem(mark) == (prefix.clone(), *single)).count();
        let first = if *single { prefix.clone() } else { format!("{prefix}layers.0.") };
        let mark = format!("{first}{MARK}");
        // The whole matrix is in the file, so nothing of this width is too large for the memory.
        let d_model = match reader.shape(&mark)?[..] {
            [rows, columns] if rows == 3 * columns && columns > 0 => columns,
            _ => return Err(reader.wrong_shape(&mark, &[3, 1])),
        };
        Ok(Self {
            n_layers: layers,
            single: *single,
            bias: Bias::of(reader.has(&format!("{first}self_attn.in_proj_bias"))),
            d_model,
            d_ff: reader.rows(&format!("{first}linear1.weight"), d_model)?,
            prefix: prefix.clone(),
        })
    }

    fn config(&self, settings: &Settings) -> Result<Config, Error> {
        let n_heads = settings.size("nhead")?;
        let head_dim = settings.head_dim(("d_model of the tensors", self.d_model), ("nhead", n_heads))?;
        let masks = [("causal", Mask::Causal), ("bidirectional", Mask::Bidirectional)];
        let activations = [("relu", Activation::Relu), ("gelu", Activation::Gelu)];
        let more = [("gelu_tanh", Activation::GeluTanh), ("silu", Activation::Silu)];
        let mut options = Options::ENCODER;
        let before = settings.flag("norm_first", None)?;
        options.norm_place = if before { NormPlace::Pre } else { NormPlace::Post };
        options.activation = settings.choice("activation", None, &[activations, more].concat())?;
        options.mask = settings.choice("mask", None, &masks)?;
        options.pooling = settings.choice("pooling", None, &POOLINGS)?;
        let mut config = Config::new(options, self.d_model, n_heads, head_dim);
        config.n_layers = self.n_layers;
        config.d_ff = self.d_ff;
        config.norm_eps = settings.positive("layer_norm_eps", Some(1e-5))? as f32;
        config.bos = settings.ids("bos_token_id")?.first().copied();
        config.eos = settings.ids("eos_token_id")?;
        Ok(config)
    }

    /// Names of the layers' tensors, and of the norm after the layers.
    fn rows(&self, reader: &Reader<'_>) -> Vec<Row> {
        let layer = if self.single { self.prefix.clone() } else { format!("{}layers.#.", self.prefix) };
        let (weight, bias) = (format!("{layer}{MARK}"), format!("{layer}self_attn.in_proj_bias"));
        let named = |tensor, name: &str| Row::new(tensor, format!("{layer}{name}"), self.bias);
        let mut rows = vec![
            Row::pair(Tensor::Query, &weight, &bias).stacked(QKV),
            Row::pair(Tensor::Key, &weight, &bias).stacked(QKV),
            Row::pair(Tensor::Value, &weight, &bias).stacked(QKV),
            named(Tensor::AttentionOutput, "self_attn.out_proj"),
            named(Tensor::AttentionNorm, "norm1"),
            named(Tensor::MlpNorm, "norm2"),
            named(Tensor::Up, "linear1"),
            named(Tensor::Down, "linear2"),
        ];
        let final_norm = format!("{}norm", self.prefix);
        if !self.single && reader.has(&format!("{final_norm}.weight")) {
            rows.push(Row::new(Tensor::FinalNorm, final_norm, Bias::AsInFile));
        }
        rows
    }
}
