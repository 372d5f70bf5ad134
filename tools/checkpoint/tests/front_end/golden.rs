//! Front ends as `config.json` and `preprocessor_config.json` describe them, against the frames of torchaudio, librosa and
//! transformers, recorded in `tests/golden/audio`.

use crate::sounds::sound;
use serde_json::Value;
use std::f64::consts::{LOG10_2, LOG10_E};
use std::path::{Path, PathBuf};
use thumbformer::audio::{FrontEnd, FrontEndConfig, HostBuffers, Logarithm, Spectrum};
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
    let folder = whole().unwrap_or_else(folder);
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

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folder() -> PathBuf {
    root().join("tests/golden/audio")
}

/// Folder of all frames, if one is given.
fn whole() -> Option<PathBuf> {
    std::env::var_os("THUMBFORMER_AUDIO_FRAMES").map(PathBuf::from)
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

/// Largest error, as a share of the range of a sound's frames.
const NEAR: f64 = 1e-3;
/// Least share of values near those of the framework, for each front end, of recordings and noise.
const SHARE: f64 = 0.999;

/// Values of a front end beside those of its framework.
#[derive(Clone, Copy, Default)]
struct Compared {
    values: u32,
    beyond: u32,
    worst: f64,
    /// Decibels of the loudest value beyond, below the loudest band of its frame.
    begins: Option<f64>,
}

impl Compared {
    fn add(&mut self, golden: &Golden, found: &[f64], config: &FrontEndConfig) {
        for (index, expected) in golden.kept.iter().zip(golden.values.chunks(golden.bands)) {
            let loudest = expected.iter().copied().fold(f64::MIN, f64::max);
            for (found, expected) in found[index * golden.bands..].iter().zip(expected) {
                let error = (found - expected).abs() / (golden.high - golden.low);
                let level = (loudest - expected) * decibels(config);
                self.values += 1;
                self.worst = self.worst.max(error);
                if error > NEAR {
                    self.beyond += 1;
                    self.begins = Some(self.begins.map_or(level, |begins| begins.min(level)));
                }
            }
        }
    }

    fn share(&self) -> f64 {
        1.0 - f64::from(self.beyond) / f64::from(self.values.max(1))
    }
}

/// Decibels of a step of 1.
fn decibels(config: &FrontEndConfig) -> f64 {
    let of_spectrum = if config.spectrum == Spectrum::Power { 10.0 } else { 20.0 };
    let step = match config.logarithm {
        Logarithm::Natural => of_spectrum * LOG10_E,
        Logarithm::Two => of_spectrum * LOG10_2,
        Logarithm::Ten => of_spectrum,
        Logarithm::PowerDecibel => of_spectrum / 10.0,
        Logarithm::AmplitudeDecibel => of_spectrum / 20.0,
    };
    step / config.scale[0]
}

/// Row of the page's table that a front end is part of.
fn row(name: &str, config: &FrontEndConfig) -> String {
    match name {
        "torchaudio" | "librosa" | "kws" | "kaldi" => format!("preset `{name}`"),
        "whisper" => "`WhisperFeatureExtractor`".into(),
        name if name.starts_with("spectrogram") => "plain spectrograms".into(),
        _ if config.mfcc.is_some() => "cepstral coefficients".into(),
        _ if config.spectrum == Spectrum::Power => "other mel bands, of the power".into(),
        _ => "other mel bands, of the magnitude".into(),
    }
}

/// A front end of each framework's sounds: of recordings and noise, and of a glide and clicks.
type Both = [Compared; 2];

/// A row of the page: the least share, and the loudest of what lies beyond.
fn cells(front_ends: &[Both]) -> [String; 3] {
    let share = |of: usize| {
        let least = front_ends.iter().map(|both| both[of].share()).fold(1.0, f64::min);
        if least < 1.0 { format!("{:.2} %", (least * 1e4).floor() / 100.0) } else { "all".into() }
    };
    let begins = front_ends.iter().filter_map(|both| both[0].begins).reduce(f64::min);
    [share(0), begins.map_or("none".into(), |level| format!("{level:.0} dB")), share(1)]
}

/// All frames where `THUMBFORMER_AUDIO_FRAMES` names a folder of them, which `audio_files.py whole` writes; their shares and levels are
/// those of the page. Otherwise the committed ones, which contradict the page nowhere.
#[test]
fn frames_are_those_of_the_frameworks_but_for_the_shares_and_from_the_levels_of_the_page() {
    let (goldens, objects) = (goldens(), json(&folder().join("front_ends.json")));
    let mut rows: Vec<(String, Vec<Both>)> = Vec::new();
    for group in goldens.chunk_by(|a, b| a.front_end == b.front_end) {
        let name = &group[0].front_end;
        let config = config(name, &objects);
        let mut both = Both::default();
        for golden in group {
            let found = frames(&config, &sound(&golden.sound), golden.frames);
            both[usize::from(["glide", "clicks"].contains(&golden.sound.as_str()))].add(golden, &found, &config);
        }
        for (of, Compared { values, beyond, worst, begins }) in
            ["recordings and noise", "glide and clicks"].iter().zip(both)
        {
            let from = begins.map_or(String::new(), |level| format!(" from {level:.1} dB on"));
            println!("{name}, {of}: {beyond} of {values} values beyond 1e-3 of the range{from}, worst {worst:.1e}");
        }
        assert!(both[0].share() >= SHARE, "{name}: {:.3} %", 100.0 * both[0].share());
        let title = row(name, &config);
        match rows.iter_mut().find(|row| row.0 == title) {
            Some((_, front_ends)) => front_ends.push(both),
            None => rows.push((title, vec![both])),
        }
    }
    assert!(goldens.len() > 500, "{} sounds", goldens.len());
    let page = std::fs::read_to_string(root().join("docs/front-ends.md")).expect("the page");
    if whole().is_some() {
        let line =
            |(title, front_ends): &(String, Vec<Both>)| format!("  | {title} | {} |\n", cells(front_ends).join(" | "));
        let table: String = rows.iter().map(line).collect();
        assert!(page.contains(&format!("|---|\n{table}\n")), "docs/front-ends.md: expected the rows\n{table}");
        return;
    }
    // Some of the frames: what lies beyond is no louder than the page says.
    for (title, front_ends) in rows {
        let line = page.lines().find(|line| line.contains(&format!("| {title} |")));
        let line = line.unwrap_or_else(|| panic!("docs/front-ends.md: no row for {title}"));
        let stated = line.split(" dB").next().and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        let begins = front_ends.iter().filter_map(|both| both[0].begins).reduce(f64::min);
        let quieter = begins.is_none_or(|begins| stated.is_some_and(|stated| begins >= stated - 0.5));
        assert!(quieter, "found {begins:?} dB, docs/front-ends.md has {line}");
    }
}
