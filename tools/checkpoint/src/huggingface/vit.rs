//! ViT: a pre-LN encoder of the patches of a picture (Dosovitskiy et al. 2020, "An Image is Worth 16x16 Words").
//!
//! A frame is a patch, flattened as `[channel, row, column]`; patches follow each other row by row. The output is
//! read from the class token: the classifier's, or without one the normalised vector itself.

use std::path::Path;

use serde_json::Value;

use super::bert;
use crate::assemble::{Network, Parts};
use crate::settings::Settings;
use crate::weights::{Bias, Reader, WeightsFile};
use crate::{Activation, Checkpoint, Config, Error, Input, Layer, Mask, Norm, NormPlace, Pooling, Positions, Tensor};

/// Reads a folder of ViT.
pub(super) fn load(folder: &Path, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    let (channels, side) = (settings.size_or("num_channels", 3)?, settings.size_or("patch_size", 16)?);
    let n_features = channels * side * side;
    let qkv = Bias::of(settings.flag("qkv_bias", Some(true))?);
    let mut config = config(&settings, side, n_features)?;

    let file = WeightsFile::read(folder)?;
    let mut reader = file.reader()?;
    let d = config.d_model;
    let prefix = reader.prefix("vit");
    let projection = format!("{prefix}embeddings.patch_embeddings.projection");
    // A convolution whose stride is its width sees every patch once: a matrix.
    let weight = reader.take(&format!("{projection}.weight"), &[d, channels, side, side])?;
    let bias = reader.take(&format!("{projection}.bias"), &[d])?;
    let class_token = reader.take(&format!("{prefix}embeddings.cls_token"), &[1, 1, d])?;
    let positions = reader.take(&format!("{prefix}embeddings.position_embeddings"), &[1, config.max_seq, d])?;
    let layers =
        (0..config.n_layers).map(|index| layer(&mut reader, &config, qkv, &format!("{prefix}encoder.layer.{index}")));
    let layers = layers.collect::<Result<_, _>>()?;
    let final_norm = reader.affine(&format!("{prefix}layernorm"), &[d], Bias::Required)?;
    let head = bert::head(&mut reader, &mut config)?;
    reader.finish(&[])?;
    let network = Network {
        embedding: (Tensor { shape: vec![d, n_features], ..weight }, Some(bias)),
        class_token: Some(Tensor { shape: vec![d], ..class_token }),
        positions: Some(Tensor { shape: vec![config.max_seq, d], ..positions }),
        embedding_norm: None,
        layers,
        final_norm: Some(final_norm),
        pooler: None,
        head,
    };
    Ok(network.into_checkpoint(folder, "vit", config))
}

fn config(settings: &Settings, side: usize, n_features: usize) -> Result<Config, Error> {
    settings.only("quantization_config", &[], "null: the checkpoint must be in floats")?;
    let image = settings.size_or("image_size", 224)?;
    if image < side {
        let next = "correct config.json; it must be the one that the model was trained with";
        return Err(settings.error("image_size", image, format!("at least patch_size ({side})"), next));
    }
    let patches = (image / side).pow(2);
    let (d_model, n_heads) = (settings.size("hidden_size")?, settings.size("num_attention_heads")?);
    let head_dim = settings.head_dim(("hidden_size", d_model), ("num_attention_heads", n_heads))?;
    Ok(Config {
        d_model,
        n_layers: settings.size("num_hidden_layers")?,
        n_heads,
        n_kv_heads: n_heads,
        head_dim,
        d_ff: settings.size("intermediate_size")?,
        vocab: 0,
        max_seq: patches + 1,
        norm: Norm::Layer,
        norm_place: NormPlace::Pre,
        norm_eps: settings.positive("layer_norm_eps", Some(1e-12))? as f32,
        activation: settings.activation("hidden_act", Some(Activation::GeluErf))?,
        mask: Mask::Bidirectional,
        positions: Positions::Table,
        input: Input::Frames { n_features },
        pooling: Pooling::Class,
        attention_scale: Config::usual_scale(head_dim),
        sliding_window: None,
        n_outputs: d_model,
        labels: Vec::new(),
        tied_head: false,
        bos: None,
        eos: Vec::new(),
    })
}

fn layer(reader: &mut Reader<'_>, config: &Config, qkv: Bias, prefix: &str) -> Result<Layer, Error> {
    let (d, ff) = (config.d_model, config.d_ff);
    let mut take = |part: &str, shape: &[usize], bias| reader.affine(&format!("{prefix}.{part}"), shape, bias);
    Ok(Layer::from(Parts {
        attention_norm: take("layernorm_before", &[d], Bias::Required)?,
        q: take("attention.attention.query", &[d, d], qkv)?,
        k: take("attention.attention.key", &[d, d], qkv)?,
        v: take("attention.attention.value", &[d, d], qkv)?,
        o: take("attention.output.dense", &[d, d], Bias::Required)?,
        mlp_norm: take("layernorm_after", &[d], Bias::Required)?,
        gate: None,
        up: take("intermediate.dense", &[ff, d], Bias::Required)?,
        down: take("output.dense", &[d, ff], Bias::Required)?,
    }))
}
