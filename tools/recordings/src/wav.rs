//! Sound from WAV files.
//!
//! Recorders that stream write a length of 0 or of all ones before they know it, and some never come back to correct it; a rate of bytes
//! may be 0. Players read such files to their end. Here what follows from the rest of the file is corrected; then a library reads it.

use anyhow::{Context, Result, bail, ensure};
use hound::{SampleFormat, WavReader};
use std::path::Path;

/// Samples of one channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sound {
    /// Samples a second.
    pub rate: u32,
    /// The samples; those of other widths are rounded to 16 bits.
    pub samples: Vec<i16>,
}

impl Sound {
    /// Reads a file of one channel: integers of 8, 16, 24 or 32 bits, or floats of 32.
    ///
    /// # Errors
    /// For any other kind of file; the error names its format.
    pub fn read(file: &Path) -> Result<Sound> {
        let bytes = std::fs::read(file).with_context(|| format!("{}: cannot be read", file.display()))?;
        Sound::from_bytes(&bytes).with_context(|| format!("{}", file.display()))
    }

    /// Its samples, if it has this rate.
    ///
    /// # Errors
    /// For another rate.
    pub fn at(self, rate: u32) -> Result<Vec<i16>> {
        let found = self.rate;
        ensure!(found == rate, "{found} Hz, expected {rate} Hz: resample it, as by `sox in.wav -r {rate} out.wav`");
        Ok(self.samples)
    }

    /// The same for a file's bytes.
    ///
    /// # Errors
    /// As [`Sound::read`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Sound> {
        let essentials = essentials(bytes)?;
        let mut reader =
            WavReader::new(&essentials[..]).context("its samples cannot be read; export it as 16-bit PCM")?;
        let spec = reader.spec();
        ensure!(
            spec.channels == 1,
            "{} channels, expected 1: mix them down, or export the one that the model is for",
            spec.channels
        );
        let samples: Result<Vec<i16>, hound::Error> = match (spec.sample_format, spec.bits_per_sample) {
            (SampleFormat::Int, 16) => reader.samples::<i16>().collect(),
            (SampleFormat::Int, 8) => reader.samples::<i8>().map(|sample| Ok(i16::from(sample?) << 8)).collect(),
            (SampleFormat::Int, bits @ (24 | 32)) => {
                reader.samples::<i32>().map(|sample| Ok(narrowed(sample?, bits))).collect()
            }
            // The conversion saturates, and makes 0 of what is no number.
            (SampleFormat::Float, 32) => {
                reader.samples::<f32>().map(|sample| Ok((sample? * 32768.0).round_ties_even() as i16)).collect()
            }
            (format, bits) => bail!("samples of {bits} bits ({format:?}): export it as 16-bit PCM"),
        };
        Ok(Sound { rate: spec.sample_rate, samples: samples.context("damaged: record or copy it again")? })
    }
}

