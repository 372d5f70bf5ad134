//! OPT: decoders with ReLU and a table of positions (Zhang et al. 2022, "OPT: Open Pre-trained Transformer Language Models").
//!
//! The table's first two rows belong to no position. The smallest model but one has its norms after the branches.

use std::path::Path;

use serde_json::Value;
use thumbformer::{Activation, Norm, NormPlace, Options, Positions, Tensor};

use super::{heads, keys};
use crate::names::{Bias, Row, read};
use crate::settings::Settings;
use crate::weights::WeightsFile;
use crate::{Checkpoint, Config, Error, Tensors, Weights, specials};

/// Keys of its own that do not change the computation.
const SILENT: [&str; 4] = ["dropout", "layerdrop", "init_std", "is_decoder"];

/// Rows of the table of positions in front of that of position 0.
const OFFSET: usize = 2;

/// Reads a folder whose `config.json` is `value`.
pub(crate) fn load(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    let mut config = config(&settings)?;
    let is_removed = settings.flag("_remove_final_layer_norm", Some(false))?;
    let has_final_norm = config.options.norm_place == NormPlace::Pre && !is_removed;
    let bias = Bias::of(settings.flag("enable_bias", Some(true))?);
    let has_gains = settings.flag("layer_norm_elementwise_affine", Some(true))?;
    let tied = settings.flag("tie_word_embeddings", Some(true))?;

    let mut reader = file.reader();
    let prefix = reader.before("embed_tokens.weight", "model.decoder.");
    let layer = |tensor, name: &str, bias| Row::new(tensor, format!("{prefix}layers.#.{name}"), bias);
    let mut rows = vec![
        Row::new(Tensor::Embedding, format!("{prefix}embed_tokens"), Bias::Absent),
        Row::new(Tensor::PositionTable, format!("{prefix}embed_positions"), Bias::Absent).offset(OFFSET),
        layer(Tensor::Query, "self_attn.q_proj", bias),
        layer(Tensor::Key, "self_attn.k_proj", bias),
        layer(Tensor::Value, "self_attn.v_proj", bias),
        layer(Tensor::AttentionOutput, "self_attn.out_proj", bias),
        layer(Tensor::Up, "fc1", bias),
        layer(Tensor::Down, "fc2", bias),
    ];
    if has_gains {
        rows.push(layer(Tensor::AttentionNorm, "self_attn_layer_norm", Bias::Required));
        rows.push(layer(Tensor::MlpNorm, "final_layer_norm", Bias::Required));
    }
    if has_gains && has_final_norm {
        rows.push(Row::new(Tensor::FinalNorm, format!("{prefix}final_layer_norm"), Bias::Required));
    }
    rows.extend(heads::decoder(&settings, &reader, &mut config, &["ForCausalLM"], tied)?);
    let mut tensors = read(&mut reader, &config, &rows)?;
    if !has_gains {
        add_unit_gains(&config, &mut tensors, has_final_norm);
    }
    heads::check_tied(&settings, &mut reader, &config, &tensors)?;
    keys::finish(&settings)?;
    reader.finish(&[])?;
    Ok(Checkpoint::new(file.source(), "opt", config, tensors))
}

/// Adds the gains of norms that have none.
pub(super) fn add_unit_gains(config: &Config, tensors: &mut Tensors, has_final_norm: bool) {
    let gain = || Weights { name: "1".into(), shape: vec![config.d_model], data: vec![1.0; config.d_model] };
    for layer in 0..config.n_layers {
        tensors.insert(Tensor::AttentionNorm, layer, gain());
        tensors.insert(Tensor::MlpNorm, layer, gain());
    }
    if has_final_norm {
        tensors.insert(Tensor::FinalNorm, 0, gain());
    }
}

fn config(settings: &Settings) -> Result<Config, Error> {
    keys::check(settings, &SILENT)?;
    let (d_model, n_heads) = (settings.size("hidden_size")?, settings.size("num_attention_heads")?);
    let head_dim = settings.head_dim(("hidden_size", d_model), ("num_attention_heads", n_heads))?;
    let expected = format!("{d_model}, as hidden_size: the embedding is not projected");
    settings.only("word_embed_proj_dim", &[d_model.into()], &expected)?;
    let mut options = Options::LLAMA;
    options.norm = Norm::Layer;
    options.gated = false;
    options.positions = Positions::Table;
    options.mask = keys::mask(settings)?;
    options.norm_place =
        if settings.flag("do_layer_norm_before", Some(true))? { NormPlace::Pre } else { NormPlace::Post };
    options.activation = settings.activation("activation_function", Some(Activation::Relu))?;
    let mut config = Config::new(options, d_model, n_heads, head_dim);
    config.n_layers = settings.size("num_hidden_layers")?;
    config.d_ff = settings.size("ffn_dim")?;
    config.vocab = settings.size("vocab_size")?;
    config.n_outputs = config.vocab;
    config.max_seq = settings.size("max_position_embeddings")?;
    specials::read_ids(settings, "opt", &mut config)?;
    settings.check(&config)?;
    Ok(config)
}
