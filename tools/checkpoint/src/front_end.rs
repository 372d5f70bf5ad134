//! The audio front end of a configuration: the key `front_end`.

use crate::settings::Settings;
use crate::{Config, Error, FrontEndConfig, Input};

/// Presets by name.
const PRESETS: [(&str, fn() -> FrontEndConfig); 5] = [
    ("thumbformer", FrontEndConfig::thumbformer),
    ("kws", FrontEndConfig::kws),
    ("torchaudio", FrontEndConfig::torchaudio),
    ("librosa", FrontEndConfig::librosa),
    ("kaldi", FrontEndConfig::kaldi),
];

/// Reads the front end, and has its bands as the columns of a frame's samples.
pub(crate) fn read(settings: &Settings, config: &mut Config) -> Result<Option<FrontEndConfig>, Error> {
    if config.options.input != Input::Frames || settings.get("front_end").is_none() {
        return Ok(None);
    }
    let front_end = settings.choice("front_end", None, &PRESETS)?();
    let bands = front_end.bands();
    if !config.n_features.is_multiple_of(bands) {
        let expected = format!("one whose bands divide the {} numbers of a frame", config.n_features);
        return Err(settings.error(
            "front_end",
            format!("{bands} bands"),
            expected,
            "name the front end of the training",
        ));
    }
    config.frame_samples = config.n_features / bands;
    config.frame_hop = settings.size_or("frame_hop", config.frame_samples)?;
    Ok(Some(front_end))
}
