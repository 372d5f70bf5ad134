//! Tensors of a file: numbers in one of several fields, or in a file beside it.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use half::{bf16, f16};

use super::proto;
use crate::graph::{Array, Kind};
use crate::{Error, files};

/// Element types by their numbers in the format.
const TYPES: [(i32, Kind, usize); 13] = [
    (1, Kind::Float, 4),
    (2, Kind::Int, 1),
    (3, Kind::Int, 1),
    (4, Kind::Int, 2),
    (5, Kind::Int, 2),
    (6, Kind::Int, 4),
    (7, Kind::Int, 8),
    (9, Kind::Bool, 1),
    (10, Kind::Float, 2),
    (11, Kind::Float, 8),
    (12, Kind::Int, 4),
    (13, Kind::Int, 8),
    (16, Kind::Float, 2),
];

/// Kind of an element type.
pub(super) fn kind(data_type: i32) -> Option<Kind> {
    TYPES.iter().find(|(number, ..)| *number == data_type).map(|(_, kind, _)| *kind)
}

/// The smallest number of a type of integers of at most 16 bits.
pub(super) fn lowest(data_type: i32) -> f64 {
    match data_type {
        3 => f64::from(i8::MIN),
        5 => f64::from(i16::MIN),
        _ => 0.0,
    }
}

/// Reader of tensors, with the files beside the model that have been read.
pub(super) struct Tensors<'a> {
    pub path: &'a Path,
    files: HashMap<PathBuf, Vec<u8>>,
}

impl<'a> Tensors<'a> {
    pub(super) fn new(path: &'a Path) -> Self {
        Self { path, files: HashMap::new() }
    }

    fn error(&self, tensor: &proto::Tensor, found: impl std::fmt::Display, next: &str) -> Error {
        let found = format!("tensor `{}` {found}", tensor.name);
        Error::UnknownFormat { path: self.path.into(), found, next: next.into() }
    }

    /// The tensor's shape and numbers.
    pub(super) fn read(&mut self, tensor: &proto::Tensor) -> Result<Array, Error> {
        let again = "export the model again";
        let Some(&(_, kind, bytes)) = TYPES.iter().find(|(number, ..)| *number == tensor.data_type) else {
            let found = format!("has elements of type {}, expected floats, integers or truth values", tensor.data_type);
            return Err(self.error(tensor, found, "export the model in float32"));
        };
        let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&size| usize::try_from(size).ok()).collect();
        let size = dims.as_ref().and_then(|dims| dims.iter().try_fold(1_usize, |size, &by| size.checked_mul(by)));
        let (Some(shape), Some(size)) = (dims, size.filter(|&size| size < 1 << 32)) else {
            return Err(self.error(tensor, format!("has the shape {:?}", tensor.dims), again));
        };
        let data: Vec<f64> = if tensor.location == 1 {
            let bytes_of = self.external(tensor, size.saturating_mul(bytes))?;
            numbers(&bytes_of, tensor.data_type)
        } else if let Some(raw) = &tensor.raw {
            numbers(raw, tensor.data_type)
        } else {
            match tensor.data_type {
                1 => tensor.floats.iter().map(|&x| f64::from(x)).collect(),
                7 => tensor.int64s.iter().map(|&x| x as f64).collect(),
                10 => tensor.int32s.iter().map(|&x| f16::from_bits(x as u16).to_f64()).collect(),
                16 => tensor.int32s.iter().map(|&x| bf16::from_bits(x as u16).to_f64()).collect(),
                11 => tensor.doubles.clone(),
                12 | 13 => tensor.uint64s.iter().map(|&x| x as f64).collect(),
                _ => tensor.int32s.iter().map(|&x| f64::from(x)).collect(),
            }
        };
        if data.len() != size {
            let found = format!("{:?} has {} numbers, expected {size}", tensor.dims, data.len());
            return Err(self.error(tensor, found, "copy or export it again"));
        }
        Ok(Array { shape, data: data.into(), kind, name: Rc::from(tensor.name.as_str()) })
    }

    /// Bytes of a tensor in a file beside the model.
    fn external(&mut self, tensor: &proto::Tensor, expected: usize) -> Result<Vec<u8>, Error> {
        let entry = |key: &str| tensor.external.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
        let place = Path::new(entry("location").unwrap_or_default());
        // Nothing outside the model's folder is read.
        let inside =
            place.components().all(|part| matches!(part, Component::Normal(_))) && place.components().count() > 0;
        if !inside {
            let found = format!("is in the file `{}`, expected one in the model's folder", place.display());
            return Err(self.error(
                tensor,
                found,
                "save it there: onnx.save_model(model, path, save_as_external_data=True)",
            ));
        }
        let number = |key: &str, absent: usize| match entry(key) {
            None => Some(absent),
            Some(text) => text.parse::<usize>().ok(),
        };
        let file = self.path.parent().unwrap_or(Path::new("")).join(place);
        if !self.files.contains_key(&file) {
            self.files.insert(file.clone(), files::read(&file)?);
        }
        let bytes = &self.files[&file];
        let start = number("offset", 0);
        let length = start.and_then(|start| number("length", bytes.len().saturating_sub(start)));
        let range = start.zip(length).and_then(|(start, length)| Some(start..start.checked_add(length)?));
        match range.clone().and_then(|range| bytes.get(range)) {
            Some(found) if found.len() == expected => Ok(found.to_vec()),
            _ => {
                let end = range.map_or("somewhere".into(), |range| format!("{}..{}", range.start, range.end));
                let found =
                    format!("is {expected} bytes at {end} of `{}`, which has {} bytes", file.display(), bytes.len());
                Err(self.error(tensor, found, "copy both files again"))
            }
        }
    }
}

/// Little-endian numbers.
fn numbers(bytes: &[u8], data_type: i32) -> Vec<f64> {
    fn read<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        let (whole, rest) = bytes.as_chunks::<N>();
        let mut numbers: Vec<f64> = whole.iter().map(|bytes| number(*bytes)).collect();
        // One more than expected, so that the length is found to be wrong.
        numbers.extend((!rest.is_empty()).then_some(0.0));
        numbers
    }
    match data_type {
        1 => read(bytes, |b: [u8; 4]| f64::from(f32::from_le_bytes(b))),
        3 => read(bytes, |b: [u8; 1]| f64::from(i8::from_le_bytes(b))),
        4 => read(bytes, |b: [u8; 2]| f64::from(u16::from_le_bytes(b))),
        5 => read(bytes, |b: [u8; 2]| f64::from(i16::from_le_bytes(b))),
        6 => read(bytes, |b: [u8; 4]| f64::from(i32::from_le_bytes(b))),
        7 => read(bytes, |b: [u8; 8]| i64::from_le_bytes(b) as f64),
        10 => read(bytes, |b: [u8; 2]| f16::from_le_bytes(b).to_f64()),
        11 => read(bytes, |b: [u8; 8]| f64::from_le_bytes(b)),
        12 => read(bytes, |b: [u8; 4]| f64::from(u32::from_le_bytes(b))),
        13 => read(bytes, |b: [u8; 8]| u64::from_le_bytes(b) as f64),
        16 => read(bytes, |b: [u8; 2]| bf16::from_le_bytes(b).to_f64()),
        _ => read(bytes, |b: [u8; 1]| f64::from(b[0])),
    }
}
