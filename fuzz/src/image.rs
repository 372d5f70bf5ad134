//! Images: sound ones with changed words and a repaired CRC, and words of any kind.

use crate::golden;
use crate::model::{Given, used};
use crate::networks::{ENCODERS, SHAPES, encoder, image, repair};
use arbitrary::{Result, Unstructured};
use std::sync::LazyLock;
use thumbformer::Model;
use thumbformer::image::layout::{header, section};
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::convert::{Settings, convert};

/// Golden checkpoints whose images have what the test models lack: MLP heads, two class tokens, norms of queries, a front end.
const CHECKPOINTS: [&str; 6] = [
    "ends/everything/checkpoint",
    "ends/class_last/checkpoint",
    "ends/distilled/checkpoint",
    "ends/conv_mlp/checkpoint",
    "keywords/logmel",
    "qwen3/checkpoint",
];

/// Sound images.
static IMAGES: LazyLock<Vec<Vec<u32>>> = LazyLock::new(|| {
    // The fourth is several times as large as the others and has nothing that they lack.
    let shapes = SHAPES.iter().filter(|shape| shape.d_ff < 50).map(|shape| image(shape, 1));
    let encoders = ENCODERS.iter().map(|&kind| encoder(kind, 1));
    let converted = CHECKPOINTS.iter().map(|name| {
        let checkpoint = Checkpoint::load(&golden(name), None).expect("a golden checkpoint");
        convert(&checkpoint, Settings::default(), &mut |_| ()).expect("an image")
    });
    shapes.chain(encoders).chain(converted).collect()
});

/// Changes some words of a sound image.
pub fn changed(data: &[u8]) {
    let _ = change(Unstructured::new(data));
}

fn change(mut u: Unstructured<'_>) -> Result<()> {
    let mut words = u.choose(&IMAGES)?.clone();
    let first = header::WORDS + section::WORDS * words[header::SECTIONS] as usize;
    for _ in 0..u.arbitrary::<u8>()? % 16 {
        let (kind, index, value): (u8, u16, u32) = u.arbitrary()?;
        let index = usize::from(index);
        let at = match kind % 4 {
            0 => index % header::WORDS,
            1 => header::WORDS + index % (first - header::WORDS),
            // Scale and multipliers of a section.
            2 => {
                let entry = header::WORDS + index % words[header::SECTIONS].max(1) as usize * section::WORDS;
                let scales = words.get(entry + section::SCALES).map_or(0, |&scales| scales as usize / 4);
                scales + usize::from(kind / 4 % 8)
            }
            _ => first + index % (words.len() - first),
        };
        if let Some(word) = words.get_mut(at) {
            *word = value;
        }
    }
    repair(&mut words);
    let Ok(model) = Model::parse(&words) else { return Ok(()) };
    let tokens: Vec<u16> = (0..u.arbitrary::<u8>()? % 12).map(|_| u.arbitrary()).collect::<Result<_>>()?;
    // As many frames as a byte says, of a few bytes each; the last byte goes on.
    let count = usize::from(u.arbitrary::<u8>()? % 8);
    let frames: Vec<f32> = (0..count * model.dims().n_features.clamp(1, 64))
        .map(|_| if u.is_empty() { Ok(0.5) } else { u.arbitrary().map(f32::from_bits) })
        .collect::<Result<_>>()?;
    let length = usize::from(u.arbitrary::<u8>()? % 64).min(u.len());
    let text = String::from_utf8_lossy(u.bytes(length)?);
    let samples: Vec<i16> =
        u.take_rest().iter().cycle().take(2048).map(|&byte| i16::from(byte.cast_signed()) << 7).collect();
    used(&model, &Given { tokens: &tokens, frames: &frames, text: &text, samples: &samples });
    Ok(())
}

/// Reads bytes as an image, as they are and behind a sound header and section table.
pub fn words(data: &[u8]) {
    let given = Given { tokens: &[0, 0, 1], frames: &[0.5; 33], text: "ab", samples: &[100; 2048] };
    let mut words: Vec<u32> =
        data.chunks(4).map(|chunk| chunk.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))).collect();
    let _ = Model::parse(&words);
    repair(&mut words);
    if let Ok(model) = Model::parse(&words) {
        used(&model, &given);
    }
    let sound = &IMAGES[2];
    let first = header::WORDS + section::WORDS * sound[header::SECTIONS] as usize;
    let contents = words.iter().copied().chain(sound[first..].iter().copied()).take(sound.len() - first);
    let mut behind: Vec<u32> = sound[..first].iter().copied().chain(contents).collect();
    repair(&mut behind);
    if let Ok(model) = Model::parse(&behind) {
        used(&model, &given);
    }
}
