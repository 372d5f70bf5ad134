//! Front ends as `config.json` and `preprocessor_config.json` describe them, against the frames of torchaudio, librosa and
//! transformers, recorded in `tests/golden/audio`.

use serde_json::Value;
use std::path::{Path, PathBuf};
use thumbformer::audio::{FrontEnd, FrontEndConfig, HostBuffers, Spectrum};
use thumbformer_checkpoint::front_end;

/// Frames of a sound by a framework.
struct Golden {
    front_end: String,
    sound: String,
    frames: usize,
    bands: usize,
    low: f64,
    high: f64,
    /// The frames that were kept, and their values.
    kept: Vec<usize>,
    values: Vec<f64>,
}

fn goldens() -> Vec<Golden> {
    let folder = folder();
    let index = std::fs::read_to_string(folder.join("frames.tsv")).expect("frames.tsv");
    let bytes = std::fs::read(folder.join("frames.u16")).expect("frames.u16");
    let mut integers = bytes.as_chunks::<2>().0.iter().map(|&pair| f64::from(u16::from_le_bytes(pair)));
    let rows = index.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        let count = |cell: usize| cells[cell].parse::<usize>().expect("a count");
        let float = |cell: usize| cells[cell].parse::<f64>().expect("a float");
        let kept: Vec<usize> = cells[6].split(',').map(|frame| frame.parse().expect("a frame")).collect();
        let (low, high) = (float(4), float(5));
        let values =
            integers.by_ref().take(kept.len() * count(3)).map(|integer| low + (high - low) * integer / 65_535.0);
        let values = values.collect();
        Golden {
            front_end: cells[0].into(),
            sound: cells[1].into(),
            frames: count(2),
            bands: count(3),
            low,
            high,
            kept,
            values,
        }
    });
    let rows = rows.collect();
    assert_eq!(integers.next(), None, "more values than the index has");
    rows
}

/// The sounds that `audio_files.py` makes.
fn sound(name: &str) -> Vec<i16> {
    let mut state = 1_u32;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        ((state >> 16) as i32 - 32_768) as i16
    };
    let (mut phase, mut speed) = (0_u32, 20_000_000_u32);
    let mut glide = || {
        phase = phase.wrapping_add(speed);
        speed += 100_000;
        ((phase.cast_signed() >> 15).abs() - 32_768).min(32_767) as i16
    };
    match name {
        "noise" => (0..6000).map(|_| noise()).collect(),
        "quiet noise" => (0..6000).map(|_| noise() >> 9).collect(),
        "fading noise" => (0..6000).map(|i| noise() >> (i / 500)).collect(),
        "glide" => (0..6000).map(|_| glide()).collect(),
        "clicks" => (0..6000).map(|i| if i % 997 == 100 { 20_000 } else { 0 }).collect(),
        recording => {
            let path = format!("{}/../../models/digits/fixtures/{recording}.wav", env!("CARGO_MANIFEST_DIR"));
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            let start = bytes.windows(4).position(|tag| tag == b"data").expect("a chunk of samples") + 8;
            bytes[start..].as_chunks::<2>().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect()
        }
    }
}

/// Settings of a front end: what transformers saved, or the object of its name in `front_ends.json`.
fn config(name: &str, objects: &Value) -> FrontEndConfig {
    let saved = match name {
        "kaldi" => "ast",
        "whisper" => "whisper",
        name => {
            let path = folder().join("front_ends.json");
            return front_end::read(&path, &objects[name]).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    };
    let path = folder().join(saved).join("preprocessor_config.json");
    front_end::read_preprocessor(&path, &json(&path)).unwrap_or_else(|error| panic!("{error}")).front_end
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/audio")
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All frames of a sound, cepstral coefficients where the settings ask for them.
fn frames(config: &FrontEndConfig, samples: &[i16], frames: usize) -> Vec<f64> {
    let words = config.words().expect("settings of a framework");
    let front_end = FrontEnd::parse(&words).expect("a front end");
    let mut buffers = HostBuffers::new(&front_end);
    let mut found = vec![0.0; frames * front_end.bands()];
    front_end.extractor(buffers.memory()).expect("memory").clip(samples, &mut found).expect("a clip");
    let found: Vec<f64> = found.into_iter().map(f64::from).collect();
    let Some(matrix) = config.mfcc_matrix() else { return found };
    let product = |frame: &[f64], row: &[f64]| frame.iter().zip(row).map(|(band, weight)| band * weight).sum::<f64>();
    let bands = front_end.bands();
    // The matrix is that of bands before offset and scale.
    let of = |list: &[f64], band: usize| list.get(band).copied().unwrap_or(list[0]);
    let plain =
        |(index, value): (usize, &f64)| value / of(&config.scale, index % bands) + of(&config.offset, index % bands);
    let found: Vec<f64> = found.iter().enumerate().map(plain).collect();
    found.chunks(bands).flat_map(|frame| matrix.chunks(bands).map(move |row| product(frame, row))).collect()
}

/// Decibels of a bin of a spectrogram, by the natural logarithm, below its frame's loudest.
fn decibels(config: &FrontEndConfig, distance: f64) -> f64 {
    distance * std::f64::consts::LOG10_E * if config.spectrum == Spectrum::Power { 10.0 } else { 20.0 }
}

/// Values that `audio_files.py` keeps lie within 1e-3 of the range of its sound's frames, but for three bins in a thousand of plain
/// spectrograms, 70 dB and more below the loudest of their frame: the window's 16 bits. Filters sum over bins, which hides them;
/// the core's `tests/front_end_exact.rs` has the levels at which it ceases to.
#[test]
fn frames_are_those_of_the_frameworks() {
    let mut failed = Vec::new();
    let (goldens, objects) = (goldens(), json(&folder().join("front_ends.json")));
    for group in goldens.chunk_by(|a, b| a.front_end == b.front_end) {
        let name = &group[0].front_end;
        let config = config(name, &objects);
        let (mut count, mut beyond, mut quiet, mut worst) = (0, 0, 0, (0.0, ""));
        for golden in group {
            let found = frames(&config, &sound(&golden.sound), golden.frames);
            for (index, expected) in golden.kept.iter().zip(golden.values.chunks(golden.bands)) {
                let loudest = expected.iter().copied().fold(f64::MIN, f64::max);
                for (found, expected) in found[index * golden.bands..].iter().zip(expected) {
                    let error = (found - expected).abs() / (golden.high - golden.low);
                    count += 1;
                    beyond += u32::from(error > 1e-3);
                    quiet += u32::from(error > 1e-3 && decibels(&config, loudest - expected) > 70.0);
                    if error > worst.0 {
                        worst = (error, &golden.sound);
                    }
                }
            }
        }
        println!("{name}: {beyond} of {count} beyond 1e-3 of the range, worst {:.1e} ({})", worst.0, worst.1);
        let allowed = if name.starts_with("spectrogram") { quiet.min(count * 3 / 1000) } else { 0 };
        if beyond > allowed {
            failed.push(name);
        }
    }
    assert!(goldens.len() > 200, "{} sounds", goldens.len());
    assert!(failed.is_empty(), "{failed:?}");
}
