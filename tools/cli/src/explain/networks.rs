//! Networks of the lesson, with random weights, so that only their structure shows.

use crate::convert::{Settings, convert_blocks};
use anyhow::Result;
use thumbformer_checkpoint::random::{Extras, Random};
use thumbformer_checkpoint::{Checkpoint, Config, Input, Options, Tensor, Tensors};

pub use thumbformer_checkpoint::NormPlace as Place;

/// Structure of a network; all have the same weights and input.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Number of blocks.
    pub n_layers: usize,
    /// Place of the norms.
    pub place: Place,
    /// True if attention adds to the stream; otherwise its output matrix is zero.
    pub attention: bool,
}

/// Width of the stream.
pub const D_MODEL: usize = 64;

/// The longest sequence.
const MAX_SEQ: usize = 16;

impl Shape {
    /// The image of the network.
    ///
    /// # Errors
    /// As of `convert_blocks`.
    pub fn image(self) -> Result<Vec<u32>> {
        convert_blocks(&self.checkpoint(), Settings::default(), &mut |_| ())
    }

    /// The network in floats: an encoder's blocks with LayerNorm and GELU, without biases, in the usual proportions.
    pub fn checkpoint(self) -> Checkpoint {
        let mut options = Options::ENCODER;
        options.input = Input::Frames;
        options.norm_place = self.place;
        let mut config = Config::new(options, D_MODEL, 4, D_MODEL / 4);
        (config.n_layers, config.d_ff, config.max_seq) = (self.n_layers, 4 * D_MODEL, MAX_SEQ);
        config.n_features = D_MODEL;
        let mut random = Random::new(0x5eed_0001_9e37_79b9);
        let mut tensors = Tensors::default();
        for layer in 0..self.n_layers {
            random.layer(&mut tensors, &config, Extras::default(), layer);
            if !self.attention {
                tensors[(Tensor::AttentionOutput, layer)].data.fill(0.0);
            }
        }
        // The stream is the input, unchanged.
        let mut identity = random.tensor("identity", &[D_MODEL, D_MODEL], 0.0, 0.0);
        identity.data.iter_mut().step_by(D_MODEL + 1).for_each(|x| *x = 1.0);
        tensors.insert(Tensor::Embedding, 0, identity);
        Checkpoint {
            source: "random weights".into(),
            architecture: "random".into(),
            tensors,
            tokenizer: None,
            front_end: None,
            notes: Vec::new(),
            config,
        }
    }
}

/// Random streams, `[seq][d_model]`, of standard deviation 1.
pub fn streams(d_model: usize, seq: usize) -> Vec<Vec<f32>> {
    let mut random = Random::new(0x5eed_0002_9e37_79b9);
    (0..seq).map(|_| (0..d_model).map(|_| random.float()).collect()).collect()
}
