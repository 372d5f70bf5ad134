//! The decoder of Karpathy's lecture "Let's build GPT" (`gpt.py` of `ng-video-lecture`): a head is a module of its own, and the tensors
//! tell all sizes. A pre-LN decoder with ReLU. Its first versions scale scores by another root than the later ones, with the same tensors:
//! `attention_scale` in a `config.json` says which.

use std::path::Path;

use serde_json::Value;
use thumbformer::{Activation, Norm, Options, Positions, Tensor};

use crate::names::{Bias, Row, Source, read};
use crate::settings::Settings;
use crate::weights::{Reader, WeightsFile};
use crate::{Checkpoint, Config, Error};

/// Name of the architecture.
pub(crate) const NAME: &str = "nanogpt-lecture";

/// End of a tensor's name that every head has.
pub(crate) const MARK: &str = "sa.heads.0.query.weight";

/// Reads tensors; `value`, where there is one, has only what is not the lecture's.
pub(crate) fn load(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    for key in ["architecture", "model_type"] {
        settings.text(key)?;
    }
    let mut reader = file.reader();
    let count = |start: &str, end: &str| {
        reader.iter_names().filter(|name| name.starts_with(start) && name.ends_with(end)).count()
    };
    let (n_layers, n_heads) = (count("blocks.", MARK), count("blocks.0.sa.heads.", ".query.weight"));
    let table = reader.shape("token_embedding_table.weight")?;
    let d_model = table.last().copied().unwrap_or(0).max(1);
    let mut options = Options::LLAMA;
    options.norm = Norm::Layer;
    options.gated = false;
    options.positions = Positions::Table;
    options.activation = Activation::Relu;
    let head_dim = reader.rows("blocks.0.sa.heads.0.query.weight", d_model)?;
    let mut config = Config::new(options, d_model, n_heads, head_dim);
    config.n_layers = n_layers;
    config.vocab = reader.rows("token_embedding_table.weight", d_model)?;
    config.n_outputs = config.vocab;
    config.max_seq = reader.rows("position_embedding_table.weight", d_model)?;
    config.d_ff = reader.rows("blocks.0.ffwd.net.0.weight", d_model)?;
    config.norm_eps = settings.positive("layer_norm_eps", Some(1e-5))? as f32;
    let root = |width: usize| 1.0 / (width as f64).sqrt();
    if settings.get("attention_scale").is_none() {
        let (later, first) = (root(head_dim), root(d_model));
        let expected = format!(
            "{later} where your code has head_size**-0.5, {first} where it has C**-0.5: the tensors do not tell"
        );
        let next = "put it into a config.json beside the file, as {\"attention_scale\": …}";
        return Err(Settings::new(&settings.path.with_file_name("config.json"), Value::Null).error(
            "attention_scale",
            "absent",
            expected,
            next,
        ));
    }
    config.attention_scale = settings.positive("attention_scale", None)?;
    settings.check(&config)?;
    settings.no_others()?;
    let row = |tensor, name: &str, bias| Row::new(tensor, name, bias);
    let rows = [
        row(Tensor::Embedding, "token_embedding_table", Bias::Absent),
        row(Tensor::PositionTable, "position_embedding_table", Bias::Absent),
        row(Tensor::AttentionNorm, "blocks.#.ln1", Bias::Required),
        row(Tensor::Query, "blocks.#.sa.heads.@.query", Bias::AsInFile).heads(n_heads),
        row(Tensor::Key, "blocks.#.sa.heads.@.key", Bias::AsInFile).heads(n_heads),
        row(Tensor::Value, "blocks.#.sa.heads.@.value", Bias::AsInFile).heads(n_heads),
        row(Tensor::AttentionOutput, "blocks.#.sa.proj", Bias::AsInFile),
        row(Tensor::MlpNorm, "blocks.#.ln2", Bias::Required),
        row(Tensor::Up, "blocks.#.ffwd.net.0", Bias::AsInFile),
        row(Tensor::Down, "blocks.#.ffwd.net.2", Bias::AsInFile),
        row(Tensor::FinalNorm, "ln_f", Bias::Required),
        row(Tensor::Head, "lm_head", Bias::AsInFile),
    ];
    let tensors = read(&mut reader, &config, &rows)?;
    check_masks(&mut reader, &config)?;
    reader.finish(&[])?;
    Ok(Checkpoint::new(file.source(), NAME, config, tensors))
}

/// Checks the masks that heads save: they must be those of a decoder.
fn check_masks(reader: &mut Reader<'_>, config: &Config) -> Result<(), Error> {
    for layer in 0..config.n_layers {
        for head in 0..config.n_heads {
            let name = format!("blocks.{layer}.sa.heads.{head}.tril");
            if !reader.has(&name) {
                continue;
            }
            let size = config.max_seq;
            let mask = reader.take(&name, &[size, size])?;
            let is_causal =
                mask.data.iter().enumerate().all(|(i, &x)| x == if i % size <= i / size { 1.0 } else { 0.0 });
            if !is_causal {
                return Err(Error::UnknownFormat {
                    path: reader.path.clone(),
                    found: format!("tensor `{name}` is no lower triangle of ones, as a decoder's mask is"),
                    next: "write the weights in this project's own layout, with the mask as a setting".into(),
                });
            }
        }
    }
    Ok(())
}
