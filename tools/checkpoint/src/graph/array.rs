//! Constant tensors while a graph is read, and the movement of elements that constants and computed values have in common.

use std::rc::Rc;

/// Kind of a tensor's elements; all are held as `f64`, which is exact for each of them but the largest integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Float,
    Int,
    Bool,
}

/// A constant tensor, row-major.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub shape: Vec<usize>,
    pub data: Rc<[f64]>,
    pub kind: Kind,
    /// Name in the file of the tensor that it was made of, for messages.
    pub name: Rc<str>,
}

impl Array {
    pub(crate) fn new(kind: Kind, shape: Vec<usize>, data: Vec<f64>) -> Array {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        Array { shape, data: data.into(), kind, name: "".into() }
    }

    pub(crate) fn scalar(kind: Kind, value: f64) -> Array {
        Array::new(kind, Vec::new(), vec![value])
    }

    pub(crate) fn ints(values: impl IntoIterator<Item = i64>) -> Array {
        let data: Vec<f64> = values.into_iter().map(|value| value as f64).collect();
        Array::new(Kind::Int, vec![data.len()], data)
    }

    /// Its elements as integers.
    pub(crate) fn to_ints(&self) -> Vec<i64> {
        self.data.iter().map(|&value| value as i64).collect()
    }

    /// Its only element.
    pub(crate) fn single(&self) -> Option<f64> {
        match self.data[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Its value, if all elements are the same.
    pub(crate) fn uniform(&self) -> Option<f64> {
        let first = *self.data.first()?;
        self.data.iter().all(|&value| value == first).then_some(first)
    }

    /// The elements at these places, in another shape.
    pub(crate) fn pick(&self, shape: Vec<usize>, places: &[u32]) -> Array {
        let data = places.iter().map(|&place| self.data[place as usize]).collect();
        Array { shape, data, kind: self.kind, name: self.name.clone() }
    }

    /// The same elements in another shape of as many.
    pub(crate) fn reshaped(&self, shape: Vec<usize>) -> Array {
        Array { shape, ..self.clone() }
    }
}

/// Number of elements of a shape.
pub(crate) fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Elements from one index of each dimension to the next.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Places of the elements at every index of `shape`, in order: the sum of `start` and of every dimension's index times its stride.
pub(crate) fn places(shape: &[usize], start: i64, strides: &[i64]) -> Vec<u32> {
    let mut places = vec![start];
    for (&size, &stride) in shape.iter().zip(strides) {
        places = places.iter().flat_map(|&place| (0..size as i64).map(move |index| place + index * stride)).collect();
    }
    places.into_iter().map(|place| place as u32).collect()
}

/// The shape that several shapes broadcast to.
pub(crate) fn broadcast(shapes: &[&[usize]]) -> Option<Vec<usize>> {
    let rank = shapes.iter().map(|shape| shape.len()).max()?;
    let mut out = vec![1; rank];
    for shape in shapes {
        for (out, &size) in out[rank - shape.len()..].iter_mut().zip(*shape) {
            if size != 1 {
                if *out != 1 && *out != size {
                    return None;
                }
                *out = size;
            }
        }
    }
    Some(out)
}

/// Places of a shape's elements in the shape that it is broadcast to; `None` where they are the same.
pub(crate) fn expansion(from: &[usize], to: &[usize]) -> Option<Vec<u32>> {
    if count(from) == count(to) {
        return None;
    }
    let own = strides(from);
    let extra = to.len() - from.len();
    let stride = |axis: usize| match axis.checked_sub(extra) {
        Some(axis) if from[axis] != 1 => own[axis] as i64,
        _ => 0,
    };
    Some(places(to, 0, &(0..to.len()).map(stride).collect::<Vec<_>>()))
}

/// An axis as given in a file, where negative ones count from the end.
pub(crate) fn axis(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}

/// Shape and places of a transposition.
pub(crate) fn transposed(shape: &[usize], order: &[usize]) -> (Vec<usize>, Vec<u32>) {
    let own = strides(shape);
    let to: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
    let strides: Vec<i64> = order.iter().map(|&axis| own[axis] as i64).collect();
    let places = places(&to, 0, &strides);
    (to, places)
}
