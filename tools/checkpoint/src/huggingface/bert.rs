//! BERT and its kin: post-LN encoders (Devlin et al. 2018, "BERT"; Sanh et al. 2019, "DistilBERT"; Liu et al. 2019, "RoBERTa"; Clark et
//! al. 2020, "ELECTRA").
//!
//! The class and the tensors determine the outputs: a sequence classifier reads the first token's vector through a pooler, token
//! classifiers and question answering have outputs for every token, a model without a head every token's vector. A sequence is one
//! segment: the vector of token type 0 is added to every position's. RoBERTa's table of positions begins behind that of padding.

use std::path::Path;

use serde_json::Value;
use thumbformer::{
    Activation, DenseActivation, Input, NormPlace, Options, Outputs, Pooler, Pooling, Positions, Tensor,
};

use super::{heads, keys, sentence};
use crate::names::{Bias, Row, Source, read};
use crate::settings::{NEXT, Settings};
use crate::weights::{Reader, WeightsFile};
use crate::{Checkpoint, Config, Error, Tensors, specials};

/// Keys of their own that do not change the computation: dropout; how a table of positions was initialised, which is read as it is; the tie
/// of a head that is not read; what Google's first files say.
const SILENT: [&str; 19] = [
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
    "summary_activation",
    "summary_last_dropout",
    "summary_type",
    "summary_use_proj",
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
    /// Prefix of the names of the model within its classes.
    prefix: &'static str,
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
    prefix: "bert",
};

const ROBERTA: Names =
    Names { model_type: "roberta", pooler: (Pooler::Tanh, "classifier.dense"), prefix: "roberta", ..BERT };

const ELECTRA: Names = Names { model_type: "electra", prefix: "electra", ..BERT };

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
    prefix: "distilbert",
};

/// Reads a folder of BERT.
pub(crate) fn load_bert(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    load(&BERT, file, Settings::new(path, value))
}

/// Reads a folder of DistilBERT.
pub(crate) fn load_distilbert(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    load(&DISTILBERT, file, Settings::new(path, value))
}

/// Reads a folder of RoBERTa or XLM-R, which differ in their tokenizers.
pub(crate) fn load_roberta(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    load(&ROBERTA, file, Settings::new(path, value))
}

/// Reads a folder of ELECTRA.
pub(crate) fn load_electra(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    load(&ELECTRA, file, Settings::new(path, value))
}

fn load(names: &Names, file: &WeightsFile, settings: Settings) -> Result<Checkpoint, Error> {
    let mut config = config(names, &settings)?;
    let offset = positions(names, &settings, &mut config)?;
    let mut reader = file.reader();
    let prefix = reader.prefix(names.prefix);
    let row = |tensor, name: &str| Row::new(tensor, format!("{prefix}{name}"), Bias::Required);
    let mut rows = vec![
        row(Tensor::Embedding, "embeddings.word_embeddings"),
        row(Tensor::PositionTable, "embeddings.position_embeddings").offset(offset),
        row(Tensor::EmbeddingNorm, "embeddings.LayerNorm"),
    ];
    rows.extend(names.tensors.map(|(tensor, name)| row(tensor, &format!("{}{name}", names.layer))));
    rows.extend(head(names, &settings, &reader, &mut config)?);
    let mut tensors = read(&mut reader, &config, &rows)?;
    if names.model_type != "distilbert" {
        add_types(&settings, &mut reader, &prefix, &mut tensors)?;
    }
    let mut notes = Vec::new();
    let pooler = format!("{prefix}pooler.dense");
    let has_pooler = rows.iter().any(|row| row.reads(&pooler));
    let mut constants = vec!["embeddings.position_ids".to_string()];
    if !config.options.head {
        sentence::pool(&settings, &mut config)?;
    }
    if !has_pooler && reader.has(&format!("{pooler}.weight")) {
        constants.extend(["weight", "bias"].map(|part| format!("{pooler}.{part}")));
        let is_bare = !config.options.head && config.options.pooling == Pooling::None;
        let outputs = if is_bare { "outputs are last_hidden_state" } else { "outputs do not go through it" };
        notes.push(format!("{}: the pooler `{pooler}` is left out: the {outputs}", reader.path.display()));
    }
    keys::finish(&settings)?;
    reader.finish(&constants.iter().map(String::as_str).collect::<Vec<_>>())?;
    let architecture = settings.text("model_type")?.unwrap_or(names.model_type);
    Ok(Checkpoint { notes, ..Checkpoint::new(file.source(), architecture, config, tensors) })
}

