//! The inputs of a model: recordings, or a text.

use crate::image::Image;
use anyhow::{Context, Result};
use std::path::Path;
use thumbformer::Model;
use thumbformer_recordings::{Input, Recording};

/// Text that a language model is given.
const TEXT: &str = "Once upon a time, there was a little girl named Lily. She loved";

/// Bytes of flash that a model's first input takes.
///
/// # Errors
/// As [`signals`].
pub fn first_bytes(image: &Image) -> Result<usize> {
    Ok(signals(image, &image.model()?)?.first().map_or(0, |(_, signal)| signal.bytes()))
}

/// A model's input.
pub enum Signal {
    /// Tokens.
    Tokens(Vec<u16>),
    /// Numbers of frames.
    Frames(Vec<f32>),
    /// Samples.
    Sound(Vec<i16>),
}

impl Signal {
    /// Bytes of flash.
    pub fn bytes(&self) -> usize {
        match self {
            Signal::Tokens(tokens) => 2 * tokens.len(),
            Signal::Frames(frames) => 4 * frames.len(),
            Signal::Sound(samples) => 2 * samples.len(),
        }
    }
}

/// Has cargo run the build script again when a file changes; says nothing to other programs.
pub fn watch(file: &Path) {
    // Cargo sets OUT_DIR for the programs of a package with a build script too, which must print nothing of this.
    if ["OUT_DIR", "NUM_JOBS"].iter().all(|name| std::env::var_os(name).is_some()) {
        println!("cargo:rerun-if-changed={}", file.display());
    }
}

/// A model's inputs, and what of the recordings is not among them.
pub struct Inputs {
    /// Inputs by name: one of each recording, or of a longer one than the model's clip one for each window.
    pub signals: Vec<(String, Signal)>,
    /// Number of recordings; a text is none.
    pub recordings: usize,
    /// Sentences for the user, each with its file.
    pub notes: Vec<String>,
}

/// A model's inputs, by name.
///
/// # Errors
/// As [`inputs`].
pub fn signals(image: &Image, model: &Model<'_>) -> Result<Vec<(String, Signal)>> {
    Ok(inputs(image, model)?.signals)
}

/// A model's inputs, with what is to be said of them.
///
/// # Errors
/// When a recording cannot be read, or a language model has no tokenizer.
pub fn inputs(image: &Image, model: &Model<'_>) -> Result<Inputs> {
    let mut inputs = Inputs { signals: Vec::new(), recordings: 0, notes: Vec::new() };
    if model.dims().options.input == thumbformer::Input::Tokens {
        let tokenizer = model.tokenizer().context("a language model without a tokenizer: convert it with one")?;
        let mut tokens = vec![0; TEXT.len() + 2];
        let length = tokenizer.encode(TEXT, true, &mut tokens)?;
        tokens.truncate(length);
        inputs.signals.push(("text".into(), Signal::Tokens(tokens)));
        return Ok(inputs);
    }
    let folder = image.recordings.as_deref();
    let folder =
        folder.with_context(|| format!("{}: no recordings for it: name their folder", image.file.display()))?;
    watch(folder);
    for file in thumbformer_recordings::in_folder(folder)? {
        watch(&file);
        inputs.add(model, &file)?;
    }
    Ok(inputs)
}

impl Inputs {
    fn add(&mut self, model: &Model<'_>, file: &Path) -> Result<()> {
        let windows = Recording::read(file)?.windows(model).with_context(|| format!("{}", file.display()))?;
        let name = thumbformer_recordings::name(file);
        self.recordings += 1;
        self.notes.extend(windows.note.map(|note| format!("{}: {note}", file.display())));
        self.signals.extend(windows.windows.into_iter().map(|window| {
            let name = window.name(&name);
            let signal = match window.input {
                Input::Sound(samples) => Signal::Sound(samples),
                Input::Frames(frames) => Signal::Frames(frames),
            };
            (name, signal)
        }));
        Ok(())
    }
}

/// Number of inputs that a program holds in so many bytes of flash: the first always, the others as long as they fit.
pub fn held(inputs: &[(String, Signal)], bytes: usize) -> usize {
    let mut sum = 0;
    let fits = |(_, signal): &&(String, Signal)| {
        sum += signal.bytes();
        sum <= bytes
    };
    inputs.iter().take_while(fits).count().max(1).min(inputs.len())
}

#[cfg(test)]
mod tests {
    use super::{Signal, inputs, signals};
    use crate::{Kind, first};
    use std::path::Path;

    #[test]
    fn a_longer_recording_than_a_clip_is_an_input_for_each_and_what_fills_no_frame_is_said() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        let folder = tempfile::tempdir().expect("a folder");
        let clip = first(Kind::Clip, &models).expect("a model").image().expect("an image");
        let clip = clip.with_recordings(Some(folder.path()));
        let model = clip.model().expect("a model");
        let (columns, rows) = (model.n_columns(), model.clip_frames().expect("a clip"));
        let row = vec!["0.5"; columns].join(",") + "\n";
        std::fs::write(folder.path().join("long.csv"), row.repeat(2 * rows + 1)).expect("a file");
        std::fs::write(folder.path().join("short.csv"), row.repeat(rows)).expect("a file");
        let found = inputs(&clip, &model).expect("recordings");
        let names: Vec<&str> = found.signals.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["long +0 rows", &format!("long +{rows} rows"), "short"]);
        assert_eq!((found.recordings, found.notes.len()), (2, 1), "{:?}", found.notes);
        let expected = format!("long.csv: 1 of {} rows fill no frame", 2 * rows + 1);
        assert!(found.notes[0].contains(&expected), "{:?}", found.notes);
        let numbers = crate::numbers(&model);
        for (name, signal) in found.signals {
            assert!(matches!(signal, Signal::Frames(frames) if frames.len() == numbers), "{name}");
        }
    }

    #[test]
    fn a_table_without_a_header_keeps_its_first_sample() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        let image = first(Kind::Stream, &models).expect("a model").image().expect("an image");
        let folder = tempfile::tempdir().expect("a folder");
        let n_features = image.model().expect("a model").dims().n_features;
        let rows: String = (0..n_features / 6).map(|row| format!("{row},0.5,1,1.5,2,2.5\n")).collect();
        std::fs::write(folder.path().join("plain.csv"), &rows).expect("a file");
        std::fs::write(folder.path().join("WITH.CSV"), format!("ax,ay,az,wx,wy,wz\n{rows}")).expect("a file");
        std::fs::write(folder.path().join("README.md"), "no recording").expect("a file");
        let image = image.with_recordings(Some(folder.path()));
        let found = signals(&image, &image.model().expect("a model")).expect("recordings");
        assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["WITH", "plain"]);
        for (name, signal) in found {
            let Signal::Frames(frames) = signal else { panic!("{name}: no frames") };
            assert_eq!((frames.len(), frames[0], frames[6]), (n_features, 0.0, 1.0), "{name}");
        }
    }
}
