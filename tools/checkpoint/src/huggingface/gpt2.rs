//! GPT-2 and nanoGPT: pre-LN decoders (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners").
//!
//! GPT-2's matrices are stored as `[in, out]`, and queries, keys and values as one. nanoGPT (`model_type` =
//! `nanogpt`, weights saved as safetensors) has the same names, `[out, in]`, and biases only if its `bias` says so.

use std::path::Path;

use serde_json::Value;

use crate::assemble::{Affine, Network, Parts, thirds};
use crate::settings::Settings;
use crate::weights::{Bias, Reader, WeightsFile};
use crate::{Activation, Checkpoint, Config, Error, Input, Layer, Mask, Norm, NormPlace, Pooling, Positions, Tensor};

/// Buffers that old exporters saved with the weights: the causal mask.
const CONSTANTS: [&str; 2] = [".attn.bias", ".attn.masked_bias"];

struct Gpt<'a> {
    reader: Reader<'a>,
    config: Config,
    prefix: String,
    bias: Bias,
    /// Matrices are `[in, out]`.
    transposed: bool,
}

/// Reads a folder of GPT-2.
pub(super) fn load_gpt2(folder: &Path, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    for key in ["scale_attn_by_inverse_layer_idx", "add_cross_attention"] {
        settings.only(key, &[false.into()], "false: all layers compute the same")?;
    }
    let position = if settings.mentions("n_positions") { "n_positions" } else { "n_ctx" };
    let mut config = config(&settings, position, Activation::GeluTanh)?;
    if !settings.flag("scale_attn_weights", Some(true))? {
        config.attention_scale = 1.0;
    }
    load(folder, "gpt2", &settings, config, Bias::Required)
}

/// Reads a folder of nanoGPT.
pub(super) fn load_nanogpt(folder: &Path, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    let config = config(&settings, "block_size", Activation::GeluErf)?;
    let bias = Bias::of(settings.flag("bias", None)?);
    load(folder, "nanogpt", &settings, config, bias)
}

fn config(settings: &Settings, max_seq: &str, activation: Activation) -> Result<Config, Error> {
    settings.only("quantization_config", &[], "null: the checkpoint must be in floats")?;
    let (d_model, n_heads) = (settings.size("n_embd")?, settings.size("n_head")?);
    let head_dim = settings.head_dim(("n_embd", d_model), ("n_head", n_heads))?;
    let vocab = settings.size("vocab_size")?;
    let config = Config {
        d_model,
        n_layers: settings.size("n_layer")?,
        n_heads,
        n_kv_heads: n_heads,
        head_dim,
        d_ff: settings.size_or("n_inner", 4 * d_model)?,
        vocab,
        max_seq: settings.size(max_seq)?,
        norm: Norm::Layer,
        norm_place: NormPlace::Pre,
        norm_eps: settings.positive("layer_norm_epsilon", Some(1e-5))? as f32,
        activation: settings.activation("activation_function", Some(activation))?,
        mask: Mask::Causal,
        positions: Positions::Table,
        input: Input::Tokens,
        pooling: Pooling::None,
        attention_scale: Config::usual_scale(head_dim),
        sliding_window: None,
        n_outputs: vocab,
        labels: Vec::new(),
        tied_head: settings.flag("tie_word_embeddings", Some(true))?,
        bos: settings.ids("bos_token_id")?.first().copied(),
        eos: settings.ids("eos_token_id")?,
    };
    settings.check(&config)?;
    Ok(config)
}

fn load(folder: &Path, name: &str, settings: &Settings, config: Config, bias: Bias) -> Result<Checkpoint, Error> {
    let file = WeightsFile::read(folder)?;
    let reader = file.reader()?;
    let prefix = reader.prefix("transformer");
    let mut gpt = Gpt { reader, config, prefix: prefix.clone(), bias, transposed: name == "gpt2" };
    let (d, vocab, max_seq) = (gpt.config.d_model, gpt.config.vocab, gpt.config.max_seq);
    let embedding = gpt.reader.take(&format!("{prefix}wte.weight"), &[vocab, d])?;
    let positions = gpt.reader.take(&format!("{prefix}wpe.weight"), &[max_seq, d])?;
    let layers = (0..gpt.config.n_layers).map(|index| gpt.layer(index)).collect::<Result<_, _>>()?;
    let final_norm = gpt.reader.affine(&format!("{prefix}ln_f"), &[d], bias)?;
    let head = gpt.head(settings, &embedding)?;
    gpt.reader.finish(&CONSTANTS)?;
    let network = Network {
        embedding: (embedding, None),
        class_token: None,
        positions: Some(positions),
        embedding_norm: None,
        layers,
        final_norm: Some(final_norm),
        pooler: None,
        head: head.map(|head| (head, None)),
    };
    Ok(network.into_checkpoint(folder, name, gpt.config))
}

