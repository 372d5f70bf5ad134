//! One transformer block, its weights in the source: three tokens of four numbers go in, and come out.
//!
//! ```text
//! x [3, 4] ──┬─ norm ─► attention ─┬─ + ──┬─ norm ─► mlp ─┬─ + ──► x [3, 4]
//!            └─────────────────────┘      └───────────────┘
//! ```

use thumbformer::{Dims, Error, Options, Tensor};

/// Two heads of two numbers, a hidden layer of eight, three tokens; LayerNorm before each branch, GELU.
const DIMS: Dims = Dims::block(4, 2, 8, 3, Options::ENCODER);

const ONES: [f32; 4] = [1.0; 4];
/// Queries, keys and values are the normed stream itself: a token gathers from those that are like it.
#[rustfmt::skip]
const IDENTITY: [f32; 4 * 4] = [
    1.0, 0.0, 0.0, 0.0,
    0.0, 1.0, 0.0, 0.0,
    0.0, 0.0, 1.0, 0.0,
    0.0, 0.0, 0.0, 1.0,
];
/// Every number and its opposite: through GELU, a little more than their magnitudes.
#[rustfmt::skip]
const UP: [f32; 8 * 4] = [
    1.0, 0.0, 0.0, 0.0,    -1.0, 0.0, 0.0, 0.0,
    0.0, 1.0, 0.0, 0.0,     0.0, -1.0, 0.0, 0.0,
    0.0, 0.0, 1.0, 0.0,     0.0, 0.0, -1.0, 0.0,
    0.0, 0.0, 0.0, 1.0,     0.0, 0.0, 0.0, -1.0,
];
#[rustfmt::skip]
const DOWN: [f32; 4 * 8] = [
    0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0,
    0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0,
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5,
];

thumbformer::constant_model!(
    mod block = DIMS,
    &[
        (Tensor::AttentionNorm, 0, &ONES),
        (Tensor::Query, 0, &IDENTITY),
        (Tensor::Key, 0, &IDENTITY),
        (Tensor::Value, 0, &IDENTITY),
        (Tensor::AttentionOutput, 0, &IDENTITY),
        (Tensor::MlpNorm, 0, &ONES),
        (Tensor::Up, 0, &UP),
        (Tensor::Down, 0, &DOWN),
    ],
    ram <= 1024
);

/// Input of the block.
pub const X: [f32; 3 * 4] = [1.0, 0.0, -1.0, 0.5, 0.9, 0.1, -1.0, 0.4, -2.0, 1.0, 0.0, 0.0];

/// Sends `x`, `[3, 4]`, through the block, in place.
pub fn run(x: &mut [f32; 3 * 4]) -> Result<(), Error> {
    let mut state = block::State::new();
    block::MODEL.session(state.memory()).encode(x)
}
