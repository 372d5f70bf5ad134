//! Blocks with random weights, for tests and for demonstrations without training.

use thumbformer::{Encoding, Part, Presence, Tensor};

use crate::names::shape;
use crate::{Config, Tensors, Weights};

/// Pseudorandom numbers, the same in every run and on every machine (xorshift, Marsaglia 2003).
#[derive(Clone, Debug)]
pub struct Random(u64);

/// Optional tensors of a block, in addition to those of its [`Config`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extras {
    /// A bias after every matrix.
    pub biases: bool,
    /// A bias in every LayerNorm.
    pub norm_bias: bool,
}

impl Random {
    /// A generator with a seed other than 0.
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
    /// When there is no choice.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.next() % choices.len() as u64) as usize]
    }

    /// A number of mean 0 and standard deviation 1.
    pub fn float(&mut self) -> f32 {
        // The sum of four is close to a normal distribution, like weights.
        let uniform = |x: u64| (x % 65_536) as f32 / 32_768.0 - 1.0;
        (0..4).map(|_| uniform(self.next())).sum::<f32>() * 0.87
    }

    /// A tensor of numbers with this standard deviation and mean.
    pub fn tensor(&mut self, name: &str, shape: &[usize], scale: f32, offset: f32) -> Weights {
        let count = shape.iter().product();
        let data = (0..count).map(|_| self.float() * scale + offset).collect();
        Weights { name: name.into(), shape: shape.to_vec(), data }
    }

    /// A matrix whose products are 0.8 times as large as its input.
    pub fn matrix(&mut self, rows: usize, cols: usize) -> Weights {
        self.tensor("matrix", &[rows, cols], 0.8 / (cols as f32).sqrt(), 0.0)
    }

    /// A bias, if it is requested.
    pub fn optional(&mut self, wanted: bool, count: usize) -> Option<Weights> {
        wanted.then(|| self.tensor("bias", &[count], 0.2, 0.0))
    }

    /// All tensors of a block that its options have, those of `extras` included.
    pub fn layer(&mut self, tensors: &mut Tensors, config: &Config, extras: Extras, layer: usize) {
        let dims = config.dims();
        for &tensor in Tensor::ALL.iter().filter(|tensor| tensor.part() == Part::Layer) {
            let shape = shape(&dims, tensor, layer);
            let weights = match tensor.presence(&config.options) {
                Presence::Always if tensor.encoding() == Encoding::Matrix => Some(self.matrix(shape[0], shape[1])),
                Presence::Always => Some(self.tensor("gain", &shape, 0.2, 1.0)),
                Presence::Optional => {
                    let of_norm = tensor.name().ends_with("NormBias");
                    self.optional(if of_norm { extras.norm_bias } else { extras.biases }, shape[0])
                }
                _ => None,
            };
            if let Some(weights) = weights {
                tensors.insert(tensor, layer, weights);
            }
        }
    }
}
