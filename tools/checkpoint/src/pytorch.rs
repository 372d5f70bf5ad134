//! State dicts of `torch.nn.TransformerEncoder`, or of one `nn.TransformerEncoderLayer`, saved as
//! `model.safetensors`. What cannot be told from tensors stands in a `config.json` beside them; nothing is guessed.
//!
//! | key | value |
//! | --- | --- |
//! | `architecture` | `"nn.TransformerEncoder"`; may be absent |
//! | `nhead`, `norm_first` | as given to `nn.TransformerEncoderLayer` |
//! | `activation` | `"relu"`, `"gelu"` (PyTorch's default, by `erf`), `"gelu_tanh"` or `"silu"` |
//! | `mask` | `"causal"` or `"bidirectional"` |
//! | `input` | `"tokens"` or `"frames"` |
//! | `embedding` | name of the `nn.Embedding` (tokens) or `nn.Linear` (frames); `null`: frames go in as they are |
//! | `positions` | name of the table, learned or sinusoidal, `[max_seq, d_model]` with any dimensions of 1; `null`: none |
//! | `pooling` | what the head reads: `"none"` (every vector), `"class"`, `"mean"` or `"last"` |
//! | `head` | name of the `nn.Linear`, or the embedding's for a tied one; `null`: none |
//! | `max_seq` | longest sequence, class token included; may be absent where `positions` is a table |
//! | `class_token` | name of the vector that stands before the sequence; absent: none |
//! | `embedding_norm` | name of an `nn.LayerNorm` between embedding and encoder; absent: none |
//! | `embedding_scale` | the embedding is multiplied by it, often `sqrt(d_model)`; absent: 1 |
//! | `encoder` | name of the encoder, where the tensors have several |
//! | `layer_norm_eps` | absent: 1e-5, PyTorch's default |
//! | `labels` | names of the outputs; absent: none |
//! | `bos_token_id`, `eos_token_id` | a token id, or several that end a text; absent: none |
//!
//! The order is: embedding, scale, class token, positions, norm, encoder (with its `norm`, if it has one), pooling,
//! head.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::assemble::{Affine, Network, Parts, thirds};
use crate::settings::Settings;
use crate::weights::{Bias, Reader, WeightsFile};
use crate::{Activation, Checkpoint, Config, Error, Input, Layer, Mask, Norm, NormPlace, Pooling, Positions, Tensor};

/// The value of `architecture` in `config.json`.
pub(crate) const NAME: &str = "nn.TransformerEncoder";

/// How the tensor's name ends that every layer has.
pub(crate) const MARK: &str = "self_attn.in_proj_weight";

/// What must be said, if only that it is `null`.
const REQUIRED: [&str; 9] =
    ["nhead", "norm_first", "activation", "mask", "input", "embedding", "positions", "pooling", "head"];

/// What the tensors say.
struct Encoder {
    /// What stands before `layers.N.`, or before the parts of a single layer.
    prefix: String,
    n_layers: usize,
    /// It is a layer, not an encoder of layers.
    single: bool,
    bias: Bias,
    d_model: usize,
    d_ff: usize,
}

