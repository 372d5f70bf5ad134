//! Weights that a packing cannot hold are refused: host and chip would compute different things.

mod common;

use common::{SHAPES, entry, error, packed, repair};
use thumbformer::image::layout::{ENCODING_Q4, section};
use thumbformer::{Error, Packing, Tensor};

/// The format leaves -128 and -8 out, which some packings cannot tell from other numbers: host and chip would compute different things.
#[test]
fn a_weight_that_not_every_backend_reads_alike_is_refused_in_every_packing() {
    for packing in Packing::ALL {
        for shape in &SHAPES[..2] {
            let sound = packed(shape, 1, packing);
            for tensor in [Tensor::Embedding, Tensor::Query, Tensor::Down] {
                let at = entry(&sound, tensor, 0);
                let first = sound[at + section::OFFSET] as usize / 4;
                let is_int4 = sound[at + section::ENCODING] == ENCODING_Q4;
                // A word of all such integers.
                let bad = match (packing, is_int4) {
                    (Packing::M0, _) => 0,
                    (Packing::M4, false) => 0x7f80_7f80,
                    (Packing::M4, true) => 0x8000_8000,
                    (Packing::M55, true) => 0x7878_7878,
                    (_, true) => 0x8888_8888,
                    _ => 0x8080_8080,
                };
                let mut words = sound.clone();
                words[first + 1] = bad;
                repair(&mut words);
                let expected = Error::BadValue { tensor, layer: 0, index: 1 };
                assert_eq!(error(&words), expected, "{packing:?} {is_int4}");
            }
        }
    }
}

/// 0x7FFF: the upper row of the pair is 128, which the M4 computes with and eight bits cannot hold.
#[test]
fn the_half_word_that_host_and_m4_read_differently_is_refused() {
    let mut words = packed(&SHAPES[0], 1, Packing::M4);
    let at = entry(&words, Tensor::Query, 0);
    let first = words[at + section::OFFSET] as usize / 4;
    words[first + 3] = words[first + 3] & 0xffff | 0x7fff_0000;
    repair(&mut words);
    assert_eq!(error(&words), Error::BadValue { tensor: Tensor::Query, layer: 0, index: 3 });
    assert!(error(&words).to_string().contains("Query of layer 0, value 3: "), "{}", error(&words));
}
