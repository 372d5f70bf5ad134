//! Tensors as files hold them, by name, whatever the file: safetensors, a pickle of PyTorch, or several of one kind.
//!
//! ```text
//! folder ─► the file of weights, or the index of its shards ─┐
//! file ───► first bytes ─────────────────────────────────────┴─► names, views of the bytes ─► names made plain ─► WeightsFile
//! ```
//! The bytes are read once and stay where they are; a tensor becomes floats when an importer takes it.

pub(crate) mod foreign;
mod names;
mod open;
mod pickle;
mod safetensors;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use serde_json::Value;

pub(crate) use open::{is_weights, settings_of};

/// Type of a tensor's elements.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Element {
    F64,
    F32,
    F16,
    BF16,
    /// One that is no weight: its name and size in bytes.
    Other(&'static str, usize),
}

impl Element {
    fn size(self) -> usize {
        match self {
            Element::F64 => 8,
            Element::F32 => 4,
            Element::F16 | Element::BF16 => 2,
            Element::Other(_, size) => size,
        }
    }
}

/// A tensor in the bytes of a file: element `i, j` is at `offset + i * strides[0] + j * strides[1]`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct View {
    shape: Vec<usize>,
    strides: Vec<usize>,
    offset: usize,
    element: Element,
    bytes: Range<usize>,
}

impl View {
    /// The view, if all of its elements lie in its bytes and none twice; an error is the reason.
    fn checked(self) -> Result<View, String> {
        let room = self.bytes.len() / self.element.size();
        if self.shape.len() != self.strides.len() {
            return Err(format!("{} sizes, but {} strides", self.shape.len(), self.strides.len()));
        }
        let count = self.shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
        let steps = self.shape.iter().zip(&self.strides);
        let last = steps.clone().try_fold(self.offset, |last, (size, stride)| {
            last.checked_add(size.saturating_sub(1).checked_mul(*stride)?)
        });
        match (count, last) {
            (Some(0), _) => Ok(self),
            (Some(count), Some(last)) if last < room && count <= room => Ok(self),
            (Some(_), Some(last)) if last < room => {
                Err(format!("{:?} of {room} elements: it repeats them (expand)", self.shape))
            }
            _ => Err(format!("{:?} from element {} on leaves the {room} of its storage", self.shape, self.offset)),
        }
    }

    /// The elements in order, each made by `f`.
    fn read<const N: usize>(&self, bytes: &[u8], f: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let elements = bytes[self.bytes.clone()].as_chunks::<N>().0;
        let count = self.shape.iter().product();
        let mut plain = 1;
        let is_plain = self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size <= 1 || stride == plain;
            plain *= size;
            fits
        });
        if is_plain || count == 0 {
            return elements[self.offset.min(elements.len())..].iter().take(count).map(|element| f(*element)).collect();
        }
        let mut index = vec![0; self.shape.len()];
        let mut made = Vec::with_capacity(count);
        let mut place = self.offset;
        for _ in 0..count {
            made.push(f(elements[place]));
            for (dimension, at) in index.iter_mut().enumerate().rev() {
                *at += 1;
                place += self.strides[dimension];
                if *at < self.shape[dimension] {
                    break;
                }
                place -= *at * self.strides[dimension];
                *at = 0;
            }
        }
        made
    }
}

/// A tensor of a name.
#[derive(Clone, Debug)]
enum Stored {
    /// A view of the bytes of a file, by its number.
    View(usize, View),
    /// `g * v / |v|`, the weight of a module under weight norm (Salimans & Kingma 2016).
    WeightNorm { g: Box<Stored>, v: Box<Stored> },
}

/// Files of weights: their bytes, and the tensors in them by name.
pub(crate) struct WeightsFile {
    source: PathBuf,
    files: Vec<(PathBuf, Vec<u8>)>,
    tensors: BTreeMap<String, Stored>,
    /// Prefix that was taken from all names; names with it are understood too.
    prefix: String,
    /// Settings of the network that the file itself has, and the key that they stand under.
    pub(crate) settings: Option<(&'static str, Value)>,
    /// Names of the outputs that the file has beside the tensors.
    pub(crate) labels: Option<Value>,
    /// Sentences on how it was read.
    pub(crate) notes: Vec<String>,
}

impl WeightsFile {
    /// Folder or file that was given.
    pub(crate) fn source(&self) -> &Path {
        &self.source
    }