/// The head's layers, by the tensors and the class.
fn head(names: &Names, settings: &Settings, reader: &Reader<'_>, config: &mut Config) -> Result<Vec<Row>, Error> {
    const NEXT_SENTENCE: &str = "cls.seq_relationship";
    let class = heads::class(settings)?;
    let is = |end: &str| class.is_some_and(|class| class.ends_with(end));
    let (of_tokens, of_sequence) = (is("ForTokenClassification"), is("ForSequenceClassification"));
    if let Some(answers) = heads::answers(reader, config)? {
        return Ok(vec![answers]);
    }
    let hidden = |config: &mut Config, name: &str, activation| {
        config.options.mlp_head = true;
        config.options.head_activation = activation;
        config.head_widths[0] = config.d_model;
        Row::new(Tensor::HeadHidden, name, Bias::Required)
    };
    if reader.has("discriminator_predictions.dense_prediction.weight") {
        let activation = match config.options.activation {
            Activation::Gelu => DenseActivation::Gelu,
            Activation::GeluTanh => DenseActivation::GeluTanh,
            Activation::Relu => DenseActivation::Relu,
            _ => DenseActivation::Silu,
        };
        let layer = hidden(config, "discriminator_predictions.dense", activation);
        (config.options.head, config.options.outputs, config.n_outputs) = (true, Outputs::Labels, 1);
        return Ok(vec![layer, Row::new(Tensor::Head, "discriminator_predictions.dense_prediction", Bias::Required)]);
    }
    for name in ["classifier.out_proj", "classifier", NEXT_SENTENCE] {
        let weight = format!("{name}.weight");
        if !reader.has(&weight) {
            continue;
        }
        if name == NEXT_SENTENCE {
            // Two classes: the second sentence follows the first, or does not.
            (config.options.head, config.n_outputs) = (true, reader.rows(&weight, config.d_model)?);
        } else {
            heads::classifier(settings, reader, config, &weight)?;
        }
        let mut rows = vec![Row::new(Tensor::Head, name, Bias::Required)];
        let (pooler, tensors) = names.pooler;
        if name == "classifier.out_proj" && names.model_type == "electra" {
            // Its class has GELU here, whatever the blocks have.
            rows.push(hidden(config, "classifier.dense", DenseActivation::Gelu));
            config.options.pooling = Pooling::Class;
        } else if of_sequence || !of_tokens && reader.has(&format!("{tensors}.weight")) {
            // A sequence classifier without its pooler is reported as incomplete.
            rows.push(Row::new(Tensor::Pooler, tensors, Bias::Required));
            (config.options.pooling, config.options.pooler) = (Pooling::Class, pooler);
        }
        return Ok(rows);
    }
    if of_tokens || of_sequence {
        // Reports that it is missing.
        reader.rows("classifier.weight", config.d_model)?;
    }
    Ok(Vec::new())
}

/// Rows of the table of positions in front of that of position 0, by which the context is shorter.
fn positions(names: &Names, settings: &Settings, config: &mut Config) -> Result<usize, Error> {
    if names.model_type != "roberta" {
        return Ok(0);
    }
    let padding = settings.ids("pad_token_id")?.first().copied();
    let padding = if settings.mentions("pad_token_id") { padding } else { Some(1) };
    let Some(padding) = padding.and_then(|id| usize::try_from(id).ok()) else {
        return Err(settings.error("pad_token_id", "null", "an id: positions begin behind it", NEXT));
    };
    let offset = padding + 1;
    if offset >= config.max_seq {
        let expected = format!("above pad_token_id + 1 ({offset}): positions begin behind it");
        return Err(settings.error("max_position_embeddings", config.max_seq, expected, NEXT));
    }
    config.max_seq -= offset;
    Ok(offset)
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
    config.norm_eps = match names.model_type {
        // Not a key: its class has it as a number.
        "distilbert" => 1e-12,
        _ => settings.positive("layer_norm_eps", Some(1e-12))? as f32,
    };
    if names.model_type == "electra" {
        let expected = format!("{d_model}, as hidden_size: the embedding is not projected");
        let size = settings.size_or("embedding_size", 128)?;
        if size != d_model {
            return Err(settings.error("embedding_size", size, expected, "train the model with it"));
        }
    }
    let architecture = settings.text("model_type")?.unwrap_or(names.model_type);
    specials::read_ids(settings, architecture, &mut config)?;
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
