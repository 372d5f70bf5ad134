//! Accuracy of an image: its outputs against the float model's, over text, token ids or recordings.
//!
//! ```text
//! text, ids ──► windows of the context ─┐
//! recordings ──► frames ────────────────┼─► Session   ──► outputs ──┐
//!                                       └─► Reference ──► outputs ──┴─► metrics, summed in order ──► held to bounds
//! ```

mod bounds;
mod culprit;
pub mod expected;
mod framework;
mod numbers;
pub mod record;
mod sequence;
pub mod sequences;
pub mod suspects;
mod text;
mod windows;

use crate::convert;
use anyhow::{Result, ensure};
pub use bounds::Line;
pub use culprit::{Exchange, Lost};
pub use framework::{Agreement, BOUND, Ratio};
pub use sequence::Sequence;
pub use text::{Bounds, Report, verify};
use thumbformer::Model;
use thumbformer_checkpoint::Checkpoint;
pub use windows::{Selection, Windows};

/// Refuses an image and a checkpoint of different models; the image's context may be shorter.
pub(crate) fn same_shape(model: &Model<'_>, checkpoint: &Checkpoint) -> Result<()> {
    convert::computed(checkpoint)?;
    let (dims, config) = (model.dims(), &checkpoint.config);
    let options = convert::options(checkpoint, dims.options.input);
    ensure!(
        dims.options == options && dims.attention_scale == config.attention_scale as f32,
        "the image has {:?}, {} has {options:?}: give the checkpoint that the image was converted from",
        dims.options,
        checkpoint.source
    );
    let table = [
        ("d_model", dims.d_model, config.d_model),
        ("n_layers", dims.n_layers, config.n_layers),
        ("n_heads", dims.n_heads, config.n_heads),
        ("n_kv_heads", dims.n_kv_heads, config.n_kv_heads),
        ("head_dim", dims.head_dim, config.head_dim),
        ("d_ff", dims.d_ff, config.d_ff),
        ("vocab", dims.vocab, config.vocab),
        ("n_outputs", dims.n_outputs, config.n_outputs),
    ];
    for (name, image, float) in table {
        ensure!(
            image == float,
            "{name}: the image has {image}, {} has {float}: give the checkpoint that the image was converted from",
            checkpoint.source
        );
    }
    // Of cepstral coefficients the image has taken in the matrix, and does not know it.
    let next = match (model.front_end(), &checkpoint.front_end) {
        (Some(_), None) => ", and with --front-end the one that it was converted with",
        _ => "",
    };
    ensure!(
        dims.n_features == config.n_features,
        "n_features: the image has {}, {} has {}: give the checkpoint that the image was converted from{next}",
        dims.n_features,
        checkpoint.source,
        config.n_features
    );
    ensure!(
        dims.max_seq <= config.max_seq,
        "max_seq: the image has {}, {} only {}: give the checkpoint that the image was converted from",
        dims.max_seq,
        checkpoint.source,
        config.max_seq
    );
    Ok(())
}
