//! A missed bound names the tensor, or the rounding, where the signal is lost.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use thumbformer::Model;
use thumbformer_checkpoint::random::{Extras, Random};
use thumbformer_checkpoint::{Checkpoint, Config, Input, Mask, Options, Pooling, Positions, Tensor, Tensors};
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::verify::{Lost, Sequence};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// CRC-32 as zlib computes it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

/// The words of an image, a matrix of which is moved by some bytes; the CRC is mended.
fn damaged(words: &[u32], tensor: Tensor, layer: usize) -> Vec<u8> {
    let model = Model::parse(words).expect("an image");
    let image = model.image();
    let section = (0..image.sections()).map(|index| image.section(index));
    let found =
        section.into_iter().find(|section| (section.tensor, section.layer) == (tensor, layer)).expect("the tensor");
    let mut bytes = thumbformer::image::bytes(words).to_vec();
    bytes[found.offset..found.offset + found.bytes].rotate_left(64);
    let end = bytes.len() - 4;
    let crc = crc32(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn one_damaged_matrix_of_an_image_is_named() {
    let checkpoint = root().join("tests/golden/llama/checkpoint");
    let float = Checkpoint::load(&checkpoint, None).unwrap_or_else(|error| panic!("{error}"));
    let words = convert(&float, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{error:#}"));
    let folder = TempDir::new().expect("a folder");
    let (image, ids) = (folder.path().join("image.tbf"), folder.path().join("ids.txt"));
    std::fs::write(&ids, "1 7 33 12 5 40 22 7 19 3 28 11 45 9").expect("the folder is writable");
    for (tensor, layer) in
        [(Tensor::Down, 1), (Tensor::Query, 0), (Tensor::Value, 2), (Tensor::Up, 2), (Tensor::AttentionOutput, 1)]
    {
        std::fs::write(&image, damaged(&words, tensor, layer)).expect("the folder is writable");
        let output = Command::new(env!("CARGO_BIN_EXE_thumbformer"))
            .args([Path::new("verify"), &image, Path::new("--reference"), &checkpoint, Path::new("--tokens"), &ids])
            .output()
            .expect("the command starts");
        let said = String::from_utf8_lossy(&output.stderr);
        let expected = format!("most is lost in {} of layer {layer} (", tensor.name());
        assert!(!output.status.success() && said.contains(&expected), "{said}");
    }
}

/// A network whose MLP has one value that is much larger than the others, and that nothing reads.
#[test]
fn a_rounding_that_loses_the_signal_is_named() {
    let mut options = Options::ENCODER;
    (options.input, options.positions, options.pooling, options.head) =
        (Input::Frames, Positions::None, Pooling::Mean, false);
    options.mask = Mask::Bidirectional;
    let mut config = Config::new(options, 16, 2, 8);
    (config.n_layers, config.d_ff, config.max_seq, config.n_features) = (2, 32, 12, 6);
    let (mut random, mut tensors) = (Random::new(3), Tensors::default());
    for layer in 0..2 {
        random.layer(&mut tensors, &config, Extras { biases: true, norm_bias: true }, layer);
    }
    tensors.insert(Tensor::Embedding, 0, random.matrix(16, 6));
    tensors[(Tensor::UpBias, 1)].data[5] = 3000.0;
    tensors[(Tensor::Down, 1)].data.iter_mut().skip(5).step_by(32).for_each(|weight| *weight = 0.0);
    let (source, architecture) = ("random".to_string(), "random".to_string());
    let checkpoint =
        Checkpoint { source, architecture, config, tensors, tokenizer: None, notes: Vec::new(), front_end: None };
    let words = convert(&checkpoint, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{error:#}"));
    let model = Model::parse(&words).expect("an image");
    let sequences: Vec<Sequence> =
        (0..4).map(|_| Sequence::Frames((0..72).map(|_| random.float()).collect())).collect();
    let lost = Lost::of(&model, &checkpoint, &sequences.iter().collect::<Vec<_>>()).expect("computed");
    assert!(
        lost.sentence().contains("the rounding of activations to int8 at layers.1.mlp.hidden"),
        "{}",
        lost.sentence()
    );
    assert!(lost.exchanges[0].decibels > lost.decibels + 6.0, "{lost:?}");
}
