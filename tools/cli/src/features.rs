//! Front ends by name or file, whose frames training scripts use: `thumbformer features`.

use crate::read_image;
use anyhow::{Context, Result};
use std::path::Path;
use thumbformer::Model;
use thumbformer_checkpoint::front_end::named;

/// Words of a front end: that of an image, of a JSON file, or of a preset by its name.
///
/// # Errors
/// For a name that is none of these, and for an image without a front end.
pub fn front_end(name: &str) -> Result<Vec<u32>> {
    let file = Path::new(name);
    if file.extension().is_none_or(|extension| extension != "tbf") {
        return named(name)?.words().with_context(|| name.to_string());
    }
    let words = read_image(file)?;
    let model = Model::parse(&words).with_context(|| name.to_string())?;
    let front_end = model.image().front_end_words();
    front_end.map(<[u32]>::to_vec).with_context(|| format!("{name}: the image has no audio front end"))
}