    /// The file, of several the one with their index.
    pub(crate) fn path(&self) -> &Path {
        self.files.first().map_or(&self.source, |(path, _)| path)
    }

    /// The names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The name under which a tensor is here, with or without the prefix of all names.
    pub(crate) fn resolve<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let has = |name: &&str| self.tensors.contains_key(*name);
        let short = || name.strip_prefix(&self.prefix).filter(|_| !self.prefix.is_empty()).filter(has);
        Some(name).filter(has).or_else(short)
    }

    /// Dimensions of a tensor.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(self.resolve(name)?).map(Stored::shape)
    }

    /// File of a tensor.
    pub(crate) fn file_of(&self, name: &str) -> &Path {
        let stored = self.resolve(name).and_then(|name| self.tensors.get(name));
        stored.and_then(|stored| self.files.get(stored.file())).map_or(self.path(), |(path, _)| path)
    }

    /// Elements of a tensor as floats, or the name of a type that is none.
    pub(crate) fn floats(&self, name: &str) -> Option<Result<Vec<f32>, &'static str>> {
        self.tensors.get(self.resolve(name)?).map(|stored| self.elements(stored))
    }

    fn elements(&self, stored: &Stored) -> Result<Vec<f32>, &'static str> {
        match stored {
            Stored::View(file, view) => {
                let bytes = &self.files[*file].1;
                match view.element {
                    Element::F64 => Ok(view.read(bytes, |bytes| f64::from_le_bytes(bytes) as f32)),
                    Element::F32 => Ok(view.read(bytes, f32::from_le_bytes)),
                    Element::F16 => Ok(view.read(bytes, |bytes| f16::from_le_bytes(bytes).to_f32())),
                    Element::BF16 => Ok(view.read(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32())),
                    Element::Other(name, _) => Err(name),
                }
            }
            Stored::WeightNorm { g, v } => {
                let (gains, values) = (self.elements(g)?, self.elements(v)?);
                Ok(names::weight_norm(g.shape(), &gains, v.shape(), values))
            }
        }
    }
}

impl Stored {
    fn shape(&self) -> &[usize] {
        match self {
            Stored::View(_, view) => &view.shape,
            Stored::WeightNorm { v, .. } => v.shape(),
        }
    }

    fn file(&self) -> usize {
        match self {
            Stored::View(file, _) => *file,
            Stored::WeightNorm { v, .. } => v.file(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Element, View};

    fn view(shape: &[usize], strides: &[usize], offset: usize) -> View {
        View { shape: shape.into(), strides: strides.into(), offset, element: Element::F32, bytes: 4..28 }
    }

    #[test]
    fn a_view_is_read_by_its_strides_and_must_lie_in_its_storage() {
        let bytes: Vec<u8> = (0..8).flat_map(|x| (x as f32).to_le_bytes()).collect();
        let read = |view: View| view.checked().map(|view| view.read(&bytes, f32::from_le_bytes));
        assert_eq!(read(view(&[2, 3], &[3, 1], 0)).unwrap(), [1., 2., 3., 4., 5., 6.]);
        assert_eq!(read(view(&[3, 2], &[1, 3], 0)).unwrap(), [1., 4., 2., 5., 3., 6.]);
        assert_eq!(read(view(&[2, 2], &[3, 1], 1)).unwrap(), [2., 3., 5., 6.]);
        assert_eq!(read(view(&[], &[], 5)).unwrap(), [6.]);
        assert_eq!(read(view(&[1, 3, 1], &[99, 2, 7], 0)).unwrap(), [1., 3., 5.]);
        assert_eq!(read(view(&[0, 3], &[3, 1], 9)).unwrap(), [0.0; 0]);
        for (case, view) in [
            ("one too many", view(&[2, 3], &[3, 1], 1)),
            ("an overflow", view(&[1 << 40, 1 << 40], &[1, 1], 0)),
            ("a far stride", view(&[2], &[usize::MAX], 1)),
            ("repeated elements", view(&[100, 3], &[0, 1], 0)),
            ("a stride too few", view(&[2, 3], &[1], 0)),
        ] {
            assert!(view.checked().is_err(), "{case}");
        }
    }
}
