//! ViT: a pre-LN encoder of the patches of a picture (Dosovitskiy et al. 2020, "An Image is Worth 16x16 Words"), and DeiT, which has a
//! distillation token beside the class token (Touvron et al. 2020).
//!
//! A frame is a patch, flattened as `[channel, row, column]`; patches follow each other row by row. The output is
//! read from the class token: the classifier's, or without one the normalised vector itself. A DeiT with a teacher has a classifier for
//! each token, and the mean of both is one matrix over both vectors.

use std::path::Path;

use serde_json::Value;
use thumbformer::{Activation, Input, Options, Pooling, Positions, Tensor};

use super::{heads, keys};
use crate::names::{Bias, Row, Source, read};
use crate::settings::{NEXT, Settings};
use crate::weights::{Reader, WeightsFile};
use crate::{Checkpoint, Config, Error, Tensors, Weights};

/// Keys of its own that do not change the computation: dropout; the decoder of masked patches and the pooler, whose tensors are refused.
const SILENT: [&str; 5] =
    ["attention_probs_dropout_prob", "hidden_dropout_prob", "encoder_stride", "pooler_act", "pooler_output_size"];

/// Reads a folder of ViT.
pub(crate) fn load_vit(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    load("vit", &["cls_token"], file, path, value)
}

/// Reads a folder of DeiT.
pub(crate) fn load_deit(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    load("deit", &["cls_token", "distillation_token"], file, path, value)
}

/// Reads a folder of an architecture with these class tokens.
fn load(
    architecture: &str,
    class_tokens: &[&str],
    file: &WeightsFile,
    path: &Path,
    value: Value,
) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    let (channels, patch) = (settings.size_or("num_channels", 3)?, pair(&settings, "patch_size", 16)?);
    let n_features = channels * patch[0] * patch[1];
    let qkv = Bias::of(settings.flag("qkv_bias", Some(true))?);
    let mut config = config(&settings, patch, n_features, class_tokens.len())?;

    let mut reader = file.reader();
    let d = config.d_model;
    let prefix = reader.prefix(architecture);
    let row = |tensor, name: &str| Row::new(tensor, format!("{prefix}{name}"), Bias::Required);
    let layer = |tensor, name: &str, bias| Row::new(tensor, format!("{prefix}encoder.layer.#.{name}"), bias);
    let alone = |tensor, name: &str| Row::alone(tensor, format!("{prefix}embeddings.{name}"));
    let mut rows = vec![
        // A convolution whose stride is its width reads every patch once, like a matrix.
        row(Tensor::Embedding, "embeddings.patch_embeddings.projection").shape(vec![d, channels, patch[0], patch[1]]),
        alone(Tensor::PositionTable, "position_embeddings").shape(vec![1, config.max_seq, d]),
        layer(Tensor::AttentionNorm, "layernorm_before", Bias::Required),
        layer(Tensor::Query, "attention.attention.query", qkv),
        layer(Tensor::Key, "attention.attention.key", qkv),
        layer(Tensor::Value, "attention.attention.value", qkv),
        layer(Tensor::AttentionOutput, "attention.output.dense", Bias::Required),
        layer(Tensor::MlpNorm, "layernorm_after", Bias::Required),
        layer(Tensor::Up, "intermediate.dense", Bias::Required),
        layer(Tensor::Down, "output.dense", Bias::Required),
        row(Tensor::FinalNorm, "layernorm"),
    ];
    let mut made = Tensors::default();
    made.insert(Tensor::ClassToken, 0, tokens(&mut reader, &prefix, class_tokens, d)?);
    if reader.has("classifier.weight") {
        heads::classifier(&settings, &reader, &mut config, "classifier.weight")?;
        rows.push(Row::new(Tensor::Head, "classifier", Bias::Required));
    }
    if architecture == "deit" && reader.has("distillation_classifier.weight") {
        teacher(&mut reader, &mut config, &mut made)?;
        config.labels = settings.id2label(config.n_outputs)?;
        config.options.outputs = settings.problem_type(config.n_outputs)?;
    }
    let mut tensors = read(&mut reader, &config, &rows)?;
    made.iter().for_each(|(tensor, layer, weights)| tensors.insert(tensor, layer, weights.clone()));
    keys::finish(&settings)?;
    let (mut notes, mut constants) = (Vec::new(), Vec::new());
    if reader.has("pooler.dense.weight") {
        constants.extend(["pooler.dense.weight", "pooler.dense.bias"]);
        let left = "the pooler `pooler.dense` is left out: the output is the class token's vector of last_hidden_state";
        notes.push(format!("{}: {left}", reader.path.display()));
    }
    reader.finish(&constants)?;
    Ok(Checkpoint { notes, ..Checkpoint::new(file.source(), architecture, config, tensors) })
}

