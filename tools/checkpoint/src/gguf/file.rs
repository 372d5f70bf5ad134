//! Reader of a GGUF file: little-endian, magic, counts, keys with values, descriptions of tensors, then their data.
//!
//! Source: the GGUF specification, versions 2 and 3, of the ggml project; blocks of quantized tensors as in `ggml-common.h`.
//! Every length is compared with the rest of the file before it is used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::blocks::Kind;
use crate::names::Source;
use crate::{Error, Weights};

/// A value of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(&'a str),
    List(List<'a>),
}

/// A list, which stays in the file's bytes: they are less than values would be.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct List<'a> {
    kind: u32,
    count: usize,
    /// Its values, all of them sound.
    values: &'a [u8],
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (kind, mut cursor) = (self.kind, Cursor { all: self.values.len(), rest: self.values });
        (0..self.count).map_while(move |_| cursor.value(kind, true))
    }
}

impl std::fmt::Debug for List<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first: Vec<Value<'_>> = self.iter().take(4).collect();
        write!(out, "a list of {}: {first:?}", self.count)
    }
}

/// A tensor's description.
struct Info {
    /// Shape, row-major: the file's dimensions, the fastest last.
    shape: Vec<usize>,
    kind: u32,
    offset: u64,
    is_taken: bool,
}

/// A file in memory.
pub(super) struct File<'a> {
    path: &'a Path,
    /// Keys and values.
    pub(super) keys: BTreeMap<&'a str, Value<'a>>,
    tensors: BTreeMap<&'a str, Info>,
    data: &'a [u8],
}

/// Larger than any dimension of a model for a microcontroller.
const LARGEST: u64 = 1 << 24;
/// More keys than any file has.
const MOST_KEYS: u64 = 4096;

/// Rest of a file.
struct Cursor<'a> {
    all: usize,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn bytes(&mut self, count: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(usize::try_from(count).ok()?)?;
        self.rest = rest;
        Some(bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.u64()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    /// A value of a type; lists hold no lists.
    fn value(&mut self, kind: u32, nested: bool) -> Option<Value<'a>> {
        let signed = |bytes: &[u8]| {
            let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
            let mut all = [if negative { 0xff } else { 0 }; 8];
            all[..bytes.len()].copy_from_slice(bytes);
            i64::from_le_bytes(all)
        };
        Some(match kind {
            0 => Value::Unsigned(self.bytes(1)?[0].into()),
            1 => Value::Signed(signed(self.bytes(1)?)),
            2 => Value::Unsigned(signed(self.bytes(2)?) as u64 & 0xffff),
            3 => Value::Signed(signed(self.bytes(2)?)),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(signed(self.bytes(4)?)),
            6 => Value::Float(f32::from_bits(self.u32()?).into()),
            7 => Value::Bool(self.bytes(1)?[0] != 0),
            8 => Value::Text(self.text()?),
            9 if !nested => {
                let (kind, count) = (self.u32()?, self.u64()?);
                let values = self.rest;
                for _ in 0..count {
                    self.value(kind, true)?;
                }
                let (values, _) = values.split_at_checked(values.len() - self.rest.len())?;
                Value::List(List { kind, count: usize::try_from(count).ok()?, values })
            }
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(self.u64()?.cast_signed()),
            12 => Value::Float(f64::from_bits(self.u64()?)),
            _ => return None,
        })
    }
}

