//! A named tensor, and the checks that every tensor passes on its way in.

use alloc::string::String;
use alloc::vec::Vec;
#[cfg(feature = "std")]
use std::path::Path;

#[cfg(feature = "std")]
use crate::Error;

/// A tensor of a checkpoint.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    /// Its name in the file it came from.
    pub name: String,
    /// Its dimensions; a matrix is `[out, in]`.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub data: Vec<f32>,
}

#[cfg(feature = "std")]
impl Tensor {
    /// A tensor whose shape is known to be right; every value must be finite.
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