/// The highest 16 bits, rounded.
fn narrowed(sample: i32, bits: u16) -> i16 {
    let shift = bits - 16;
    let rounded = (i64::from(sample) + (1 << (shift - 1))) >> shift;
    rounded.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// Lengths from here on, about 2 GiB, are those of recorders that stream.
const STREAMED: usize = 0x7fff_0000;

/// The format and the samples of a file alone, with the lengths and the rate of bytes that they have: the library follows the header's,
/// and knows no padding.
fn essentials(bytes: &[u8]) -> Result<Vec<u8>> {
    ensure!(
        bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WAVE"),
        "not a WAV file, whatever its name: export the recording as WAV"
    );
    let (mut rest, mut format) = (&bytes[12..], None);
    while let Some((header, content)) = rest.split_first_chunk::<8>() {
        let [name @ .., a, b, c, d] = *header;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if &name == b"data" {
            let format = format.context("its samples come before their format: export it anew")?;
            let streamed = length == 0 || length >= STREAMED;
            let samples = if streamed { Some(content) } else { content.get(..length) };
            let found = content.len();
            return with_lengths(
                format,
                samples.with_context(|| {
                    format!("cut off: {length} bytes of samples by its header, found {found}; record or copy it again")
                })?,
            );
        }
        let chunk = content.get(..length).context("cut off in its header: record or copy it again")?;
        if &name == b"fmt " {
            format = Some(chunk);
        }
        // Chunks of an odd length are followed by a byte of padding.
        rest = content.get(length + length % 2..).unwrap_or_default();
    }
    bail!("no samples in it: export the recording as WAV")
}

fn with_lengths(format: &[u8], samples: &[u8]) -> Result<Vec<u8>> {
    let mut format = format.to_vec();
    let fields = format.get(..16).context("its format is cut off: export it anew")?;
    let rate = u32::from_le_bytes([fields[4], fields[5], fields[6], fields[7]]);
    let block = u16::from_le_bytes([fields[12], fields[13]]).max(1);
    format[8..12].copy_from_slice(&rate.wrapping_mul(block.into()).to_le_bytes());
    let samples = &samples[..samples.len() - samples.len() % usize::from(block)];
    ensure!(!samples.is_empty(), "no samples: record for longer");
    let chunk = |name: &[u8; 4], content: &[u8]| [&name[..], &(content.len() as u32).to_le_bytes(), content].concat();
    let chunks = [&b"WAVE"[..], &chunk(b"fmt ", &format), &chunk(b"data", samples)].concat();
    Ok(chunk(b"RIFF", &chunks))
}

#[cfg(test)]
mod tests {
    use super::Sound;

    /// A file of these chunks; the lengths as given, or right.
    fn file(chunks: &[(&[u8; 4], &[u8], Option<u32>)]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVE".to_vec();
        for (name, content, length) in chunks {
            bytes.extend(*name);
            bytes.extend(length.unwrap_or(content.len() as u32).to_le_bytes());
            bytes.extend(*content);
            if content.len() % 2 == 1 && length.is_none() {
                bytes.push(0);
            }
        }
        bytes
    }

    /// The format chunk: kind (1 integers, 3 floats), channels, rate, bits.
    fn format(kind: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
        let block = channels * bits / 8;
        let (kind, channels, block_bytes, bits) =
            (kind.to_le_bytes(), channels.to_le_bytes(), block.to_le_bytes(), bits.to_le_bytes());
        [&kind[..], &channels, &rate.to_le_bytes(), &(rate * u32::from(block)).to_le_bytes(), &block_bytes, &bits]
            .concat()
    }

    fn read(bytes: Vec<u8>) -> Result<Sound, String> {
        Sound::from_bytes(&bytes).map_err(|error| format!("{error:#}"))
    }

    const PCM: [u8; 6] = [1, 0, 0xff, 0x7f, 0, 0x80];

    #[test]
    fn files_are_read_to_the_end_whatever_lengths_their_header_has() {
        let format = format(1, 1, 16_000, 16);
        let mut without_rate_of_bytes = format.clone();
        without_rate_of_bytes[8..12].fill(0);
        let expected = Sound { rate: 16_000, samples: vec![1, i16::MAX, i16::MIN] };
        for (case, bytes) in [
            ("right", file(&[(b"fmt ", &format, None), (b"data", &PCM, None)])),
            ("streamed", file(&[(b"fmt ", &format, None), (b"data", &PCM, Some(u32::MAX))])),
            ("zero", file(&[(b"fmt ", &format, None), (b"data", &PCM, Some(0))])),
            ("streamed by sox", file(&[(b"fmt ", &format, None), (b"data", &PCM, Some(0x7fff_ffff))])),
            ("an odd byte", file(&[(b"fmt ", &format, None), (b"data", &[&PCM[..], &[9]].concat(), Some(0))])),
            ("no rate of bytes", file(&[(b"fmt ", &without_rate_of_bytes, None), (b"data", &PCM, None)])),
            ("padding", file(&[(b"LIST", b"hello", None), (b"fmt ", &format, None), (b"data", &PCM, None)])),
            ("a chunk behind", file(&[(b"fmt ", &format, None), (b"data", &PCM, None), (b"LIST", b"more", None)])),
        ] {
            assert_eq!(read(bytes).as_ref(), Ok(&expected), "{case}");
        }
    }

    #[test]
    fn other_widths_are_rounded_to_16_bits() {
        let floats: Vec<u8> = [0.5f32, -1.0, 2.0, 1.5 / 32768.0].iter().flat_map(|float| float.to_le_bytes()).collect();
        let wide: Vec<u8> =
            [0x4000_0000_i32, 0x8000, 0x7fff, i32::MAX].iter().flat_map(|int| int.to_le_bytes()).collect();
        for (kind, bits, content, expected) in [
            (1, 8, vec![128, 0, 255, 129], vec![0, i16::MIN, 127 << 8, 1 << 8]),
            (1, 24, vec![0x00, 0x01, 0x00, 0x80, 0x00, 0x00, 0xff, 0xff, 0x7f], vec![1, 1, i16::MAX]),
            (1, 32, wide, vec![0x4000, 1, 0, i16::MAX]),
            (3, 32, floats, vec![0x4000, i16::MIN, i16::MAX, 2]),
        ] {
            let bytes = file(&[(b"fmt ", &format(kind, 1, 8000, bits), None), (b"data", &content, None)]);
            assert_eq!(read(bytes).map(|sound| sound.samples), Ok(expected), "{bits} bits");
        }
    }

    #[test]
    fn what_is_no_recording_of_one_channel_is_refused_by_name_and_never_a_panic() {
        let sound = file(&[(b"fmt ", &format(1, 1, 8000, 16), None), (b"data", &PCM, None)]);
        for (bytes, expected) in [
            (b"ID3 a song of another format".to_vec(), "not a WAV file"),
            (file(&[(b"fmt ", &format(1, 2, 8000, 16), None), (b"data", &PCM, None)]), "2 channels, expected 1"),
            (file(&[(b"fmt ", &format(7, 1, 8000, 8), None), (b"data", &PCM, None)]), "export it as 16-bit PCM"),
            (file(&[(b"fmt ", &format(1, 1, 8000, 16), None), (b"LIST", &PCM, None)]), "no samples in it"),
            (
                file(&[(b"fmt ", &format(1, 1, 8000, 16), None), (b"data", &PCM, Some(500))]),
                "cut off: 500 bytes of samples by its header, found 6",
            ),
            (file(&[(b"data", &PCM, None)]), "before their format"),
            (file(&[(b"fmt ", &format(1, 1, 8000, 16), None), (b"data", &[], None)]), "no samples: record for longer"),
        ] {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        }
        for length in 0..sound.len() {
            assert!(read(sound[..length].to_vec()).is_err(), "{length}");
        }
    }
}
