//! Graphs of tensors, as exporters write a network, and their recognition as the network that this project computes.
//!
//! ```text
//! a file's reader ─► Graph ─► run: at one length of the sequence, every size and index is a number
//!                             values become sums of atoms (a norm, a linear layer, attention …), their elements moved about
//!                         ─► network: blocks are taken off the sum from its end, down to the embedding ─► Checkpoint
//! ```
//! No name decides anything. A reader of another format makes a [`Graph`] of its own, of these operations.

mod array;
mod assemble;
mod atoms;
mod attention;
mod constants;
mod ends;
mod fused;
mod lin;
mod masks;
mod moves;
mod network;
mod outputs;
mod parts;
mod roles;
mod run;
mod sizes;
mod tail;
mod tokens;

pub(crate) use array::{Array, Kind};
pub(crate) use outputs::recognise;

/// A function of each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Neg,
    Abs,
    Sqrt,
    Reciprocal,
    Exp,
    Log,
    Erf,
    Tanh,
    Sigmoid,
    Relu,
    Sin,
    Cos,
    Floor,
    Ceil,
    Round,
    Not,
    IsNan,
    Gelu,
    GeluTanh,
    Silu,
    /// The square, and the cube.
    Square,
    Cube,
}

/// A function of two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Mod,
    Min,
    Max,
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Xor,
}

/// A reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduction {
    Sum,
    Mean,
    Max,
    Min,
    Prod,
}

/// An operation. Sizes, axes and indices that a format may compute are inputs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Identity,
    Unary(Unary),
    Binary(Binary),
    /// Inputs: condition, value where it holds, value where it does not.
    Where,
    Cast(Kind),
    /// Inputs: two tensors, their last two dimensions multiplied as matrices.
    MatMul,
    Einsum(String),
    /// Inputs: tensor, kernel `[out, in, …]`, bias. Padding: all begins, then all ends; with `keeps`, what a window for each step needs.
    Conv {
        strides: Vec<i64>,
        pads: Vec<i64>,
        keeps: bool,
    },
    /// Inputs: tensor, gain, bias, mean, variance of axis 1.
    BatchNorm {
        eps: f64,
    },
    /// Inputs: tensor, gain, bias; over the last dimensions, from `axis` on.
    LayerNorm {
        axis: i64,
        eps: f64,
    },
    /// Inputs: tensor, gain.
    RmsNorm {
        axis: i64,
        eps: f64,
    },
    /// With `only_last`, `axis` must be the last dimension.
    Softmax {
        axis: i64,
        log: bool,
        only_last: bool,
    },
    /// Inputs: queries, keys, values, mask; `[batch, heads, seq, head_dim]`, or `[batch, seq, heads * head_dim]` with these numbers of heads.
    Attention {
        is_causal: bool,
        scale: Option<f64>,
        heads: [usize; 2],
    },
    /// Inputs: tensor, axes; without axes, over all.
    Reduce {
        how: Reduction,
        keep: bool,
    },
    /// Over all dimensions behind the first two, which stay as 1.
    ReducePlaces(Reduction),
    /// Inputs: tensor, shape, where 0 keeps a dimension unless `literal`, and -1 is what remains.
    Reshape {
        literal: bool,
    },
    Flatten {
        axis: i64,
    },
    Transpose {
        order: Option<Vec<i64>>,
    },
    Concat {
        axis: i64,
    },
    /// Inputs: tensor, sizes; without sizes, equal parts.
    Split {
        axis: i64,
    },
    /// Inputs: tensor, starts, ends, axes, steps.
    Slice,
    /// Inputs: tensor, indices.
    Gather {
        axis: i64,
    },
    GatherElements {
        axis: i64,
    },
    /// Inputs: tensor, indices, whose last dimension indexes the first ones of the tensor.
    GatherNd,
    /// Inputs: tensor, axes.
    Unsqueeze,
    Squeeze,
    /// Inputs: tensor, shape to broadcast to.
    Expand,
    /// Inputs: tensor, repeats.
    Tile,
    Shape {
        start: i64,
        end: Option<i64>,
    },
    Size,
    /// Inputs: start, limit, step.
    Range,
    /// Inputs: shape.
    Fill(Array),
    /// Inputs: tensor, diagonal.
    Triangle {
        upper: bool,
    },
    /// Inputs: tensor, axis.
    CumSum,
    /// Inputs: tensor, pads, value.
    Pad,
    /// Inputs: tensor, scale, zero point. The tensor's own type holds `lowest` to `highest`.
    Quantize {
        axis: i64,
        lowest: f64,
    },
    Dequantize {
        axis: i64,
    },
    /// An operation that has no place in a network of this project, by its name in the file, and the next step.
    Other {
        next: &'static str,
    },
}

impl PartialEq for Array {
    fn eq(&self, other: &Array) -> bool {
        self.kind == other.kind && self.shape == other.shape && self.data == other.data
    }
}

/// Index of a value of a graph.
pub(crate) type ValueId = usize;

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Name in the file, for messages; of an unnamed node that of its first output.
    pub name: String,
    /// Operation by the format's name, for messages.
    pub op_name: String,
    pub op: Op,
    pub inputs: Vec<Option<ValueId>>,
    pub outputs: Vec<ValueId>,
}

/// A dimension of an input: a number, or free.
pub(crate) type Size = Option<usize>;

/// An input.
#[derive(Clone, Debug)]
pub(crate) struct GraphInput {
    pub value: ValueId,
    pub name: String,
    pub kind: Kind,
    pub shape: Vec<Size>,
}

/// A graph; its nodes are in an order in which they can be computed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub n_values: usize,
    pub nodes: Vec<Node>,
    pub inputs: Vec<GraphInput>,
    pub outputs: Vec<(ValueId, String)>,
    pub constants: Vec<(ValueId, Array)>,
    /// Longest sequence, if the file says it.
    pub max_seq: Option<usize>,
    /// Name of the input of tokens, if the file says it.
    pub tokens: Option<String>,
    /// Notes for the user.
    pub notes: Vec<String>,
}

/// The reason that a graph is not recognised: the place, what is there, and what was expected.
#[derive(Clone, Debug)]
pub(crate) struct Mismatch {
    /// Index of the node; `None` for the graph as a whole.
    pub node: Option<usize>,
    pub found: String,
    pub expected: String,
    pub next: &'static str,
}

impl Mismatch {
    pub(crate) fn new(node: Option<usize>, found: impl Into<String>, expected: impl Into<String>) -> Mismatch {
        Mismatch { node, found: found.into(), expected: expected.into(), next: NEXT }
    }
}

/// Next step where the network is another one.
pub(crate) const NEXT: &str = "export a network of this form, or convert the checkpoint that it is of, or write its weights in this project's own layout";

/// Operations that networks of this project consist of.
const EXPECTED_OPS: &str = "linear layers, LayerNorm or RMSNorm, attention, ReLU, GELU, SiLU, tanh, and what moves, adds and scales their numbers";

/// Expected where an operation does not fit its tensors.
const SIZES: &str = "a tensor's own dimensions, as ONNX defines the operation";

/// A graph at a length that is no sequence.
const ONE: &str = "a sequence of one";

/// Place of token ids.
const TOKENS: &str =
    "token ids that choose rows of an embedding, and nothing else: a mask by tokens is an input of its own";
