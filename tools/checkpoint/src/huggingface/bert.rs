//! BERT and DistilBERT: post-LN encoders (Devlin et al. 2018, "BERT"; Sanh et al. 2019, "DistilBERT").
//!
//! Which outputs there are follows from the tensors: pooler and classifier (one output for a sequence, read from its
//! first token), classifier alone (an output for every token), neither (every token's vector). A sequence is one
//! segment: the vector of token type 0 is added to every position's.

use std::path::Path;

use serde_json::Value;

use crate::assemble::{Affine, Network, Parts};
use crate::settings::Settings;
use crate::weights::{Bias, Reader, WeightsFile};
use crate::{
    Activation, Checkpoint, Config, Error, Input, Layer, Mask, Norm, NormPlace, Pooler, PoolerActivation, Pooling,
    Positions, Tensor,
};

/// Names of the tensors of a layer, and of the keys of `config.json`.
struct Names {
    model_type: &'static str,
    /// `d_model`, layers, heads, `d_ff`, activation.
    keys: [&'static str; 5],
    layers: &'static str,
    attention: [&'static str; 4],
    norms: [&'static str; 2],
    mlp: [&'static str; 2],
    pooler: (&'static str, PoolerActivation),
}

const BERT: Names = Names {
    model_type: "bert",
    keys: ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"],
    layers: "encoder.layer",
    attention: ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"],
    norms: ["attention.output.LayerNorm", "output.LayerNorm"],
    mlp: ["intermediate.dense", "output.dense"],
    pooler: ("bert.pooler.dense", PoolerActivation::Tanh),
};

const DISTILBERT: Names = Names {
    model_type: "distilbert",
    keys: ["dim", "n_layers", "n_heads", "hidden_dim", "activation"],
    layers: "transformer.layer",
    attention: ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"],
    norms: ["sa_layer_norm", "output_layer_norm"],
    mlp: ["ffn.lin1", "ffn.lin2"],
    pooler: ("pre_classifier", PoolerActivation::Relu),
};

/// Reads a folder of BERT.
pub(super) fn load_bert(folder: &Path, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    load(&BERT, folder, Settings::new(path, value))
}

/// Reads a folder of DistilBERT.
pub(super) fn load_distilbert(folder: &Path, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    load(&DISTILBERT, folder, Settings::new(path, value))
}

fn load(names: &Names, folder: &Path, settings: Settings) -> Result<Checkpoint, Error> {
    let mut config = config(names, &settings)?;
    let file = WeightsFile::read(folder)?;
    let mut reader = file.reader()?;
    let (d, vocab) = (config.d_model, config.vocab);
    let prefix = reader.prefix(names.model_type);
    let embedding = reader.affine(&format!("{prefix}embeddings.word_embeddings"), &[vocab, d], Bias::Absent)?;
    let positions = positions(names, &settings, &mut reader, &prefix, [config.max_seq, d])?;
    let norm = reader.affine(&format!("{prefix}embeddings.LayerNorm"), &[d], Bias::Required)?;
    let layers = (0..config.n_layers)
        .map(|index| layer(names, &mut reader, &config, &format!("{prefix}{}.{index}", names.layers)));
    let layers = layers.collect::<Result<_, _>>()?;
    let head = head(&mut reader, &mut config)?;
    let pooler = match &head {
        Some(_) if reader.has(&format!("{}.weight", names.pooler.0)) => {
            config.pooling = Pooling::Class;
            let (weight, bias) = reader.affine(names.pooler.0, &[d, d], Bias::Required)?;
            Some(Pooler { weight, bias, activation: names.pooler.1 })
        }
        _ => None,
    };
    reader.finish(&["embeddings.position_ids"])?;
    let network = Network {
        embedding,
        class_token: None,
        positions: Some(positions),
        embedding_norm: Some(norm),
        layers,
        final_norm: None,
        pooler,
        head,
    };
    Ok(network.into_checkpoint(folder, names.model_type, config))
}

fn config(names: &Names, settings: &Settings) -> Result<Config, Error> {
    let absolute = "absolute: positions are a table";
    settings.only("position_embedding_type", &["absolute".into()], absolute)?;
    settings.only("is_decoder", &[false.into()], "false: every token sees all of them")?;
    settings.only("add_cross_attention", &[false.into()], "false: there is one sequence")?;
    settings.only("quantization_config", &[], "null: the checkpoint must be in floats")?;
    let [width, layers, heads, hidden, activation] = names.keys;
    let (d_model, n_heads) = (settings.size(width)?, settings.size(heads)?);
    let head_dim = settings.head_dim((width, d_model), (heads, n_heads))?;
    let config = Config {
        d_model,
        n_layers: settings.size(layers)?,
        n_heads,
        n_kv_heads: n_heads,
        head_dim,
        d_ff: settings.size(hidden)?,
        vocab: settings.size("vocab_size")?,
        max_seq: settings.size("max_position_embeddings")?,
        norm: Norm::Layer,
        norm_place: NormPlace::Post,
        norm_eps: settings.positive("layer_norm_eps", Some(1e-12))? as f32,
        activation: settings.activation(activation, Some(Activation::GeluErf))?,
        mask: Mask::Bidirectional,
        positions: Positions::Table,
        input: Input::Tokens,
        pooling: Pooling::None,
        attention_scale: Config::usual_scale(head_dim),
        sliding_window: None,
        n_outputs: d_model,
        labels: Vec::new(),
        tied_head: false,
        bos: settings.ids("bos_token_id")?.first().copied(),
        eos: settings.ids("eos_token_id")?,
    };
    settings.check(&config)?;
    Ok(config)
}

/// The table of positions, with BERT's vector of token type 0 in every row.
fn positions(
    names: &Names,
    settings: &Settings,
    reader: &mut Reader<'_>,
    prefix: &str,
    shape: [usize; 2],
) -> Result<Tensor, Error> {
    let mut table = reader.take(&format!("{prefix}embeddings.position_embeddings.weight"), &shape)?;
    if names.model_type == "bert" {
        let types = settings.size_or("type_vocab_size", 2)?;
        let types = reader.take(&format!("{prefix}embeddings.token_type_embeddings.weight"), &[types, shape[1]])?;
        for row in table.data.chunks_mut(shape[1]) {
            row.iter_mut().zip(&types.data).for_each(|(position, kind)| *position += kind);
        }
    }
    Ok(table)
}

fn layer(names: &Names, reader: &mut Reader<'_>, config: &Config, prefix: &str) -> Result<Layer, Error> {
    let (d, ff) = (config.d_model, config.d_ff);
    let mut take = |part: &str, shape: &[usize]| reader.affine(&format!("{prefix}.{part}"), shape, Bias::Required);
    Ok(Layer::from(Parts {
        q: take(names.attention[0], &[d, d])?,
        k: take(names.attention[1], &[d, d])?,
        v: take(names.attention[2], &[d, d])?,
        o: take(names.attention[3], &[d, d])?,
        attention_norm: take(names.norms[0], &[d])?,
        gate: None,
        up: take(names.mlp[0], &[ff, d])?,
        down: take(names.mlp[1], &[d, ff])?,
        mlp_norm: take(names.norms[1], &[d])?,
    }))
}

/// The classifier, whose rows say how many outputs there are.
pub(super) fn head(reader: &mut Reader<'_>, config: &mut Config) -> Result<Option<Affine>, Error> {
    if !reader.has("classifier.weight") {
        return Ok(None);
    }
    config.n_outputs = reader.rows("classifier.weight", config.d_model)?;
    reader.affine("classifier", &[config.n_outputs, config.d_model], Bias::Required).map(Some)
}
