//! `thumbformer convert`: an image of a float checkpoint.

use super::int4::Calibration;
use super::recordings::Recordings;
use super::{Tokenizer, bar};
use crate::reading::Reading;
use crate::sample::Sample;
use crate::stdout::Stdout;
use crate::texts::Texts;
use crate::{convert, inspect, model, packs, write_file};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use std::io::Write;
use std::path::{Path, PathBuf};
use thumbformer::Packing;
use thumbformer_checkpoint::{Checkpoint, Input};

/// Arguments of `thumbformer convert`.
#[derive(Args)]
pub struct Cmd {
    /// Checkpoint: a folder of config.json and weights (thumbformer's own layout, Hugging Face's, PyTorch's), a .safetensors, .pt or .pth beside config.json, an .onnx, a .gguf, or a llama2.c .bin
    checkpoint: PathBuf,
    /// Image file to write
    #[arg(short, long, required_unless_present = "dry_run")]
    output: Option<PathBuf>,
    /// Recognised network, its flash, RAM and multiply-accumulates; no file is written
    #[arg(long)]
    dry_run: bool,
    /// Tokenizer: tokenizer.json or llama2.c's tokenizer.bin [default: the one beside the checkpoint]
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// Leave the tokenizer out, of whatever kind it is: the image reads token ids only
    #[arg(long, conflicts_with = "tokenizer")]
    no_tokenizer: bool,
    /// Context length in tokens, at most the checkpoint's [default: the checkpoint's]
    #[arg(long)]
    max_seq: Option<usize>,
    /// Weight packing: host, a core (cortex-m4f, m0plus) or a board (a folder of boards/)
    #[arg(long, default_value = "host", value_parser = packs::packing)]
    pack: Packing,
    /// Weight format of the layers' matrices; embedding and head stay int8
    #[arg(long, value_enum, default_value_t = Quantization::Q8)]
    quant: Quantization,
    /// Audio front end, where config.json has none: a preset (thumbformer, kws, torchaudio, librosa, kaldi), or a .json that describes one
    #[arg(long)]
    front_end: Option<String>,
    /// Recordings that features in different units are scaled by, a folder [default: scaled by the embedding's weights]
    #[arg(long)]
    recordings: Option<PathBuf>,
    #[command(flatten)]
    reading: Recordings,
    /// Licence of the model, which `inspect` shows
    #[arg(long)]
    license: Option<String>,
    #[command(flatten)]
    calibration: Calibration,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// A checkpoint that cannot be read or expressed, by file and tensor; an image that cannot be written.
    pub fn run(&self, out: &mut Stdout) -> Result<()> {
        let checkpoint = super::load(&self.checkpoint, self.tokenizer(), self.front_end.as_deref())?;
        let frames = self
            .recordings
            .as_deref()
            .map(|folder| frames(&checkpoint, folder, &self.reading.reading()?))
            .transpose()?;
        for note in &checkpoint.notes {
            eprintln!("note: {note}");
        }
        let bar = bar(checkpoint.tensors.iter().count(), "tensors")?;
        let settings = convert::Settings {
            max_seq: self.max_seq,
            packing: self.pack,
            frames: frames.as_deref(),
            license: self.license.as_deref(),
        };
        let int4 = match self.quant {
            Quantization::Q8 => None,
            Quantization::Q4 => Some(self.calibration.quantize(&checkpoint, self.max_seq)?),
        };
        let int4_of = |layer, tensor| int4.as_ref().and_then(|int4| int4.get(layer, tensor));
        let words = convert::convert_with(&checkpoint, settings, &int4_of, &mut |name| {
            bar.set_message(name.to_string());
            bar.inc(1);
        })?;
        bar.finish_and_clear();
        let path = self.output.as_deref().filter(|_| !self.dry_run);
        if let Some(path) = path {
            let inputs = self.inputs()?;
            let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
            write_file(path, thumbformer::image::bytes(&words), &inputs)?;
        }
        let model = model(&words, path.unwrap_or(&self.checkpoint))?;
        if self.dry_run {
            writeln!(out, "{}", inspect::inspect(&model, model.dims().max_seq))?;
        }
        let bytes = 4 * words.len();
        writeln!(
            out,
            "{}: {} packed for {}, {} parameters in {bytes} bytes ({:.2} bytes each), state of {} bytes for {} tokens{}",
            path.map_or("not written".into(), |path| path.display().to_string()),
            checkpoint.architecture,
            self.pack.name(),
            checkpoint.parameters(),
            bytes as f64 / checkpoint.parameters() as f64,
            inspect::ram(model.dims(), model.dims().max_seq).total,
            model.dims().max_seq,
            if checkpoint.tokenizer.is_some() || checkpoint.config.options.input != Input::Tokens {
                ""
            } else {
                ", NO TOKENIZER: `run` and `verify` take --tokens FILE"
            }
        )?;
        if let Some(texts) = Texts::of(&model) {
            writeln!(out, "text: {texts}")?;
        }
        if let Some(sample) = Sample::of(&model) {
            writeln!(out, "sample: {sample}")?;
        }
        Ok(())
    }

    fn tokenizer(&self) -> Tokenizer<'_> {
        match &self.tokenizer {
            _ if self.no_tokenizer => Tokenizer::None,
            Some(file) => Tokenizer::File(file),
            None => Tokenizer::Beside,
        }
    }

    /// Files that the image is made of: the checkpoint, of a folder all of its files, of a file also those that may be read beside it, tokenizer and calibration text or ids. An older image
    /// in that folder may be written anew.
    fn inputs(&self) -> Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> = [&self.tokenizer, &self.calibration.text, &self.calibration.tokens]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        if self.checkpoint.is_dir() {
            let entries =
                std::fs::read_dir(&self.checkpoint).with_context(|| format!("{}", self.checkpoint.display()))?;
            let entries = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
            files.extend(entries.into_iter().filter(|file| file.extension() != Some("tbf".as_ref())));
        } else {
            files.push(self.checkpoint.clone());
            let beside =
                ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.bin"];
            let beside = beside.map(|name| self.checkpoint.with_file_name(name));
            files.extend(beside.into_iter().filter(|file| file.is_file()));
        }
        Ok(files)
    }
}

/// All frames of the recordings in a folder, `[seq, n_features]`, as an image of this checkpoint reads them.
fn frames(checkpoint: &Checkpoint, folder: &Path, reading: &Reading) -> Result<Vec<f32>> {
    if checkpoint.config.options.input != Input::Frames {
        bail!("--recordings {}: the model reads {:?}, not frames", folder.display(), checkpoint.config.options.input);
    }
    let words = convert::convert(checkpoint, convert::Settings::default(), &mut |_| {})?;
    let model = model(&words, folder)?;
    let mut frames = Vec::new();
    for file in thumbformer_recordings::in_folder(folder)? {
        let recording = reading.read(&model, &file)?;
        super::noted(&recording);
        frames.extend(recording.windows.into_iter().flat_map(|window| window.frames));
    }
    Ok(frames)
}

/// Weight formats.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Quantization {
    /// int8, one scale per row
    Q8,
    /// int4, one scale per 32 columns of a row
    Q4,
}
