//! Computations of the minimal programs; `cargo xtask bench size` computes the same on the host.

use thumbformer::audio::Extractor;
use thumbformer::text::argmax;
use thumbformer::{Error, LogitsCrc, Session};

/// Steps of the decoder after its prompt.
const STEPS: usize = 12;
/// Frames of the stream.
const FRAMES: usize = 40;
/// Samples that the front end takes at once.
const SAMPLES: usize = 160;

/// A decoder: a prompt at once, then greedy steps. No tokenizer, no sampling.
#[inline(never)]
pub fn decoder(session: &mut Session<'_, '_>) -> Result<u32, Error> {
    let mut crc = LogitsCrc::new();
    let logits = session.prefill(&[1, 5, 9, 13])?;
    crc.update(logits);
    let mut token = argmax(logits);
    for _ in 0..STEPS {
        let logits = session.decode(token)?;
        crc.update(logits);
        token = argmax(logits);
    }
    Ok(crc.total())
}

/// A classifier of a stream of sensor frames, made in `frame` one after the other. No audio.
#[inline(never)]
pub fn stream(session: &mut Session<'_, '_>, frame: &mut [f32]) -> Result<u32, Error> {
    let (mut crc, mut noise) = (LogitsCrc::new(), Noise(1));
    for _ in 0..FRAMES {
        frame.iter_mut().for_each(|number| *number = f32::from(noise.next()) / 32_768.0);
        crc.update(session.push(frame)?);
    }
    Ok(crc.total())
}

/// Spoken digits with their front end: samples in, outputs out.
#[inline(never)]
pub fn digits(
    session: &mut Session<'_, '_>,
    extractor: &mut Extractor<'_, '_>,
    frames: &mut [f32],
) -> Result<u32, Error> {
    let (mut crc, mut noise, mut filled) = (LogitsCrc::new(), Noise(1), 0);
    while filled < frames.len() {
        let samples: [i16; SAMPLES] = core::array::from_fn(|_| noise.next());
        extractor.push(&samples, |frame| {
            if let Some(free) = frames.get_mut(filled..filled + frame.len()) {
                free.copy_from_slice(frame);
            }
            filled += frame.len();
        })?;
    }
    crc.update(session.infer(&*frames)?);
    Ok(crc.total())
}

/// Noise by a linear congruential generator (Numerical Recipes, 3rd edition, 7.1): the same everywhere.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> i16 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) as i16
    }
}
