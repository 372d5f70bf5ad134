//! Conversion of a checkpoint to an image: every tensor goes to the writer under the core's name.

use crate::about::describe;
use crate::scaling::{Scaling, scaling};
use anyhow::{Context, Result, bail};
use thumbformer::image::{AddedToken, ImageWriter, Int4, MAX_ENDS, Named, TokenizerKind, TokenizerTables};
use thumbformer::{Dims, Input, MAX_HIDDEN, Mask, Options, Packing, Pooling, Positions, Presence, Tensor};
use thumbformer_checkpoint as checkpoint;
use thumbformer_checkpoint::Checkpoint;

/// Settings of a conversion.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Context in tokens; `None`: the checkpoint's.
    pub max_seq: Option<usize>,
    /// Packing of the weights.
    pub packing: Packing,
    /// Frames `[seq, n_features]` that features are scaled by; `None`: by the embedding.
    pub frames: Option<&'a [f32]>,
    /// Licence of the model.
    pub license: Option<&'a str>,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Settings { max_seq: None, packing: Packing::Host, frames: None, license: None }
    }
}

/// The int4 matrix of a layer's tensor; `None` where the matrix becomes int8.
pub type Int4Of<'a> = &'a dyn Fn(usize, Tensor) -> Option<&'a Int4>;

/// Converts a checkpoint to an image with int8 matrices only.
///
/// `progress` is called for each tensor.
///
/// # Errors
/// For an option that an image cannot express, by name.
pub fn convert(checkpoint: &Checkpoint, settings: Settings<'_>, progress: &mut dyn FnMut(&str)) -> Result<Vec<u32>> {
    convert_with(checkpoint, settings, &|_, _| None, progress)
}

/// Converts a checkpoint to an image with some int4 matrices.
///
/// # Errors
/// As [`convert`].
pub fn convert_with(
    checkpoint: &Checkpoint,
    settings: Settings<'_>,
    int4: Int4Of<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<u32>> {
    let config = &checkpoint.config;
    computed(checkpoint)?;
    let dims = dims(checkpoint, settings.max_seq, config.options.input)?;
    let mut writer = ImageWriter::new(dims, settings.packing);
    let scaling = if dims.options.input == Input::Frames { scaling(checkpoint, settings.frames) } else { None };
    let is_scaled = |tensor| scaling.is_some() && matches!(tensor, Tensor::Embedding | Tensor::EmbeddingBias);
    add(&mut writer, checkpoint, &dims, &|tensor| !is_scaled(tensor), int4, progress)?;
    if let Some(Scaling { offsets, scales, matrix, bias }) = &scaling {
        writer.feature_scaling(offsets, scales);
        writer.add(Tensor::Embedding, 0, dims.d_model, dims.n_features, matrix).with_context(|| source(checkpoint))?;
        if let Some(bias) = bias {
            writer.vector(Tensor::EmbeddingBias, 0, bias).with_context(|| source(checkpoint))?;
        }
    }
    describe(&mut writer, checkpoint, settings.license)?;
    if config.eos.len() > MAX_ENDS {
        bail!(
            "{}: eos_token_id has {} tokens, but an image holds {MAX_ENDS}; keep those that end a text in config.json",
            source(checkpoint),
            config.eos.len()
        );
    }
    let before = match &checkpoint.tokenizer {
        Some(tokenizer) => before(checkpoint, tokenizer)?,
        None => config.bos,
    };
    writer.special_tokens(before, &config.eos);
    if let Some(tokenizer) = &checkpoint.tokenizer {
        let merges: Vec<_> = tokenizer.merges.iter().map(|m| (m.left, m.right, m.merged, m.rank)).collect();
        let added: Vec<_> = tokenizer.added.iter().map(added).collect();
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
            added: &added,
        };
        writer.tokenizer(&tables).context("tokenizer")?;
    }
    writer.finish().with_context(|| source(checkpoint))
}

/// A token with a name, as the image has it.
fn added(token: &checkpoint::AddedToken) -> AddedToken<'_> {
    let named = match token.named {
        checkpoint::Named::Never => Named::Never,
        checkpoint::Named::Special => Named::Special,
        checkpoint::Named::Always => Named::Always,
    };
    AddedToken { id: token.id, name: &token.name, named }
}

/// The token before every text; refuses what else a tokenizer does and an image cannot express.
fn before(checkpoint: &Checkpoint, tokenizer: &checkpoint::Tokenizer) -> Result<Option<u32>> {
    let list = |ids: &[u32]| {
        let named = ids.iter().map(|&id| format!("{} ({id})", tokenizer.name(id).unwrap_or_else(|| "token".into())));
        named.collect::<Vec<_>>().join(", ")
    };
    if tokenizer.before.len() > 1 || !tokenizer.after.is_empty() {
        bail!(
            "{}: the tokenizer puts [{}] before and [{}] after a text, expected at most one token before and none after, as an image \
             holds; give it a TemplateProcessing of that form (GGUF: add_eos_token = false), and add the others to prompts by name",
            source(checkpoint),
            list(&tokenizer.before),
            list(&tokenizer.after)
        );
    }
    Ok(tokenizer.before.first().copied())
}

