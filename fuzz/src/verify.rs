//! Outputs of frameworks: the files that `verify --expected` reads.

use crate::in_folder;
use crate::script::choice;
use std::io::Write;
use thumbformer::{Dims, Input, Options};
use thumbformer_cli::verify::expected::load;
use zip::write::SimpleFileOptions;

/// The bytes of a file behind the choice of a model: of tokens or of frames.
fn read(data: &[u8], extension: &str, content: impl Fn(&[u8]) -> Vec<u8>) {
    let (kind, data) = choice(data, 2);
    let mut dims = Dims::block(4, 2, 8, 16, Options::LLAMA);
    (dims.n_layers, dims.vocab, dims.n_outputs) = (2, 10, 3);
    if kind == 1 {
        dims.options.input = Input::Frames;
        (dims.vocab, dims.n_features) = (0, 2);
    }
    in_folder(|folder| {
        let file = folder.join(format!("tokens.{extension}"));
        std::fs::write(&file, content(data)).expect("a file");
        for sequence in load(&[file], &dims, None).unwrap_or_default() {
            assert!(sequence.outputs.iter().all(|outputs| outputs.len() == dims.n_outputs));
        }
    });
}

/// A `.npy` file.
pub fn npy(data: &[u8]) {
    read(data, "npy", <[u8]>::to_vec);
}

/// A `.safetensors` file.
pub fn safetensors(data: &[u8]) {
    read(data, "safetensors", <[u8]>::to_vec);
}

/// A `.json` file.
pub fn json(data: &[u8]) {
    read(data, "json", <[u8]>::to_vec);
}

/// A `.npz` file: as it is, or a zip of parts, each with its name before a line's end, that `\xffPART` separates.
pub fn npz(data: &[u8]) {
    read(data, "npz", |data| if data.starts_with(b"PK") { data.to_vec() } else { zipped(data).unwrap_or_default() });
}

fn zipped(data: &[u8]) -> zip::result::ZipResult<Vec<u8>> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mut rest = data;
    while !rest.is_empty() {
        let end = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR).unwrap_or(rest.len());
        let (part, later) = rest.split_at(end);
        let name_end = part.iter().position(|&byte| byte == b'\n').unwrap_or(part.len());
        let (name, content) = part.split_at(name_end);
        writer.start_file(String::from_utf8_lossy(name), SimpleFileOptions::default())?;
        writer.write_all(content.get(1..).unwrap_or_default())?;
        rest = later.get(SEPARATOR.len()..).unwrap_or_default();
    }
    Ok(writer.finish()?.into_inner())
}

/// Mark between the parts of a `.npz` file.
const SEPARATOR: &[u8] = b"\xffPART";
