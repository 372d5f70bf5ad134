//! Float tensors of a checkpoint, by the core's names, and the checks that every imported tensor passes.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::{Index, IndexMut};
#[cfg(feature = "std")]
use std::path::Path;

use thumbformer::{Part, Tensor};

#[cfg(feature = "std")]
use crate::Error;

/// A tensor: name, shape and values.
#[derive(Clone, PartialEq, Debug)]
pub struct Weights {
    /// Name in the file.
    pub name: String,
    /// Dimensions; a matrix is `[out, in]`.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub data: Vec<f32>,
}

/// All tensors of a checkpoint; those outside of the layers have layer 0.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tensors(Vec<((Tensor, usize), Weights)>);

impl Tensors {
    /// Adds or replaces a tensor.
    pub fn insert(&mut self, tensor: Tensor, layer: usize, weights: Weights) {
        match self.get_mut(tensor, layer) {
            Some(found) => *found = weights,
            None => self.0.push(((tensor, layer), weights)),
        }
    }

    /// Removes a tensor.
    pub fn remove(&mut self, tensor: Tensor, layer: usize) -> Option<Weights> {
        let place = self.0.iter().position(|(key, _)| *key == (tensor, layer))?;
        Some(self.0.remove(place).1)
    }

    /// Removes all layers from this one on.
    pub fn truncate(&mut self, n_layers: usize) {
        self.0.retain(|((tensor, layer), _)| tensor.part() != Part::Layer || *layer < n_layers);
    }

    /// A tensor, if it is there.
    pub fn get(&self, tensor: Tensor, layer: usize) -> Option<&Weights> {
        self.0.iter().find(|(key, _)| *key == (tensor, layer)).map(|(_, weights)| weights)
    }

    /// A tensor, if it is there.
    pub fn get_mut(&mut self, tensor: Tensor, layer: usize) -> Option<&mut Weights> {
        self.0.iter_mut().find(|(key, _)| *key == (tensor, layer)).map(|(_, weights)| weights)
    }

    /// True if the first layer, or the model, has the tensor.
    pub fn has(&self, tensor: Tensor) -> bool {
        self.get(tensor, 0).is_some()
    }

    /// All tensors with their layers, in the order of the image.
    pub fn iter(&self) -> impl Iterator<Item = (Tensor, usize, &Weights)> {
        let place = |tensor: Tensor| Tensor::ALL.iter().position(|other| *other == tensor);
        let mut all: Vec<_> = self.0.iter().map(|((tensor, layer), weights)| (*tensor, *layer, weights)).collect();
        all.sort_by_key(|(tensor, layer, _)| (tensor.part(), *layer, place(*tensor)));
        all.into_iter()
    }
}

impl Index<(Tensor, usize)> for Tensors {
    type Output = Weights;

    /// A tensor that must be there.
    ///
    /// # Panics
    /// When it is absent.
    fn index(&self, (tensor, layer): (Tensor, usize)) -> &Weights {
        self.get(tensor, layer).unwrap_or_else(|| panic!("no {} in layer {layer}", tensor.name()))
    }
}

impl IndexMut<(Tensor, usize)> for Tensors {
    fn index_mut(&mut self, (tensor, layer): (Tensor, usize)) -> &mut Weights {
        self.get_mut(tensor, layer).unwrap_or_else(|| panic!("no {} in layer {layer}", tensor.name()))
    }
}

#[cfg(feature = "std")]
impl Weights {
    /// A tensor of checked shape; every value must be finite.
    ///
    /// # Errors
    /// [`Error::NotFinite`] names the first value that is not.
    pub(crate) fn finite(path: &Path, name: String, shape: Vec<usize>, data: Vec<f32>) -> Result<Self, Error> {
        match data.iter().position(|value| !value.is_finite()) {
            None => Ok(Self { name, shape, data }),
            Some(index) => Err(Error::NotFinite {
                path: path.into(),
                value: data[index],
                index: unravel(index, &shape),
                tensor: name,
            }),
        }
    }
}

/// The flat `index` as one number per dimension.
#[cfg(feature = "std")]
fn unravel(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut out: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let here = index % size;
            index /= size;
            here
        })
        .collect();
    out.reverse();
    out
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::unravel;

    #[test]
    fn an_index_is_shown_per_dimension() {
        assert_eq!(unravel(0, &[4]), [0]);
        assert_eq!(unravel(17, &[3, 8]), [2, 1]);
        assert_eq!(unravel(23, &[2, 3, 4]), [1, 2, 3]);
    }
}
