//! ViT: a pre-LN encoder of the patches of a picture (Dosovitskiy et al. 2020, "An Image is Worth 16x16 Words").
//!
//! A frame is a patch, flattened as `[channel, row, column]`; patches follow each other row by row. The output is
//! read from the class token: the classifier's, or without one the normalised vector itself.

use std::path::Path;

use serde_json::Value;
use thumbformer::{Activation, Input, Options, Pooling, Positions, Tensor};

use super::{bert, keys};
use crate::names::{Bias, Row, read};
use crate::settings::Settings;
use crate::weights::WeightsFile;
use crate::{Checkpoint, Config, Error};

/// Keys of its own that do not change the computation: dropout; the decoder of masked patches and the pooler, whose tensors are refused.
const SILENT: [&str; 5] =
    ["attention_probs_dropout_prob", "hidden_dropout_prob", "encoder_stride", "pooler_act", "pooler_output_size"];

/// Reads a folder of ViT.
pub(crate) fn load(folder: &Path, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    let (channels, side) = (settings.size_or("num_channels", 3)?, settings.size_or("patch_size", 16)?);
    let n_features = channels * side * side;
    let qkv = Bias::of(settings.flag("qkv_bias", Some(true))?);
    let mut config = config(&settings, side, n_features)?;

    let file = WeightsFile::read(folder)?;
    let mut reader = file.reader()?;
    let d = config.d_model;
    let prefix = reader.prefix("vit");
    let row = |tensor, name: &str| Row::new(tensor, format!("{prefix}{name}"), Bias::Required);
    let layer = |tensor, name: &str, bias| Row::new(tensor, format!("{prefix}encoder.layer.#.{name}"), bias);
    let alone = |tensor, name: &str| Row::alone(tensor, format!("{prefix}embeddings.{name}"));
    let mut rows = vec![
        // A convolution whose stride is its width reads every patch once, like a matrix.
        row(Tensor::Embedding, "embeddings.patch_embeddings.projection").shape(vec![d, channels, side, side]),
        alone(Tensor::ClassToken, "cls_token").shape(vec![1, 1, d]),
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
    rows.extend(bert::head(&reader, &mut config)?);
    if config.options.head {
        config.labels = settings.id2label(config.n_outputs)?;
        config.options.outputs = settings.problem_type(config.n_outputs)?;
    }
    let tensors = read(&mut reader, &config, &rows)?;
    keys::finish(&settings)?;
    reader.finish(&[])?;
    Ok(Checkpoint::new(folder, "vit", config, tensors))
}

fn config(settings: &Settings, side: usize, n_features: usize) -> Result<Config, Error> {
    keys::check(settings, &SILENT)?;
    let image = settings.size_or("image_size", 224)?;
    if image < side {
        let next = "correct config.json; it must be the one that the model was trained with";
        return Err(settings.error("image_size", image, format!("at least patch_size ({side})"), next));
    }
    let patches = (image / side).pow(2);
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
    config.n_class = 1;
    config.max_seq = patches + 1;
    config.norm_eps = settings.positive("layer_norm_eps", Some(1e-12))? as f32;
    Ok(config)
}