/// Reads a folder whose `config.json` is `value`.
pub(crate) fn load(folder: &Path, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    settings.text("architecture")?;
    settings.require(&REQUIRED, "what tensors do not tell: a value, or null for a part that the model lacks")?;
    let file = WeightsFile::read(folder)?;
    let mut reader = file.reader()?;
    let encoder = Encoder::find(&settings, &reader)?;
    let mut config = encoder.config(&settings)?;
    let d = config.d_model;

    let embedding = embedding(&settings, &mut reader, &mut config)?;
    let positions = positions(&settings, &mut reader, &mut config)?;
    let class_token = match settings.text("class_token")? {
        Some(_) if config.pooling != Pooling::Class => {
            return Err(settings.error("class_token", "present", "null: pooling is not class", "set pooling to class"));
        }
        Some(name) => Some(squeezed(&mut reader, name, &[d])?),
        None => None,
    };
    let norm = |reader: &mut Reader<'_>, name: &str| affine(reader, name, &[d]);
    let embedding_norm = match settings.text("embedding_norm")? {
        Some(name) => Some(norm(&mut reader, name)?),
        None => None,
    };
    let layers = (0..config.n_layers).map(|index| encoder.layer(&mut reader, index)).collect::<Result<_, _>>()?;
    let final_norm = format!("{}norm", encoder.prefix);
    let has_final_norm = !encoder.single && reader.has(&format!("{final_norm}.weight"));
    let final_norm = has_final_norm.then(|| norm(&mut reader, &final_norm)).transpose()?;
    let head = head(&settings, &mut reader, &mut config)?;
    config.labels = settings.labels(config.n_outputs)?;
    settings.no_others()?;
    settings.check(&config)?;
    reader.finish(&[])?;
    let network = Network { embedding, class_token, positions, embedding_norm, layers, final_norm, pooler: None, head };
    Ok(network.into_checkpoint(folder, NAME, config))
}

impl Encoder {
    /// Looks for the layers; `encoder` in `config.json` says which ones, if there are several encoders.
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
        // All of the matrix is in the file, so nothing of this width can be too large for the memory.
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
        let pooling =
            [("none", Pooling::None), ("class", Pooling::Class), ("mean", Pooling::Mean), ("last", Pooling::Last)];
        let before = settings.flag("norm_first", None)?;
        let activations = [("relu", Activation::Relu), ("gelu", Activation::GeluErf)];
        let more = [("gelu_tanh", Activation::GeluTanh), ("silu", Activation::Silu)];
        Ok(Config {
            d_model: self.d_model,
            n_layers: self.n_layers,
            n_heads,
            n_kv_heads: n_heads,
            head_dim,
            d_ff: self.d_ff,
            vocab: 0,
            max_seq: 0,
            norm: Norm::Layer,
            norm_place: if before { NormPlace::Pre } else { NormPlace::Post },
            norm_eps: settings.positive("layer_norm_eps", Some(1e-5))? as f32,
            activation: settings.choice("activation", None, &[activations, more].concat())?,
            mask: settings.choice("mask", None, &masks)?,
            positions: Positions::None,
            input: Input::Tokens,
            pooling: settings.choice("pooling", None, &pooling)?,
            attention_scale: Config::usual_scale(head_dim),
            sliding_window: None,
            n_outputs: self.d_model,
            labels: Vec::new(),
            tied_head: false,
            bos: settings.ids("bos_token_id")?.first().copied(),
            eos: settings.ids("eos_token_id")?,
        })
    }

    fn layer(&self, reader: &mut Reader<'_>, index: usize) -> Result<Layer, Error> {
        let (d, ff) = (self.d_model, self.d_ff);
        let prefix = if self.single { self.prefix.clone() } else { format!("{}layers.{index}.", self.prefix) };
        let weight = reader.take(&format!("{prefix}{MARK}"), &[3 * d, d])?;
        let bias = match self.bias {
            Bias::Absent => None,
            Bias::Required => Some(reader.take(&format!("{prefix}self_attn.in_proj_bias"), &[3 * d])?),
        };
        let [q, k, v] = thirds((weight, bias), d);
        let mut take = |part: &str, shape: &[usize]| reader.affine(&format!("{prefix}{part}"), shape, self.bias);
        Ok(Layer::from(Parts {
            q,
            k,
            v,
            o: take("self_attn.out_proj", &[d, d])?,
            attention_norm: take("norm1", &[d])?,
            mlp_norm: take("norm2", &[d])?,
            gate: None,
            up: take("linear1", &[ff, d])?,
            down: take("linear2", &[d, ff])?,
        }))
    }
}

/// A matrix or norm, with its bias if the file has one.
fn affine(reader: &mut Reader<'_>, name: &str, shape: &[usize]) -> Result<Affine, Error> {
    let bias = Bias::of(reader.has(&format!("{name}.bias")));
    reader.affine(name, shape, bias)
}

