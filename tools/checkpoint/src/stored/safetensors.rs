//! A safetensors file: a header of JSON with names and places, the tensors' bytes behind it.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::{Element, View};
use crate::{Error, files};

/// Tensors of a file by name.
pub(super) struct Tensors {
    pub(super) views: Vec<(String, View)>,
    /// Names that stand for another one's tensor, and that name: `save_model` of the library writes them as metadata.
    pub(super) aliases: Vec<(String, String)>,
}

/// Reads the header of a file.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Tensors, Error> {
    let header = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    // A longer one is damaged, which is found below.
    if header <= bytes.len() as u64 {
        files::check_json(path, header, "its header")?;
    }
    let read = SafeTensors::read_metadata(bytes);
    let (header, metadata) = read.map_err(|error| damaged(path, bytes, &error.to_string()))?;
    let data = 8 + header;
    let tensors = metadata.tensors().into_iter().map(|(name, info)| {
        let (start, end) = info.data_offsets;
        let mut strides = vec![1_usize; info.shape.len()];
        for place in (1..strides.len()).rev() {
            strides[place - 1] = strides[place].saturating_mul(info.shape[place].max(1));
        }
        let bytes = data + start..data + end;
        (name, View { shape: info.shape.clone(), strides, offset: 0, element: element(info.dtype), bytes })
    });
    let tensors: Vec<_> = tensors.collect();
    let is_name = |name: &str| tensors.iter().any(|(other, _)| other == name);
    let aliases = metadata.metadata().iter().flatten().filter(|(alias, kept)| is_name(kept) && !is_name(alias));
    let mut aliases: Vec<_> = aliases.map(|(alias, kept)| (alias.clone(), kept.clone())).collect();
    aliases.sort();
    Ok(Tensors { views: tensors, aliases })
}

/// True if the bytes begin as such a file does: the header's length, and its brace.
pub(super) fn is_safetensors(bytes: &[u8]) -> bool {
    matches!(bytes, [_, _, _, _, 0, 0, 0, 0, b'{', ..])
}

fn element(dtype: Dtype) -> Element {
    match dtype {
        Dtype::F64 => Element::F64,
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::BF16,
        Dtype::I64 => Element::Other("I64", 8),
        Dtype::I32 => Element::Other("I32", 4),
        Dtype::I16 => Element::Other("I16", 2),
        Dtype::I8 => Element::Other("I8", 1),
        Dtype::U8 => Element::Other("U8", 1),
        Dtype::BOOL => Element::Other("BOOL", 1),
        Dtype::F8_E4M3 => Element::Other("F8_E4M3", 1),
        Dtype::F8_E5M2 => Element::Other("F8_E5M2", 1),
        _ => Element::Other("a type of its own", 1),
    }
}

/// Error for an unreadable file, with the expected length where the header can still be read.
fn damaged(path: &Path, bytes: &[u8], reason: &str) -> Error {
    let expected = announced_length(bytes);
    match expected {
        Some(expected) if expected > bytes.len() as u64 => {
            Error::Truncated { path: path.into(), expected, found: bytes.len() as u64 }
        }
        _ => Error::UnknownFormat {
            path: path.into(),
            found: format!("not a readable safetensors file ({reason})"),
            next: "copy or export it again".into(),
        },
    }
}

/// Length of the whole file by its header: 8 bytes of header length, the header, the end of the last tensor.
fn announced_length(bytes: &[u8]) -> Option<u64> {
    let header_length = u64::from_le_bytes(*bytes.first_chunk::<8>()?);
    let data = 8u64.checked_add(header_length)?;
    let Some(header) = usize::try_from(data).ok().and_then(|end| bytes.get(8..end)) else {
        // Cut off inside the header. Without the JSON's brace, or with an absurd length, it is not a header.
        return (header_length < 100_000_000 && bytes.get(8) == Some(&b'{')).then_some(data);
    };
    let header: Value = serde_json::from_slice(header).ok()?;
    let ends = header.as_object()?.values().filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64());
    data.checked_add(ends.max()?)
}
