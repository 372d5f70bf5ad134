//! Checkpoint to image: every tensor goes to the writer under the core's name.

use anyhow::{Context, Result, bail};
use thumbformer as engine;
use thumbformer::image::{ImageWriter, Int4, TokenizerKind, TokenizerTables};
use thumbformer::{Dims, Packing, Tensor};
use thumbformer_checkpoint as checkpoint;
use thumbformer_checkpoint::Checkpoint;

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

/// Which matrices of the layers become int4; those that it has no answer for become int8.
pub type Int4Of<'a> = &'a dyn Fn(usize, Tensor) -> Option<&'a Int4>;

/// Makes an image of a checkpoint, all matrices int8.
///
/// `progress` is called for each tensor.
///
/// # Errors
/// What the image cannot express, by name.
pub fn convert(checkpoint: &Checkpoint, settings: Settings, progress: &mut dyn FnMut(&str)) -> Result<Vec<u32>> {
    convert_with(checkpoint, settings, &|_, _| None, progress)
}

/// Makes an image of a checkpoint, some matrices int4.
///
/// # Errors
/// As [`convert`].
pub fn convert_with(
    checkpoint: &Checkpoint,
    settings: Settings,
    int4: Int4Of<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<u32>> {
    let config = &checkpoint.config;
    computed(checkpoint)?;
    let input = match config.input {
        checkpoint::Input::Tokens => engine::Input::Tokens,
        checkpoint::Input::Frames { .. } => engine::Input::Frames,
    };
    let dims = dims(checkpoint, settings.max_seq, input)?;
    let mut writer = ImageWriter::new(dims, settings.packing);
    let table = checkpoint.positions.as_ref().map(|table| {
        // A shorter context needs the first rows only.
        let mut table = table.clone();
        table.data.truncate(dims.max_seq * dims.d_model);
        table.shape = vec![dims.max_seq, dims.d_model];
        table
    });
    let pooler = checkpoint.pooler.as_ref();
    let ends = [
        (Tensor::Embedding, Some(&checkpoint.embedding)),
        (Tensor::EmbeddingBias, checkpoint.embedding_bias.as_ref()),
        (Tensor::ClassToken, checkpoint.class_token.as_ref()),
        (Tensor::PositionTable, table.as_ref()),
        (Tensor::EmbeddingNorm, checkpoint.embedding_norm.as_ref()),
        (Tensor::EmbeddingNormBias, checkpoint.embedding_norm_bias.as_ref()),
        (Tensor::Pooler, pooler.map(|pooler| &pooler.weight)),
        (Tensor::PoolerBias, pooler.and_then(|pooler| pooler.bias.as_ref())),
        (Tensor::Head, checkpoint.head.as_ref()),
        (Tensor::HeadBias, checkpoint.head_bias.as_ref()),
    ];
    for (tensor, float) in ends {
        if let Some(float) = float {
            add(&mut writer, tensor, 0, float, progress).with_context(|| source(checkpoint))?;
        }
    }
    blocks(&mut writer, checkpoint, int4, progress)?;
    if !config.labels.is_empty() {
        writer.labels(&config.labels).with_context(|| format!("{}: labels", source(checkpoint)))?;
    }
    if config.eos.len() > 2 {
        bail!(
            "{}: eos_token_id has {} tokens, an image holds 2; keep those that end a text in config.json",
            source(checkpoint),
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
    writer.finish().with_context(|| source(checkpoint))
}

/// Makes an image of a checkpoint's blocks and final norm alone, without embedding and head: the stream goes in and comes out.
///
/// # Errors
/// As [`convert`].
pub fn convert_blocks(checkpoint: &Checkpoint, settings: Settings, progress: &mut dyn FnMut(&str)) -> Result<Vec<u32>> {
    let dims = dims(checkpoint, settings.max_seq, engine::Input::Stream)?;
    let mut writer = ImageWriter::new(dims, settings.packing);
    blocks(&mut writer, checkpoint, &|_, _| None, progress)?;
    writer.finish().with_context(|| source(checkpoint))
}

fn source(checkpoint: &Checkpoint) -> String {
    checkpoint.source.clone()
}

/// Dimensions and options of an image.
fn dims(checkpoint: &Checkpoint, max_seq: Option<usize>, input: engine::Input) -> Result<Dims> {
    let config = &checkpoint.config;
    let max_seq = max_seq.unwrap_or(config.max_seq);
    if max_seq > config.max_seq {
        bail!("--max-seq {max_seq}: the checkpoint was trained for a context of {}; give no more", config.max_seq);
    }
    let &checkpoint::Config { d_model, n_layers, n_heads, n_kv_heads, head_dim, d_ff, norm_eps, .. } = config;
    // The constructor is that of a language model with rotary positions; what others have is set and checked after it.
    let mut dims =
        Dims::new(d_model, n_layers, n_heads, n_kv_heads, head_dim.next_multiple_of(2), d_ff, 1, max_seq, norm_eps)
            .with_context(|| source(checkpoint))?;
    (dims.vocab, dims.n_features, dims.n_outputs) = match (input, config.input) {
        (engine::Input::Stream, _) => (0, 0, 0),
        (_, checkpoint::Input::Tokens) => (config.vocab, 0, config.n_outputs),
        (_, checkpoint::Input::Frames { n_features }) => (0, n_features, config.n_outputs),
    };
    dims.head_dim = head_dim;
    dims.sliding_window = config.sliding_window.filter(|&window| window < max_seq).unwrap_or(0);
    dims.attention_scale = config.attention_scale as f32;
    dims.options = options(checkpoint, input);
    dims.check().with_context(|| source(checkpoint))?;
    Ok(dims)
}

/// The options of an image.
pub fn options(checkpoint: &Checkpoint, input: engine::Input) -> engine::Options {
    let config = &checkpoint.config;
    let mut options = engine::Options::LLAMA;
    options.norm = match config.norm {
        checkpoint::Norm::Rms => engine::Norm::Rms,
        checkpoint::Norm::Layer => engine::Norm::Layer,
    };
    options.norm_place = match config.norm_place {
        checkpoint::NormPlace::Pre => engine::NormPlace::Pre,
        checkpoint::NormPlace::Post => engine::NormPlace::Post,
    };
    options.activation = match config.activation {
        checkpoint::Activation::Silu => engine::Activation::Silu,
        checkpoint::Activation::GeluErf => engine::Activation::Gelu,
        checkpoint::Activation::GeluTanh => engine::Activation::GeluTanh,
        checkpoint::Activation::Relu => engine::Activation::Relu,
    };
    options.mask = match config.mask {
        checkpoint::Mask::Causal => engine::Mask::Causal,
        checkpoint::Mask::Bidirectional => engine::Mask::Bidirectional,
    };
    options.positions = match config.positions {
        checkpoint::Positions::Rotary { .. } => engine::Positions::Rotary,
        checkpoint::Positions::Table if input != engine::Input::Stream => engine::Positions::Table,
        checkpoint::Positions::Table | checkpoint::Positions::None => engine::Positions::None,
    };
    options.gated = checkpoint.layers.iter().all(|layer| layer.gate.is_some());
    options.input = input;
    options.head = false;
    if input != engine::Input::Stream {
        options.head = config.tied_head || checkpoint.head.is_some();
        options.pooling = match config.pooling {
            checkpoint::Pooling::None => engine::Pooling::None,
            checkpoint::Pooling::Class => engine::Pooling::Class,
            checkpoint::Pooling::Mean => engine::Pooling::Mean,
            checkpoint::Pooling::Last => engine::Pooling::Last,
        };
        options.pooler = match checkpoint.pooler.as_ref().map(|pooler| pooler.activation) {
            None => engine::Pooler::None,
            Some(checkpoint::PoolerActivation::Tanh) => engine::Pooler::Tanh,
            Some(checkpoint::PoolerActivation::Relu) => engine::Pooler::Relu,
        };
    }
    options
}

/// Adds one float tensor: a matrix as int8, a vector as 16 bits.
fn add(
    writer: &mut ImageWriter,
    tensor: Tensor,
    layer: usize,
    float: &checkpoint::Tensor,
    progress: &mut dyn FnMut(&str),
) -> Result<()> {
    progress(&float.name);
    match float.shape[..] {
        [rows, cols] => writer.matrix(tensor, layer, rows, cols, &float.data),
        _ => writer.vector(tensor, layer, &float.data),
    }
    .with_context(|| float.name.clone())
}

/// Adds the blocks, the final norm and the rotary tables.
fn blocks(
    writer: &mut ImageWriter,
    checkpoint: &Checkpoint,
    int4: Int4Of<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<()> {
    for (index, layer) in checkpoint.layers.iter().enumerate() {
        let tensors = [
            (Tensor::AttentionNorm, Some(&layer.attention_norm)),
            (Tensor::AttentionNormBias, layer.attention_norm_bias.as_ref()),
            (Tensor::Query, Some(&layer.wq)),
            (Tensor::QueryBias, layer.bq.as_ref()),
            (Tensor::Key, Some(&layer.wk)),
            (Tensor::KeyBias, layer.bk.as_ref()),
            (Tensor::Value, Some(&layer.wv)),
            (Tensor::ValueBias, layer.bv.as_ref()),
            (Tensor::AttentionOutput, Some(&layer.wo)),
            (Tensor::AttentionOutputBias, layer.bo.as_ref()),
            (Tensor::MlpNorm, Some(&layer.mlp_norm)),
            (Tensor::MlpNormBias, layer.mlp_norm_bias.as_ref()),
            (Tensor::Gate, layer.gate.as_ref()),
            (Tensor::GateBias, layer.gate_bias.as_ref()),
            (Tensor::Up, Some(&layer.up)),
            (Tensor::UpBias, layer.up_bias.as_ref()),
            (Tensor::Down, Some(&layer.down)),
            (Tensor::DownBias, layer.down_bias.as_ref()),
        ];
        for (tensor, float) in tensors {
            let Some(float) = float else { continue };
            match int4(index, tensor) {
                Some(matrix) => {
                    progress(&float.name);
                    writer.int4(tensor, index, matrix).with_context(|| float.name.clone())
                }
                None => add(writer, tensor, index, float, progress),
            }
            .with_context(|| source(checkpoint))?;
        }
    }
    let norm = [(Tensor::FinalNorm, &checkpoint.final_norm), (Tensor::FinalNormBias, &checkpoint.final_norm_bias)];
    for (tensor, float) in norm {
        if let Some(float) = float {
            add(writer, tensor, 0, float, progress).with_context(|| source(checkpoint))?;
        }
    }
    if let checkpoint::Positions::Rotary { theta } = checkpoint.config.positions {
        writer.rotary(theta);
    }
    Ok(())
}

/// Whether the engine computes a checkpoint's network.
///
/// # Errors
/// The first option that it lacks, by name.
pub fn computed(checkpoint: &Checkpoint) -> Result<()> {
    let config = &checkpoint.config;
    let (mask, pooling) = (config.mask, config.pooling);
    // Of a sequence that comes token by token, the last is at hand.
    if mask == checkpoint::Mask::Causal && matches!(pooling, checkpoint::Pooling::Class | checkpoint::Pooling::Mean) {
        bail!(
            "{}: pooling = {pooling:?} with mask = {mask:?} is not computed by the engine; train with last, or with a \
             bidirectional mask",
            source(checkpoint)
        );
    }
    let gates = checkpoint.layers.iter().filter(|layer| layer.gate.is_some()).count();
    if gates != 0 && gates != checkpoint.layers.len() {
        bail!(
            "{}: layers with and without a gate are not computed by the engine; train all layers alike",
            source(checkpoint)
        );
    }
    Ok(())
}
