//! Checkpoint to image: every tensor goes to the writer under the core's name.

use anyhow::{Context, Result, bail};
use std::path::Path;
use thumbformer::image::{ImageWriter, TokenizerKind, TokenizerTables};
use thumbformer::{Dims, Packing, Tensor};
use thumbformer_checkpoint as checkpoint;
use thumbformer_checkpoint::{Activation, Checkpoint, Input, Mask, Norm, NormPlace, Pooling, Positions};

/// What an image is made for.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The context in tokens; `None`: the checkpoint's own.
    pub max_seq: Option<usize>,
    /// The cores that its weights are packed for.
    pub packing: Packing,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { max_seq: None, packing: Packing::Host }
    }
}

/// The packing of a name: `host`, `m4`, `m55`, `m0`, another core or a board of this project.
///
/// # Errors
/// With the names that there are.
pub fn packing(name: &str) -> Result<Packing> {
    let packing = match name.trim_start_matches("cortex-") {
        "host" => Packing::Host,
        "m0" | "m0plus" | "m3" | "qemu-mps2-an385" => Packing::M0,
        "m4" | "m7" | "m33" | "qemu-mps2-an386" | "qemu-mps2-an500" | "qemu-mps2-an505" => Packing::M4,
        "m55" | "m85" | "qemu-mps3-an547" => Packing::M55,
        _ => bail!(
            "no packing {name:?}: give host, m0, m4, m55, a core (m0plus, m3, m7, m33, m85) or a folder of boards/"
        ),
    };
    Ok(packing)
}

/// Makes an image of a checkpoint.
///
/// `progress` is called for each tensor.
///
/// # Errors
/// What the image cannot express, by name.
pub fn convert(checkpoint: &Checkpoint, settings: Settings, progress: &mut dyn FnMut(&str)) -> Result<Vec<u32>> {
    let config = &checkpoint.config;
    let plain = Plain::of(checkpoint)?;
    let max_seq = settings.max_seq.unwrap_or(config.max_seq);
    if max_seq > config.max_seq {
        bail!("--max-seq {max_seq}: the checkpoint was trained for a context of {}; give no more", config.max_seq);
    }
    let dims = Dims::new(
        config.d_model,
        config.n_layers,
        config.n_heads,
        config.n_kv_heads,
        config.head_dim,
        config.d_ff,
        config.vocab,
        max_seq,
        config.norm_eps,
    )
    .with_context(|| format!("{}", checkpoint.source.display()))?;
    let mut writer = ImageWriter::new(dims, settings.packing);
    let mut add = |tensor: Tensor, layer: usize, float: &checkpoint::Tensor| {
        progress(&float.name);
        match float.shape[..] {
            [rows, cols] => writer.matrix(tensor, layer, rows, cols, &float.data),
            _ => writer.vector(tensor, layer, &float.data),
        }
        .with_context(|| format!("{}: {}", checkpoint.source.display(), float.name))
    };
    add(Tensor::Embedding, 0, &checkpoint.embedding)?;
    for (index, layer) in checkpoint.layers.iter().enumerate() {
        add(Tensor::AttentionNorm, index, &layer.attention_norm)?;
        add(Tensor::Query, index, &layer.wq)?;
        add(Tensor::Key, index, &layer.wk)?;
        add(Tensor::Value, index, &layer.wv)?;
        add(Tensor::AttentionOutput, index, &layer.wo)?;
        add(Tensor::MlpNorm, index, &layer.mlp_norm)?;
        add(Tensor::Gate, index, plain.gates[index])?;
        add(Tensor::Up, index, &layer.up)?;
        add(Tensor::Down, index, &layer.down)?;
    }
    add(Tensor::FinalNorm, 0, plain.final_norm)?;
    if let Some(head) = &checkpoint.head {
        add(Tensor::Head, 0, head)?;
    }
    writer.rotary(plain.theta);
    if config.eos.len() > 2 {
        bail!(
            "{}: eos_token_id has {} tokens, an image holds 2; keep those that end a text in config.json",
            checkpoint.source.display(),
            config.eos.len()
        );
    }
    writer.special_tokens(config.bos, &config.eos);
    if let Some(tokenizer) = &checkpoint.tokenizer {
        let merges: Vec<_> = tokenizer.merges.iter().map(|m| (m.left, m.right, m.merged, m.rank)).collect();
        let tables = TokenizerTables {
            kind: match tokenizer.kind {
                checkpoint::TokenizerKind::ByteLevel => TokenizerKind::Bytes,
                checkpoint::TokenizerKind::Characters => TokenizerKind::Characters,
            },
            prefix_space: tokenizer.prefix_space,
            pieces: &tokenizer.pieces,
            byte_tokens: &tokenizer.bytes,
            characters: &tokenizer.characters,
            merges: &merges,
        };
        writer.tokenizer(&tables).context("tokenizer")?;
    }
    writer.finish().with_context(|| format!("{}", checkpoint.source.display()))
}