/// Converts the blocks and the final norm of a checkpoint, without embedding and head: the stream is input and output.
///
/// # Errors
/// As [`convert`].
pub fn convert_blocks(
    checkpoint: &Checkpoint,
    settings: Settings<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<u32>> {
    let dims = dims(checkpoint, settings.max_seq, Input::Stream)?;
    let mut writer = ImageWriter::new(dims, settings.packing);
    let is_in = |tensor: Tensor| tensor.presence(&dims.options) != Presence::Never;
    add(&mut writer, checkpoint, &dims, &is_in, &|_, _| None, progress)?;
    writer.finish().with_context(|| source(checkpoint))
}

fn source(checkpoint: &Checkpoint) -> String {
    checkpoint.source.clone()
}

/// Dimensions and options of an image.
fn dims(checkpoint: &Checkpoint, max_seq: Option<usize>, input: Input) -> Result<Dims> {
    let config = &checkpoint.config;
    let max_seq = max_seq.unwrap_or(config.max_seq);
    if max_seq > config.max_seq {
        bail!("--max-seq {max_seq}: the checkpoint was trained for a context of {}; give at most that", config.max_seq);
    }
    let mut dims = config.dims();
    dims.max_seq = max_seq;
    dims.options = options(checkpoint, input);
    if dims.sliding_window >= max_seq {
        dims.sliding_window = 0;
    }
    if input == Input::Stream {
        (dims.vocab, dims.n_features, dims.n_outputs, dims.n_class) = (0, 0, 0, 0);
        dims.head_widths = [0; MAX_HIDDEN];
    }
    dims.check().with_context(|| source(checkpoint))?;
    Ok(dims)
}

/// Options of an image of the whole checkpoint, or of its blocks alone.
pub fn options(checkpoint: &Checkpoint, input: Input) -> Options {
    let mut options = checkpoint.config.options;
    options.input = input;
    if input == Input::Stream {
        let blocks = Options::ENCODER;
        (options.head, options.pooling, options.pooler) = (blocks.head, blocks.pooling, blocks.pooler);
        (options.mlp_head, options.head_activation) = (blocks.mlp_head, blocks.head_activation);
        (options.class_place, options.embedding_activation) = (blocks.class_place, blocks.embedding_activation);
        options.outputs = blocks.outputs;
        if options.positions == Positions::Table {
            options.positions = Positions::None;
        }
    }
    options
}

/// Adds the wanted tensors of a checkpoint, and the rotary tables.
fn add(
    writer: &mut ImageWriter,
    checkpoint: &Checkpoint,
    dims: &Dims,
    wanted: &dyn Fn(Tensor) -> bool,
    int4: Int4Of<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<()> {
    for (tensor, layer, float) in checkpoint.tensors.iter().filter(|(tensor, ..)| wanted(*tensor)) {
        progress(&float.name);
        let (mut rows, cols) = match float.shape[..] {
            [rows, cols] => (rows, cols),
            _ => (1, float.data.len()),
        };
        let mut values = &float.data[..];
        if tensor == Tensor::PositionTable {
            // A shorter context needs only the first rows.
            rows = rows.min(dims.max_seq);
            values = &values[..rows * cols];
        }
        match int4(layer, tensor) {
            Some(matrix) => writer.int4(tensor, layer, matrix),
            None => writer.add(tensor, layer, rows, cols, values),
        }
        .with_context(|| float.name.clone())
        .with_context(|| source(checkpoint))?;
    }
    if dims.options.positions == Positions::Rotary {
        writer.rotary(checkpoint.config.rope_theta);
    }
    Ok(())
}

/// Refuses a checkpoint whose network the engine does not compute.
///
/// # Errors
/// For the first option that the engine does not support, by name.
pub fn computed(checkpoint: &Checkpoint) -> Result<()> {
    let options = &checkpoint.config.options;
    let (mask, pooling) = (options.mask, options.pooling);
    // In a sequence that comes token by token, only the last stream is available.
    if mask == Mask::Causal && !matches!(pooling, Pooling::None | Pooling::Last) {
        bail!(
            "{}: pooling = {pooling:?} with mask = {mask:?} is not computed by the engine; train with last, or with a \
             bidirectional mask",
            source(checkpoint)
        );
    }
    let gates = (0..checkpoint.config.n_layers).filter(|&layer| checkpoint.tensors.get(Tensor::Gate, layer).is_some());
    if gates.count() != if options.gated { checkpoint.config.n_layers } else { 0 } {
        bail!(
            "{}: the engine does not support a mix of layers with and without a gate; train all layers alike",
            source(checkpoint)
        );
    }
    Ok(())
}
