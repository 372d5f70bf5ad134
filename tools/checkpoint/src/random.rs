//! Blocks with random weights: for tests, and for what can be shown without training.

use crate::{Config, Layer, Norm, Tensor};

/// Numbers that look random and are the same in every run and on every machine (xorshift, Marsaglia 2003).
#[derive(Clone, Debug)]
pub struct Random(u64);

/// What a block may have beside what its [`Config`] says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extras {
    /// A bias after every matrix.
    pub biases: bool,
    /// A bias in every [`Norm::Layer`].
    pub norm_bias: bool,
    /// A gate in the MLP.
    pub gated: bool,
}

impl Random {
    /// Numbers of a seed other than 0.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// An integer below `2^48`.
    #[allow(clippy::should_implement_trait)] // it never ends
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    /// One of several choices.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.next() % choices.len() as u64) as usize]
    }

    /// A number of mean 0 and standard deviation 1.
    pub fn float(&mut self) -> f32 {
        // The sum of four is close to a normal distribution, as weights are.
        let uniform = |x: u64| (x % 65_536) as f32 / 32_768.0 - 1.0;
        (0..4).map(|_| uniform(self.next())).sum::<f32>() * 0.87
    }

    /// Numbers of this standard deviation and mean.
    pub fn tensor(&mut self, name: &str, shape: &[usize], scale: f32, offset: f32) -> Tensor {
        let count = shape.iter().product();
        let data = (0..count).map(|_| self.float() * scale + offset).collect();
        Tensor { name: name.into(), shape: shape.to_vec(), data }
    }

    /// A matrix whose products are 0.8 times as large as what it is multiplied with.
    pub fn matrix(&mut self, rows: usize, cols: usize) -> Tensor {
        self.tensor("matrix", &[rows, cols], 0.8 / (cols as f32).sqrt(), 0.0)
    }

    /// A bias, if it is wanted.
    pub fn optional(&mut self, wanted: bool, count: usize) -> Option<Tensor> {
        wanted.then(|| self.tensor("bias", &[count], 0.2, 0.0))
    }

    /// A block.
    pub fn layer(&mut self, config: &Config, extras: Extras) -> Layer {
        let (d_model, d_ff, q, kv) = (config.d_model, config.d_ff, config.q_width(), config.kv_width());
        let Extras { biases, gated, .. } = extras;
        let norm_bias = extras.norm_bias && config.norm == Norm::Layer;
        Layer {
            attention_norm: self.tensor("gain", &[d_model], 0.2, 1.0),
            attention_norm_bias: self.optional(norm_bias, d_model),
            wq: self.matrix(q, d_model),
            bq: self.optional(biases, q),
            wk: self.matrix(kv, d_model),
            bk: self.optional(biases, kv),
            wv: self.matrix(kv, d_model),
            bv: self.optional(biases, kv),
            wo: self.matrix(d_model, q),
            bo: self.optional(biases, d_model),
            mlp_norm: self.tensor("gain", &[d_model], 0.2, 1.0),
            mlp_norm_bias: self.optional(norm_bias, d_model),
            gate: gated.then(|| self.matrix(d_ff, d_model)),
            gate_bias: self.optional(gated && biases, d_ff),
            up: self.matrix(d_ff, d_model),
            up_bias: self.optional(biases, d_ff),
            down: self.matrix(d_model, d_ff),
            down_bias: self.optional(biases, d_model),
        }
    }
}