/// What every network that the engine computes has.
struct Plain<'a> {
    theta: f64,
    gates: Vec<&'a checkpoint::Tensor>,
    final_norm: &'a checkpoint::Tensor,
}

impl<'a> Plain<'a> {
    /// Refuses, by name, every option that the engine does not compute yet.
    fn of(checkpoint: &'a Checkpoint) -> Result<Self> {
        let config = &checkpoint.config;
        let usual_scale = (config.attention_scale * (config.head_dim as f64).sqrt() - 1.0).abs() < 1e-6;
        let options = [
            ("norm", format!("{:?}", config.norm), config.norm == Norm::Rms),
            ("norm_place", format!("{:?}", config.norm_place), config.norm_place == NormPlace::Pre),
            ("activation", format!("{:?}", config.activation), config.activation == Activation::Silu),
            ("mask", format!("{:?}", config.mask), config.mask == Mask::Causal),
            ("input", format!("{:?}", config.input), config.input == Input::Tokens),
            ("pooling", format!("{:?}", config.pooling), config.pooling == Pooling::None),
            ("attention_scale", config.attention_scale.to_string(), usual_scale),
            ("n_outputs", config.n_outputs.to_string(), config.n_outputs == config.vocab),
            ("head", "None".into(), config.tied_head || checkpoint.head.is_some()),
        ];
        let source = checkpoint.source.display();
        if let Some((option, found, _)) = options.iter().find(|(.., computed)| !computed) {
            bail!("{source}: {option} = {found} is not computed by the engine yet; {NEXT}");
        }
        let around = [
            &checkpoint.embedding_bias,
            &checkpoint.class_token,
            &checkpoint.positions,
            &checkpoint.embedding_norm,
            &checkpoint.embedding_norm_bias,
            &checkpoint.final_norm_bias,
            &checkpoint.head_bias,
        ];
        let biases = checkpoint.layers.iter().flat_map(|layer| {
            let norms = [&layer.attention_norm_bias, &layer.mlp_norm_bias];
            let attention = [&layer.bq, &layer.bk, &layer.bv, &layer.bo];
            norms.into_iter().chain(attention).chain([&layer.gate_bias, &layer.up_bias, &layer.down_bias])
        });
        if let Some(tensor) = around.into_iter().chain(biases).flatten().next() {
            bail!("{source}: {} is not computed by the engine yet; {NEXT}", tensor.name);
        }
        let Positions::Rotary { theta } = config.positions else {
            bail!("{source}: positions = {:?} is not computed by the engine yet; {NEXT}", config.positions);
        };
        let gates: Vec<_> = checkpoint.layers.iter().filter_map(|layer| layer.gate.as_ref()).collect();
        match &checkpoint.final_norm {
            Some(final_norm) if gates.len() == config.n_layers => Ok(Plain { theta, gates, final_norm }),
            Some(_) => bail!("{source}: an MLP without a gate is not computed by the engine yet; {NEXT}"),
            None => bail!("{source}: no final norm: not computed by the engine yet; {NEXT}"),
        }
    }
}

/// What to do about an option that the engine lacks.
const NEXT: &str = "convert a model of the Llama family";

/// Writes an image to a file: whole or not at all.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write(words: &[u32], file: &Path) -> Result<()> {
    let part = file.with_extension("tbf.part");
    let written = std::fs::write(&part, thumbformer::image::bytes(words)).and_then(|()| std::fs::rename(&part, file));
    if written.is_err() {
        // It may not be there, which is as good.
        let _ = std::fs::remove_file(&part);
    }
    written.with_context(|| format!("{}: cannot be written; give a file in a folder that exists", file.display()))
}
