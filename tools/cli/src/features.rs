//! Front ends by name or file, whose frames training scripts use: `thumbformer features`.

use crate::read_image;
use anyhow::{Context, Result, bail};
use std::path::Path;
use thumbformer::Model;
use thumbformer::audio::FrontEndConfig;

/// The presets of [`FrontEndConfig`], by name.
pub const PRESETS: [(&str, fn() -> FrontEndConfig); 5] = [
    ("thumbformer", FrontEndConfig::thumbformer),
    ("kws", FrontEndConfig::kws),
    ("torchaudio", FrontEndConfig::torchaudio),
    ("librosa", FrontEndConfig::librosa),
    ("kaldi", FrontEndConfig::kaldi),
];

/// Words of a front end: a preset by its name, or that of an image.
///
/// # Errors
/// For a name that is neither, and for an image without a front end.
pub fn front_end(name: &str) -> Result<Vec<u32>> {
    if let Some((_, preset)) = PRESETS.iter().find(|(preset, _)| *preset == name) {
        return Ok(preset().words()?);
    }
    let file = Path::new(name);
    if !file.is_file() {
        let names = PRESETS.map(|(name, _)| name).join(", ");
        bail!("{name}: no front end of this name: expected an image, or one of {names}");
    }
    let words = read_image(file)?;
    let model = Model::parse(&words).with_context(|| name.to_string())?;
    let front_end = model.image().front_end_words();
    front_end.map(<[u32]>::to_vec).with_context(|| format!("{name}: the image has no audio front end"))
}