/// A tensor that may have dimensions of 1 beyond those of `shape`, as batches have.
fn squeezed(reader: &mut Reader<'_>, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
    let found = reader.shape(name)?;
    let plain = |sizes: &[usize]| sizes.iter().copied().filter(|&size| size != 1).collect::<Vec<_>>();
    let asked = if plain(&found) == plain(shape) { found.as_slice() } else { shape };
    Ok(Tensor { shape: shape.into(), ..reader.take(name, asked)? })
}

/// The embedding of tokens or frames. Without one, frames are the stream: the matrix is the identity.
fn embedding(settings: &Settings, reader: &mut Reader<'_>, config: &mut Config) -> Result<Affine, Error> {
    let d = config.d_model;
    let tokens = settings.choice("input", None, &[("tokens", true), ("frames", false)])?;
    let scale = settings.positive("embedding_scale", Some(1.0))?;
    let (mut weight, mut bias) = match settings.text("embedding")? {
        None if tokens => {
            let next = "give the name of the nn.Embedding";
            return Err(settings.error("embedding", "null", "a name: tokens have an embedding", next));
        }
        None => {
            config.input = Input::Frames { n_features: d };
            let data = (0..d * d).map(|index| if index % (d + 1) == 0 { 1.0 } else { 0.0 });
            (Tensor { name: "identity".into(), shape: vec![d, d], data: data.collect() }, None)
        }
        Some(name) if tokens => {
            config.vocab = reader.rows(&format!("{name}.weight"), d)?;
            reader.affine(name, &[config.vocab, d], Bias::Absent)?
        }
        Some(name) => {
            let n_features = reader.columns(&format!("{name}.weight"), d)?;
            config.input = Input::Frames { n_features };
            affine(reader, name, &[d, n_features])?
        }
    };
    if scale != 1.0 {
        let data = weight.data.iter_mut().chain(bias.iter_mut().flat_map(|bias| &mut bias.data));
        data.for_each(|value| *value = (f64::from(*value) * scale) as f32);
    }
    Ok((weight, bias))
}

/// The table of positions, whose length is that of the longest sequence.
fn positions(settings: &Settings, reader: &mut Reader<'_>, config: &mut Config) -> Result<Option<Tensor>, Error> {
    let Some(name) = settings.text("positions")? else {
        config.max_seq = settings.size("max_seq")?;
        return Ok(None);
    };
    let rows = reader.shape(name)?.iter().product::<usize>() / config.d_model;
    config.max_seq = settings.size_or("max_seq", rows)?;
    config.positions = Positions::Table;
    // A table may be longer than the sequences that the model is used for.
    let mut table = squeezed(reader, name, &[rows, config.d_model])?;
    if config.max_seq > rows {
        return Err(settings.error(
            "max_seq",
            config.max_seq,
            format!("at most {rows}, the rows of `{name}`"),
            "give less",
        ));
    }
    table.data.truncate(config.max_seq * config.d_model);
    table.shape[0] = config.max_seq;
    Ok(Some(table))
}

/// The head: `null`, a linear layer, or the embedding's name for a tied one.
fn head(settings: &Settings, reader: &mut Reader<'_>, config: &mut Config) -> Result<Option<Affine>, Error> {
    let Some(name) = settings.text("head")? else { return Ok(None) };
    if config.input == Input::Tokens && settings.text("embedding")? == Some(name) {
        if settings.positive("embedding_scale", Some(1.0))? != 1.0 {
            let next = "export the head as a matrix of its own";
            return Err(settings.error("embedding_scale", "present", "1 with a tied head", next));
        }
        (config.tied_head, config.n_outputs) = (true, config.vocab);
        return Ok(None);
    }
    config.n_outputs = reader.rows(&format!("{name}.weight"), config.d_model)?;
    affine(reader, name, &[config.n_outputs, config.d_model]).map(Some)
}
