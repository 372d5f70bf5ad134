//! Facts of a model beside its weights, in its image: names, front end, columns, and where it came from.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;
use thumbformer::image::ImageWriter;
use thumbformer::{Input, Model};
use thumbformer_checkpoint::Checkpoint;

/// Key of the digest of the weights that an image was converted from.
const WEIGHTS: &str = "weights sha256";

/// Adds everything of a checkpoint that is not computed with.
///
/// # Errors
/// For names that the image cannot hold, and for a front end that is out of range.
pub(crate) fn describe(writer: &mut ImageWriter, checkpoint: &Checkpoint, license: Option<&str>) -> Result<()> {
    let (config, source) = (&checkpoint.config, || checkpoint.source.clone());
    if !config.labels.is_empty() {
        writer.labels(&config.labels).with_context(|| format!("{}: labels", source()))?;
    }
    if let Some(front_end) = &checkpoint.front_end {
        writer.audio_front_end(&front_end.words().with_context(|| format!("{}: front_end", source()))?);
    }
    let has_columns = config.frame_samples > 1 || !config.columns.is_empty() || checkpoint.front_end.is_some();
    if config.options.input == Input::Frames && has_columns {
        let n_columns = config.n_features / config.frame_samples.max(1);
        let hop = if config.frame_hop == config.frame_samples { 0 } else { config.frame_hop };
        writer.columns(n_columns, hop, &config.columns).with_context(|| format!("{}: columns", source()))?;
    }
    let (name, digest) = (name(&checkpoint.source), digest(checkpoint));
    let mut entries = vec![
        ("source", name.as_str()),
        ("architecture", checkpoint.architecture.as_str()),
        (WEIGHTS, digest.as_str()),
        ("converter", concat!("thumbformer-cli ", env!("CARGO_PKG_VERSION"))),
    ];
    entries.extend(license.map(|license| ("license", license)));
    writer.info(&entries).with_context(source)
}

/// Last part of a path; of a folder called `checkpoint` the folder above it, too. No more of the path: the image is the same
/// wherever it was made.
fn name(path: &str) -> String {
    let parts: Vec<String> =
        Path::new(path).components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let kept = if parts.last().is_some_and(|last| last == "checkpoint") { 2 } else { 1 };
    parts[parts.len().saturating_sub(kept)..].join("/").replace('\n', " ")
}

/// Sentence on a checkpoint whose weights are not those that the image was converted from; `None` where they are, and for an image that
/// does not say.
pub(crate) fn other_weights(model: &Model<'_>, checkpoint: &Checkpoint) -> Option<String> {
    let said = |wanted| model.info().find(|(key, _)| *key == wanted).map(|(_, value)| value);
    let (expected, found) = (said(WEIGHTS)?, digest(checkpoint));
    let short = |digest: &str| digest.chars().take(16).collect::<String>();
    (expected != found).then(|| {
        format!(
            "{}: its weights have the SHA-256 {}…, expected {}… of {}, which the image was converted from: they are of another checkpoint, or \
             have changed since; convert this one, or give that one",
            checkpoint.source,
            short(&found),
            short(expected),
            said("source").unwrap_or("the checkpoint")
        )
    })
}

/// SHA-256 of all weights, with their names and shapes.
fn digest(checkpoint: &Checkpoint) -> String {
    let mut hash = Sha256::new();
    for (tensor, layer, weights) in checkpoint.tensors.iter() {
        hash.update(format!("{} {layer} {:?}\n", tensor.name(), weights.shape));
        weights.data.iter().for_each(|weight| hash.update(weight.to_le_bytes()));
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn an_image_names_its_source_and_no_folder_of_this_machine() {
        for (path, expected) in [
            ("/home/me/models/stories/checkpoint", "stories/checkpoint"),
            ("/home/me/model.gguf", "model.gguf"),
            ("model", "model"),
            ("checkpoint", "checkpoint"),
            ("", ""),
        ] {
            assert_eq!(name(path), expected);
        }
    }
}
