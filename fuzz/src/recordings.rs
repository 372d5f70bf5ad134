//! Recordings: WAV and CSV files, and the windows that models take of them.

use crate::golden;
use std::sync::LazyLock;
use thumbformer::Model;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_recordings::{Recording, Sound, Table};

/// A golden checkpoint's model, which lives as long as the program.
fn model(name: &str) -> Model<'static> {
    let checkpoint = Checkpoint::load(&golden(name), None).expect("a golden checkpoint");
    let words = convert(&checkpoint, Settings::default(), &mut |_| ()).expect("an image");
    Model::parse(words.leak()).expect("a model")
}

/// Hears at 8000 Hz.
static HEARS: LazyLock<Model<'static>> = LazyLock::new(|| model("keywords/logmel"));
/// Reads columns of sensors.
static FEELS: LazyLock<Model<'static>> = LazyLock::new(|| model("your_model/checkpoint"));

fn cut(recording: Recording, model: &Model<'_>) {
    let Ok(windows) = recording.windows(model) else { return };
    assert!(!windows.windows.is_empty());
    for window in windows.windows.into_iter().take(2) {
        let _ = window.frames(model);
    }
}

/// A file's bytes as a WAV file.
pub fn wav(data: &[u8]) {
    if let Ok(sound) = Sound::from_bytes(data) {
        assert!(!sound.samples.is_empty());
        let _ = sound.clone().at(8000);
        cut(Recording::Sound(sound), &HEARS);
    }
}

/// A line of wanted columns, separated by commas, then a file's text.
pub fn csv(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (wanted, text) = text.split_once('\n').unwrap_or(("", &text));
    let wanted: Vec<String> = wanted.split(',').filter(|name| !name.is_empty()).map(String::from).collect();
    if let Ok(table) = Table::parse(text, &wanted) {
        assert_eq!(table.numbers.len() % table.columns.max(1), 0);
        assert!(table.numbers.iter().all(|number| number.is_finite()));
        cut(Recording::Table(table), &FEELS);
    }
}
