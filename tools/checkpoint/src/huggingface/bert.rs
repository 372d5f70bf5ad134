//! BERT and DistilBERT: post-LN encoders (Devlin et al. 2018, "BERT"; Sanh et al. 2019, "DistilBERT").
//!
//! The tensors determine the outputs: with pooler and classifier one output for a sequence, read from its first token; with a
//! classifier alone an output for every token; with neither every token's vector. A sequence is one segment: the vector of
//! token type 0 is added to every position's.

use std::path::Path;

use serde_json::Value;
use thumbformer::{Activation, Input, NormPlace, Options, Pooler, Pooling, Positions, Tensor};

use super::keys;
use crate::names::{Bias, Row, Source, read};
use crate::settings::Settings;
use crate::weights::{Reader, WeightsFile};
use crate::{Checkpoint, Config, Error, Tensors};

/// Keys of their own that do not change the computation: dropout; how a table of positions was initialised, which is read as it is; the tie
/// of a head that is not read; what Google's first files say.
const SILENT: [&str; 15] = [
    "attention_probs_dropout_prob",
    "hidden_dropout_prob",
    "classifier_dropout",
    "dropout",
    "qa_dropout",
    "seq_classif_dropout",
    "sinusoidal_pos_embds",
    "tie_word_embeddings",
    "tie_weights_",
    "directionality",
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
    "pooler_type",
];

/// Differences between the two.
struct Names {
    model_type: &'static str,
    /// Keys of `config.json`: `d_model`, layers, heads, `d_ff`, activation.
    keys: [&'static str; 5],
    /// Prefix of the names of a layer's tensors.
    layer: &'static str,
    tensors: [(Tensor, &'static str); 8],
    /// Its function in `options`, and its tensors.
    pooler: (Pooler, &'static str),
}

const BERT: Names = Names {
    model_type: "bert",
    keys: ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"],
    layer: "encoder.layer.#.",
    tensors: [
        (Tensor::Query, "attention.self.query"),
        (Tensor::Key, "attention.self.key"),
        (Tensor::Value, "attention.self.value"),
        (Tensor::AttentionOutput, "attention.output.dense"),
        (Tensor::AttentionNorm, "attention.output.LayerNorm"),
        (Tensor::Up, "intermediate.dense"),
        (Tensor::Down, "output.dense"),
        (Tensor::MlpNorm, "output.LayerNorm"),
    ],
    pooler: (Pooler::Tanh, "bert.pooler.dense"),
};

const DISTILBERT: Names = Names {
    model_type: "distilbert",
    keys: ["dim", "n_layers", "n_heads", "hidden_dim", "activation"],
    layer: "transformer.layer.#.",
    tensors: [
        (Tensor::Query, "attention.q_lin"),
        (Tensor::Key, "attention.k_lin"),
        (Tensor::Value, "attention.v_lin"),
        (Tensor::AttentionOutput, "attention.out_lin"),
        (Tensor::AttentionNorm, "sa_layer_norm"),
        (Tensor::Up, "ffn.lin1"),
        (Tensor::Down, "ffn.lin2"),
        (Tensor::MlpNorm, "output_layer_norm"),
    ],
    pooler: (Pooler::Relu, "pre_classifier"),
};

/// Reads a folder of BERT.
pub(crate) fn load_bert(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    load(&BERT, file, Settings::new(path, value))
}

/// Reads a folder of DistilBERT.
pub(crate) fn load_distilbert(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    load(&DISTILBERT, file, Settings::new(path, value))
}

fn load(names: &Names, file: &WeightsFile, settings: Settings) -> Result<Checkpoint, Error> {
    let mut config = config(names, &settings)?;
    let mut reader = file.reader();
    let prefix = reader.prefix(names.model_type);
    let row = |tensor, name: &str| Row::new(tensor, format!("{prefix}{name}"), Bias::Required);
    let mut rows = vec![
        row(Tensor::Embedding, "embeddings.word_embeddings"),
        row(Tensor::PositionTable, "embeddings.position_embeddings"),
        row(Tensor::EmbeddingNorm, "embeddings.LayerNorm"),
    ];
    rows.extend(names.tensors.map(|(tensor, name)| row(tensor, &format!("{}{name}", names.layer))));
    rows.extend(head(&reader, &mut config)?);
    if config.options.head {
        config.labels = settings.id2label(config.n_outputs)?;
    }
    if config.options.head && reader.has(&format!("{}.weight", names.pooler.1)) {
        (config.options.pooling, config.options.pooler) = (Pooling::Class, names.pooler.0);
        config.options.outputs = settings.problem_type(config.n_outputs)?;
        rows.push(Row::new(Tensor::Pooler, names.pooler.1, Bias::Required));
    }
    let mut tensors = read(&mut reader, &config, &rows)?;
    if names.model_type == "bert" {
        add_types(&settings, &mut reader, &prefix, &mut tensors)?;
    }
    keys::finish(&settings)?;
    reader.finish(&["embeddings.position_ids"])?;
    Ok(Checkpoint::new(file.source(), names.model_type, config, tensors))
}

fn config(names: &Names, settings: &Settings) -> Result<Config, Error> {
    let absolute = "absolute: positions are a table";
    settings.only("position_embedding_type", &["absolute".into()], absolute)?;
    settings.only("is_decoder", &[false.into()], "false: every token sees all of them")?;
    settings.only("is_causal", &[false.into()], "false: every token sees all of them")?;
    keys::check(settings, &SILENT)?;
    let [width, layers, heads, hidden, activation] = names.keys;
    let (d_model, n_heads) = (settings.size(width)?, settings.size(heads)?);
    let head_dim = settings.head_dim((width, d_model), (heads, n_heads))?;
    let mut options = Options::ENCODER;
    options.norm_place = NormPlace::Post;
    options.input = Input::Tokens;
    options.positions = Positions::Table;
    options.activation = settings.activation(activation, Some(Activation::Gelu))?;
    let mut config = Config::new(options, d_model, n_heads, head_dim);
    config.n_layers = settings.size(layers)?;
    config.d_ff = settings.size(hidden)?;
    config.vocab = settings.size("vocab_size")?;
    config.max_seq = settings.size("max_position_embeddings")?;
    config.norm_eps = settings.positive("layer_norm_eps", Some(1e-12))? as f32;
    config.bos = settings.ids("bos_token_id")?.first().copied();
    config.eos = settings.ids("eos_token_id")?;
    settings.check(&config)?;
    Ok(config)
}

/// Adds BERT's vector of token type 0 to every row of the table of positions.
fn add_types(settings: &Settings, reader: &mut Reader<'_>, prefix: &str, tensors: &mut Tensors) -> Result<(), Error> {
    let Some(table) = tensors.get_mut(Tensor::PositionTable, 0) else { return Ok(()) };
    let (width, types) = (table.shape[1], settings.size_or("type_vocab_size", 2)?);
    let types = reader.take(&format!("{prefix}embeddings.token_type_embeddings.weight"), &[types, width])?;
    for row in table.data.chunks_mut(width) {
        row.iter_mut().zip(&types.data).for_each(|(position, kind)| *position += kind);
    }
    Ok(())
}

/// The classifier, whose number of rows is that of the outputs.
pub(super) fn head(reader: &Reader<'_>, config: &mut Config) -> Result<Option<Row>, Error> {
    if !reader.has("classifier.weight") {
        return Ok(None);
    }
    config.options.head = true;
    config.n_outputs = reader.rows("classifier.weight", config.d_model)?;
    Ok(Some(Row::new(Tensor::Head, "classifier", Bias::Required)))
}
