//! Front ends: their table in an image, and the settings of training scripts that it is made of.

use crate::script::{change, choice};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::LazyLock;
use thumbformer::audio::{FrontEnd, FrontEndConfig, HostBuffers};
use thumbformer_checkpoint::front_end::{read, read_preprocessor};

/// Most numbers that are computed: frames of FFTs.
const WORK: usize = 1 << 13;

/// Hears a few samples, as a stream and as a clip.
pub fn heard(front_end: &FrontEnd<'_>, samples: &[i16], frames: Option<usize>) {
    let bands = front_end.bands();
    let fits = |count: usize| count * front_end.fft() <= WORK;
    let count = frames.unwrap_or_else(|| front_end.frames(samples.len()));
    let mut buffers = HostBuffers::new(front_end);
    let mut extractor = front_end.extractor(buffers.memory()).expect("buffers of its lengths");
    if fits(samples.len() / front_end.hop()) {
        let finite = |frame: &[f32]| assert!(frame.iter().all(|band| band.is_finite()));
        let (first, second) = samples.split_at(samples.len() / 3);
        let _ = extractor.push(first, finite).and_then(|()| extractor.push(second, finite));
    }
    if fits(count) && fits(front_end.frames(front_end.clip_samples(count))) && fits(front_end.frames(samples.len())) {
        let mut out = vec![0.0; count * bands];
        if let Ok(own) = extractor.clip(samples, &mut out) {
            assert!(own <= count && out.iter().all(|band| band.is_finite()));
        }
    }
}

/// The tables of the presets.
static TABLES: LazyLock<Vec<Vec<u32>>> = LazyLock::new(|| {
    let presets = [
        FrontEndConfig::kws(),
        FrontEndConfig::torchaudio(),
        FrontEndConfig::librosa(),
        FrontEndConfig::kaldi(),
        FrontEndConfig::thumbformer(),
    ];
    presets.iter().map(|preset| preset.words().expect("a front end")).collect()
});

/// A table with changed words, each an index and a value; the bytes behind a zero index of all ones are samples.
pub fn table(data: &[u8]) {
    let (kind, mut rest) = choice(data, TABLES.len());
    let mut words = TABLES[kind].clone();
    while let Some(([a, b, value @ ..], later)) = rest.split_first_chunk::<6>() {
        rest = later;
        let index = usize::from(u16::from_le_bytes([*a, *b]));
        if index == 0xffff {
            break;
        }
        let place = index % words.len();
        words[place] = u32::from_le_bytes(*value);
    }
    if let Ok(front_end) = FrontEnd::parse(&words) {
        heard(&front_end, &samples(rest), None);
    }
}

fn samples(bytes: &[u8]) -> Vec<i16> {
    bytes.as_chunks::<2>().0.iter().map(|&sample| i16::from_le_bytes(sample)).cycle().take(2048).collect()
}

fn made(config: &FrontEndConfig) {
    let words = config.words().expect("settings that were accepted");
    let front_end = FrontEnd::parse(&words).expect("a table of accepted settings");
    heard(&front_end, &[0, 1, -1, 9000, -32768, 32767, 5, 5].repeat(256), None);
    if let Some(dct) = config.mfcc_matrix() {
        assert!(dct.iter().all(|weight| weight.is_finite()));
    }
}

/// Lines that change the settings of a preset.
pub fn config(data: &[u8]) {
    let presets = ["kws", "torchaudio", "librosa", "kaldi", "thumbformer"];
    let (kind, text) = choice(data, presets.len());
    let mut settings = json!({ "preset": presets[kind] });
    String::from_utf8_lossy(text).lines().for_each(|line| change(&mut settings, line));
    if let Ok(config) = read(Path::new("config.json"), &settings) {
        made(&config);
    }
}

/// Lines that change `preprocessor_config.json`.
pub fn preprocessor(data: &[u8]) {
    static FILES: LazyLock<[Value; 2]> = LazyLock::new(|| {
        ["audio/ast/preprocessor_config.json", "audio/whisper/preprocessor_config.json"].map(crate::golden_json)
    });
    let (kind, text) = choice(data, FILES.len());
    let mut settings = FILES[kind].clone();
    String::from_utf8_lossy(text).lines().for_each(|line| change(&mut settings, line));
    if let Ok(preprocessor) = read_preprocessor(Path::new("preprocessor_config.json"), &settings) {
        made(&preprocessor.front_end);
    }
}