impl<'a> File<'a> {
    /// Reads everything but the tensors' data.
    pub(super) fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Self, Error> {
        let damaged = |what: String| Error::UnknownFormat {
            path: path.into(),
            found: what,
            next: "copy or download it again".into(),
        };
        let mut cursor = Cursor { all: bytes.len(), rest: bytes.get(4..).unwrap_or(&[]) };
        let version = cursor.u32().unwrap_or(0);
        if !(2..=3).contains(&version) {
            let next = "convert it with a current llama.cpp".into();
            return Err(Error::UnknownFormat {
                path: path.into(),
                found: format!("GGUF version {version}, expected 2 or 3"),
                next,
            });
        }
        let (tensors, keys) = (cursor.u64().unwrap_or(u64::MAX), cursor.u64().unwrap_or(u64::MAX));
        if keys > MOST_KEYS {
            return Err(damaged(format!("{keys} keys, expected at most {MOST_KEYS}")));
        }
        let mut file = File { path, keys: BTreeMap::new(), tensors: BTreeMap::new(), data: &[] };
        for index in 0..keys {
            let place = cursor.all - cursor.rest.len();
            let entry = |cursor: &mut Cursor<'a>| {
                let (key, kind) = (cursor.text()?, cursor.u32()?);
                Some((key, cursor.value(kind, false)?))
            };
            let found = format!(
                "key {index} of {keys} at byte {place} is cut off, not UTF-8, or of a type that GGUF does not have"
            );
            let (key, value) = entry(&mut cursor).ok_or_else(|| damaged(found))?;
            if file.keys.insert(key, value).is_some() {
                return Err(damaged(format!("it has the key {key} twice")));
            }
        }
        for index in 0..tensors {
            let place = cursor.all - cursor.rest.len();
            let entry = |cursor: &mut Cursor<'a>| {
                let (name, dimensions) = (cursor.text()?, cursor.u32()?);
                let sizes = (0..dimensions.min(5)).map(|_| cursor.u64().filter(|size| (1..=LARGEST).contains(size)));
                let mut shape: Vec<usize> = sizes.map(|size| size.map(|size| size as usize)).collect::<Option<_>>()?;
                shape.reverse();
                let sound = (1..=4).contains(&dimensions);
                sound.then_some((name, Info { shape, kind: cursor.u32()?, offset: cursor.u64()?, is_taken: false }))
            };
            let found = format!(
                "tensor {index} of {tensors} at byte {place} is cut off, not UTF-8, or has a size out of range"
            );
            let (name, info) = entry(&mut cursor).ok_or_else(|| damaged(found))?;
            if file.tensors.insert(name, info).is_some() {
                return Err(damaged(format!("it has the tensor {name} twice")));
            }
        }
        let alignment = match file.keys.get("general.alignment") {
            None => 32,
            Some(Value::Unsigned(alignment)) if alignment.is_power_of_two() && *alignment <= 4096 => {
                *alignment as usize
            }
            Some(other) => return Err(damaged(format!("general.alignment is {other:?}, expected a power of two"))),
        };
        let start = (cursor.all - cursor.rest.len()).next_multiple_of(alignment);
        file.data = bytes.get(start..).unwrap_or(&[]);
        Ok(file)
    }

    /// The names of all tensors that were not taken.
    pub(super) fn rest(&self) -> impl Iterator<Item = (&'a str, &Vec<usize>)> {
        self.tensors.iter().filter(|(_, info)| !info.is_taken).map(|(name, info)| (*name, &info.shape))
    }

    /// Quantized types of the tensors that were taken, by name.
    pub(super) fn quantized(&self) -> Vec<&'static str> {
        let taken = self.tensors.values().filter(|info| info.is_taken);
        let kinds: BTreeSet<&str> = taken
            .filter_map(|info| Kind::of(info.kind).ok().filter(|kind| kind.is_quantized))
            .map(|kind| kind.name)
            .collect();
        kinds.into_iter().collect()
    }
}

impl Source for File<'_> {
    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Takes a tensor and converts it to float; one that several rows of a table share is taken by each.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Weights, Error> {
        let path = self.path;
        let Some(info) = self.tensors.get_mut(name) else {
            let present: Vec<&str> = self.rest().take(6).map(|(name, _)| name).collect();
            return Err(Error::MissingTensor {
                path: path.into(),
                tensor: name.into(),
                present: format!("the file has {} and others", present.join(", ")),
                next: "export the whole model".into(),
            });
        };
        info.is_taken = true;
        if info.shape != shape {
            let (expected, found) = (shape.to_vec(), info.shape.clone());
            return Err(Error::Shape { path: path.into(), tensor: name.into(), expected, found });
        }
        let kind = Kind::of(info.kind).map_err(|found| Error::ElementType {
            path: path.into(),
            tensor: name.into(),
            found,
        })?;
        let columns = shape.last().copied().unwrap_or(1);
        if !columns.is_multiple_of(kind.block) {
            let Kind { name: kind, block, .. } = kind;
            return Err(Error::UnknownFormat {
                path: path.into(),
                found: format!(
                    "tensor `{name}` of {kind} has rows of {columns} numbers, expected a multiple of {block}"
                ),
                next: "copy or download it again".into(),
            });
        }
        let count: usize = shape.iter().product();
        let bytes = count / kind.block * kind.bytes;
        let slice = usize::try_from(info.offset).ok().and_then(|start| self.data.get(start..)?.get(..bytes));
        let Some(slice) = slice else {
            let (expected, found) = (info.offset.saturating_add(bytes as u64), self.data.len() as u64);
            return Err(Error::Truncated { path: path.into(), expected, found });
        };
        Weights::finite(path, name.into(), shape.to_vec(), kind.floats(slice, count))
    }
}
