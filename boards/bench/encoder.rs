//! The encoder block that is measured: its image is made by the build script for the device and by `cargo xtask` for the host.

use thumbformer::bench::{ENCODER_TOKENS, Random};
use thumbformer::image::ImageWriter;
use thumbformer::{Dims, Options, Packing, Tensor};

/// The encoder block that is measured, with random weights: 64 tokens, `d_model` 64, 4 heads, hidden 256, LayerNorm, GELU, a bias
/// everywhere.
pub fn image(packing: Packing) -> Vec<u32> {
    const D: usize = 64;
    const FF: usize = 256;
    let mut dims = Dims::new(D, 1, 4, 4, D / 4, FF, 1, ENCODER_TOKENS, 1e-5).expect("dimensions of a decoder");
    (dims.vocab, dims.n_outputs) = (0, 0);
    dims.options = Options::ENCODER;
    let mut writer = ImageWriter::new(dims, packing);
    let mut random = Random(2);
    let mut floats = |count: usize, scale: f32, offset: f32| -> Vec<f32> {
        (0..count).map(|_| random.float() * scale + offset).collect()
    };
    for (tensor, bias, rows, cols) in [
        (Tensor::Query, Tensor::QueryBias, D, D),
        (Tensor::Key, Tensor::KeyBias, D, D),
        (Tensor::Value, Tensor::ValueBias, D, D),
        (Tensor::AttentionOutput, Tensor::AttentionOutputBias, D, D),
        (Tensor::Up, Tensor::UpBias, FF, D),
        (Tensor::Down, Tensor::DownBias, D, FF),
    ] {
        let weights = floats(rows * cols, 1.7 / (cols as f32).sqrt(), 0.0);
        writer.matrix(tensor, 0, rows, cols, &weights).expect("finite weights");
        writer.vector(bias, 0, &floats(rows, 0.1, 0.0)).expect("finite weights");
    }
    for (gain, bias) in [(Tensor::AttentionNorm, Tensor::AttentionNormBias), (Tensor::MlpNorm, Tensor::MlpNormBias)] {
        writer.vector(gain, 0, &floats(D, 0.3, 1.0)).expect("finite weights");
        writer.vector(bias, 0, &floats(D, 0.1, 0.0)).expect("finite weights");
    }
    writer.finish().expect("an image")
}
