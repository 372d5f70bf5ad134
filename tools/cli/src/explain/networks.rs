//! The lesson's own networks: random weights, so that nothing but their construction shows.

use crate::convert::{Settings, convert_blocks};
use anyhow::Result;
use thumbformer_checkpoint::random::{Extras, Random};
use thumbformer_checkpoint::{Activation, Checkpoint, Config, Input, Mask, Norm, Pooling, Positions};

pub use thumbformer_checkpoint::NormPlace as Place;

/// What the networks differ in; weights and input are the same.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Blocks.
    pub n_layers: usize,
    /// Where the norms stand.
    pub place: Place,
    /// Whether attention adds anything: without, its output matrix is zero.
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
        let config = Config {
            d_model: D_MODEL,
            n_layers: self.n_layers,
            n_heads: 4,
            n_kv_heads: 4,
            head_dim: D_MODEL / 4,
            d_ff: 4 * D_MODEL,
            vocab: 0,
            max_seq: MAX_SEQ,
            norm: Norm::Layer,
            norm_place: self.place,
            norm_eps: 1e-5,
            activation: Activation::GeluErf,
            sliding_window: None,
            labels: Vec::new(),
            mask: Mask::Bidirectional,
            positions: Positions::None,
            input: Input::Frames { n_features: D_MODEL },
            pooling: Pooling::None,
            attention_scale: Config::usual_scale(D_MODEL / 4),
            n_outputs: D_MODEL,
            tied_head: false,
            bos: None,
            eos: Vec::new(),
        };
        let mut random = Random::new(0x5eed_0001_9e37_79b9);
        let layers = (0..self.n_layers).map(|_| {
            let mut layer = random.layer(&config, Extras::default());
            if !self.attention {
                layer.wo.data.fill(0.0);
            }
            layer
        });
        let layers = layers.collect();
        let mut identity = random.tensor("identity", &[D_MODEL, D_MODEL], 0.0, 0.0);
        identity.data.iter_mut().step_by(D_MODEL + 1).for_each(|x| *x = 1.0);
        Checkpoint {
            source: "random weights".into(),
            architecture: "random".into(),
            layers,
            // The stream goes in as it is.
            embedding: identity,
            embedding_bias: None,
            class_token: None,
            positions: None,
            embedding_norm: None,
            embedding_norm_bias: None,
            final_norm: None,
            final_norm_bias: None,
            pooler: None,
            head: None,
            head_bias: None,
            tokenizer: None,
            config,
        }
    }
}

/// Random streams, `[seq][d_model]`, of standard deviation 1.
pub fn streams(d_model: usize, seq: usize) -> Vec<Vec<f32>> {
    let mut random = Random::new(0x5eed_0002_9e37_79b9);
    (0..seq).map(|_| (0..d_model).map(|_| random.float()).collect()).collect()
}