impl Gpt<'_> {
    fn layer(&mut self, index: usize) -> Result<Layer, Error> {
        let (d, ff) = (self.config.d_model, self.config.d_ff);
        let prefix = format!("{}h.{index}", self.prefix);
        let [q, k, v] = thirds(self.matrix(&format!("{prefix}.attn.c_attn"), 3 * d, d)?, d);
        Ok(Layer::from(Parts {
            attention_norm: self.reader.affine(&format!("{prefix}.ln_1"), &[d], self.bias)?,
            q,
            k,
            v,
            o: self.matrix(&format!("{prefix}.attn.c_proj"), d, d)?,
            mlp_norm: self.reader.affine(&format!("{prefix}.ln_2"), &[d], self.bias)?,
            gate: None,
            up: self.matrix(&format!("{prefix}.mlp.c_fc"), ff, d)?,
            down: self.matrix(&format!("{prefix}.mlp.c_proj"), d, ff)?,
        }))
    }

    /// A matrix `[out, in]`, however it is stored.
    fn matrix(&mut self, name: &str, out: usize, input: usize) -> Result<Affine, Error> {
        let shape = if self.transposed { [input, out] } else { [out, input] };
        let weight = self.reader.take(&format!("{name}.weight"), &shape)?;
        let bias = match self.bias {
            Bias::Absent => None,
            Bias::Required => Some(self.reader.take(&format!("{name}.bias"), &[out])?),
        };
        Ok((if self.transposed { transpose(weight) } else { weight }, bias))
    }

    /// A tied head that was written out again must equal the embedding; a sequence classifier reads the last token.
    fn head(&mut self, settings: &Settings, embedding: &Tensor) -> Result<Option<Tensor>, Error> {
        let (d, vocab) = (self.config.d_model, self.config.vocab);
        if self.reader.has("score.weight") {
            let outputs = self.reader.rows("score.weight", d)?;
            (self.config.pooling, self.config.n_outputs, self.config.tied_head) = (Pooling::Last, outputs, false);
            return self.reader.take("score.weight", &[outputs, d]).map(Some);
        }
        if settings.get("architectures").is_some_and(|names| *names == Value::from(vec!["GPT2Model"])) {
            // Saved without a head: the outputs are the vectors that one would read.
            (self.config.tied_head, self.config.n_outputs) = (false, d);
            return Ok(None);
        }
        if !self.config.tied_head {
            return self.reader.take("lm_head.weight", &[vocab, d]).map(Some);
        }
        if self.reader.has("lm_head.weight") && self.reader.take("lm_head.weight", &[vocab, d])?.data != embedding.data
        {
            let found = "true, but `lm_head.weight` differs from the embedding";
            let next = "set it to what the model was trained with";
            return Err(settings.error("tie_word_embeddings", found, "false, or equal tensors", next));
        }
        Ok(None)
    }
}

fn transpose(tensor: Tensor) -> Tensor {
    let [rows, columns] = [tensor.shape[0], tensor.shape[1]];
    let data = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
    Tensor { data: data.map(|index| tensor.data[index]).collect(), shape: vec![columns, rows], name: tensor.name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_matrix_is_cut_into_queries_keys_and_values() {
        let stored = Tensor { name: "c_attn".into(), shape: vec![2, 6], data: (0..12).map(|x| x as f32).collect() };
        let [q, k, v] = thirds((transpose(stored), None), 2).map(|(weight, _)| weight.data);
        assert_eq!((q, k, v), (vec![0., 6., 1., 7.], vec![2., 8., 3., 9.], vec![4., 10., 5., 11.]));
    }
}