/// The class tokens, one after the other.
fn tokens(reader: &mut Reader<'_>, prefix: &str, names: &[&str], d: usize) -> Result<Weights, Error> {
    let mut data = Vec::new();
    for name in names {
        data.extend(reader.take(&format!("{prefix}embeddings.{name}"), &[1, 1, d])?.data);
    }
    let shape = if names.len() == 1 { vec![d] } else { vec![names.len(), d] };
    Ok(Weights { name: names.join(", "), shape, data })
}

/// The classifiers of a DeiT with a teacher as one: half of each, side by side.
fn teacher(reader: &mut Reader<'_>, config: &mut Config, made: &mut Tensors) -> Result<(), Error> {
    let (names, d) = (["cls_classifier", "distillation_classifier"], config.d_model);
    let outputs = reader.rows(&format!("{}.weight", names[0]), d)?;
    let mut take = |part: &str, shape: &[usize]| -> Result<[Vec<f32>; 2], Error> {
        let [class, distilled] = names.map(|name| reader.take(&format!("{name}.{part}"), shape));
        Ok([class?.data, distilled?.data])
    };
    let ([class, distilled], biases) = (take("weight", &[outputs, d])?, take("bias", &[outputs])?);
    let rows = class.chunks(d).zip(distilled.chunks(d));
    let weights = rows.flat_map(|(class, distilled)| class.iter().chain(distilled).map(|weight| weight / 2.0));
    let name = names.join(", ");
    made.insert(Tensor::Head, 0, Weights { name: name.clone(), shape: vec![outputs, 2 * d], data: weights.collect() });
    let bias = biases[0].iter().zip(&biases[1]).map(|(class, distilled)| (class + distilled) / 2.0);
    made.insert(Tensor::HeadBias, 0, Weights { name, shape: vec![outputs], data: bias.collect() });
    (config.options.head, config.options.pooling, config.n_outputs) = (true, Pooling::Classes, outputs);
    Ok(())
}

/// Rows and columns, by two numbers or by one for both.
fn pair(settings: &Settings, key: &str, default: usize) -> Result<[usize; 2], Error> {
    if settings.get(key).is_none() {
        return Ok([default; 2]);
    }
    match settings.widths(key)?[..] {
        [both] => Ok([both; 2]),
        [rows, columns] => Ok([rows, columns]),
        ref several => Err(settings.error(key, format!("{several:?}"), "one number, or rows and columns", NEXT)),
    }
}

fn config(settings: &Settings, patch: [usize; 2], n_features: usize, n_class: usize) -> Result<Config, Error> {
    keys::check(settings, &SILENT)?;
    let image = pair(settings, "image_size", 224)?;
    if image[0] < patch[0] || image[1] < patch[1] {
        return Err(settings.error(
            "image_size",
            format!("{image:?}"),
            format!("at least patch_size ({patch:?})"),
            NEXT,
        ));
    }
    let patches = (image[0] / patch[0]) * (image[1] / patch[1]);
    let (d_model, n_heads) = (settings.size("hidden_size")?, settings.size("num_attention_heads")?);
    let head_dim = settings.head_dim(("hidden_size", d_model), ("num_attention_heads", n_heads))?;
    let mut options = Options::ENCODER;
    options.input = Input::Frames;
    options.positions = Positions::Table;
    options.pooling = Pooling::Class;
    options.activation = settings.activation("hidden_act", Some(Activation::Gelu))?;
    let mut config = Config::new(options, d_model, n_heads, head_dim);
    config.n_layers = settings.size("num_hidden_layers")?;
    config.d_ff = settings.size("intermediate_size")?;
    config.n_features = n_features;
    config.n_class = n_class;
    config.max_seq = patches + n_class;
    config.norm_eps = settings.positive("layer_norm_eps", Some(1e-12))? as f32;
    Ok(config)
}
