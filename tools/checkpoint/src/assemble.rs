//! From pairs of weight and bias to [`Layer`] and [`Checkpoint`]: every importer ends here.

use std::path::Path;

use crate::{Checkpoint, Config, Layer, Pooler, Tensor};

/// A matrix or norm with its bias, if it has one.
pub(crate) type Affine = (Tensor, Option<Tensor>);

/// The parts of a block; shapes are those of [`Layer`].
pub(crate) struct Parts {
    pub attention_norm: Affine,
    pub q: Affine,
    pub k: Affine,
    pub v: Affine,
    pub o: Affine,
    pub mlp_norm: Affine,
    pub gate: Option<Affine>,
    pub up: Affine,
    pub down: Affine,
}

impl From<Parts> for Layer {
    fn from(parts: Parts) -> Self {
        let (gate, gate_bias) = parts.gate.map_or((None, None), |(weight, bias)| (Some(weight), bias));
        Layer {
            attention_norm: parts.attention_norm.0,
            attention_norm_bias: parts.attention_norm.1,
            wq: parts.q.0,
            bq: parts.q.1,
            wk: parts.k.0,
            bk: parts.k.1,
            wv: parts.v.0,
            bv: parts.v.1,
            wo: parts.o.0,
            bo: parts.o.1,
            mlp_norm: parts.mlp_norm.0,
            mlp_norm_bias: parts.mlp_norm.1,
            gate,
            gate_bias,
            up: parts.up.0,
            up_bias: parts.up.1,
            down: parts.down.0,
            down_bias: parts.down.1,
        }
    }
}

/// Queries, keys and values out of one matrix `[3 d, d]`.
pub(crate) fn thirds((weight, bias): Affine, d: usize) -> [Affine; 3] {
    [0, 1, 2].map(|third| {
        let part = |tensor: &Tensor, shape: Vec<usize>| Tensor {
            name: tensor.name.clone(),
            data: tensor.data[third * tensor.data.len() / 3..(third + 1) * tensor.data.len() / 3].to_vec(),
            shape,
        };
        (part(&weight, vec![d, d]), bias.as_ref().map(|bias| part(bias, vec![d])))
    })
}

/// What stands around the blocks, and the blocks; shapes are those of [`Checkpoint`].
pub(crate) struct Network {
    pub embedding: Affine,
    pub class_token: Option<Tensor>,
    pub positions: Option<Tensor>,
    pub embedding_norm: Option<Affine>,
    pub layers: Vec<Layer>,
    pub final_norm: Option<Affine>,
    pub pooler: Option<Pooler>,
    pub head: Option<Affine>,
}

impl Network {
    /// The checkpoint, without a tokenizer.
    pub(crate) fn into_checkpoint(self, source: &Path, architecture: &str, config: Config) -> Checkpoint {
        let apart = |part: Option<Affine>| part.map_or((None, None), |(weight, bias)| (Some(weight), bias));
        let (embedding_norm, embedding_norm_bias) = apart(self.embedding_norm);
        let (final_norm, final_norm_bias) = apart(self.final_norm);
        let (head, head_bias) = apart(self.head);
        Checkpoint {
            source: source.display().to_string(),
            architecture: architecture.into(),
            config,
            embedding: self.embedding.0,
            embedding_bias: self.embedding.1,
            class_token: self.class_token,
            positions: self.positions,
            embedding_norm,
            embedding_norm_bias,
            layers: self.layers,
            final_norm,
            final_norm_bias,
            pooler: self.pooler,
            head,
            head_bias,
            tokenizer: None,
        }
    }
}
