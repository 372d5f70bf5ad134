//! Operations that move elements: for each a shape, and the places in the input that its elements come from.

use super::array::{Array, axis, broadcast, count, expansion, places, strides, transposed};
use super::lin::Lin;
use super::run::{Run, Value};
use super::{Mismatch, Op};

/// A shape and the places that its elements come from; `None` where they stay in order.
type Move = (Vec<usize>, Option<Vec<u32>>);

impl Value {
    pub(super) fn shape(&self) -> &[usize] {
        match self {
            Value::Const(array) => &array.shape,
            Value::Lin(lin) => &lin.shape,
        }
    }

    pub(super) fn moved(&self, (shape, places): Move) -> Value {
        match (self, places) {
            (Value::Const(array), None) => Value::Const(array.reshaped(shape)),
            (Value::Const(array), Some(places)) => Value::Const(array.pick(shape, &places)),
            (Value::Lin(lin), None) => Value::Lin(lin.reshaped(shape)),
            (Value::Lin(lin), Some(places)) => Value::Lin(lin.pick(shape, &places)),
        }
    }
}

impl Run<'_> {
    /// The result of an operation that moves elements of its first input; `None` for another one.
    pub(super) fn moved(&mut self, op: &Op) -> Option<Result<Move, Mismatch>> {
        let found = match op {
            Op::Reshape { literal } => self.reshape(*literal),
            Op::Flatten { axis } => self.flatten(*axis),
            Op::Transpose { order } => self.transpose(order.as_deref()),
            Op::Slice => self.slice(),
            Op::Gather { axis } => self.gather(*axis),
            Op::GatherElements { axis } => self.gather_elements(*axis),
            Op::GatherNd => self.gather_nd(),
            Op::Unsqueeze => self.unsqueeze(),
            Op::Squeeze => self.squeeze(),
            Op::Expand => self.expand(),
            Op::Tile => self.tile(),
            _ => return None,
        };
        Some(found)
    }

    fn reshape(&mut self, literal: bool) -> Result<Move, Mismatch> {
        let from = self.value(0)?.shape().to_vec();
        let wanted = self.ints(1)?;
        let mut shape = Vec::new();
        for (axis, &size) in wanted.iter().enumerate() {
            shape.push(match size {
                0 if !literal => {
                    *from.get(axis).ok_or_else(|| self.wrong("a shape that keeps a dimension that is not there"))?
                }
                -1 => 1,
                size => usize::try_from(size).map_err(|_| self.wrong("a negative size"))?,
            });
        }
        self.check_size(&shape)?;
        if let Some(axis) = wanted.iter().position(|&size| size == -1) {
            let (all, known) = (count(&from), count(&shape));
            shape[axis] = all.checked_div(known).unwrap_or(0);
        }
        self.check_size(&shape)?;
        if count(&shape) != count(&from) {
            return Err(self.wrong(&format!("a shape {shape:?} for {from:?}")));
        }
        Ok((shape, None))
    }

    fn flatten(&mut self, at: i64) -> Result<Move, Mismatch> {
        let from = self.value(0)?.shape().to_vec();
        let at = if at == from.len() as i64 { from.len() } else { self.axis(at, from.len())? };
        Ok((vec![count(&from[..at]), count(&from[at..])], None))
    }

    fn transpose(&mut self, order: Option<&[i64]>) -> Result<Move, Mismatch> {
        let from = self.value(0)?.shape().to_vec();
        let order: Vec<usize> = match order {
            None => (0..from.len()).rev().collect(),
            Some(order) => order.iter().filter_map(|&at| axis(at, from.len())).collect(),
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if sorted != (0..from.len()).collect::<Vec<_>>() {
            return Err(self.wrong("an order that is none of the dimensions"));
        }
        let (shape, places) = transposed(&from, &order);
        let moved: Vec<usize> = order.into_iter().filter(|&axis| from[axis] != 1).collect();
        // Dimensions of 1 can go anywhere.
        let stays = moved.windows(2).all(|pair| pair[0] < pair[1]);
        Ok((shape, (!stays).then_some(places)))
    }

    fn slice(&mut self) -> Result<Move, Mismatch> {
        let from = self.value(0)?.shape().to_vec();
        let (starts, ends) = (self.ints(1)?, self.ints(2)?);
        let axes = match self.has(3) {
            true => self.ints(3)?,
            false => (0..starts.len() as i64).collect(),
        };
        let steps = if self.has(4) { self.ints(4)? } else { vec![1; starts.len()] };
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
            return Err(self.wrong("starts, ends, axes and steps of different numbers"));
        }
        let own = strides(&from);
        let (mut shape, mut start) = (from.clone(), 0);
        let mut by: Vec<i64> = own.iter().map(|&stride| stride as i64).collect();
        for (((begin, end), at), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
            let at = self.axis(at, from.len())?;
            let size = from[at] as i64;
            let wrap = |index: i64| if index < 0 { index.saturating_add(size) } else { index };
            let (begin, end) = match step {
                1.. => (wrap(begin).clamp(0, size), wrap(end).clamp(0, size)),
                0 => return Err(self.wrong("a step of 0")),
                _ => (wrap(begin).clamp(0, size - 1), wrap(end).clamp(-1, size - 1)),
            };
            let length = if step > 0 { end - begin } else { begin - end };
            shape[at] = (length.max(0) as u64).div_ceil(step.unsigned_abs()) as usize;
            start += begin.max(0) * own[at] as i64;
            by[at] = own[at] as i64 * if shape[at] > 1 { step } else { 0 };
        }
        if shape == from && start == 0 {
            return Ok((shape, None));
        }
        Ok((shape.clone(), Some(places(&shape, start, &by))))
    }

    /// Indices, negative ones counted from the end, all below `size`.
    fn indices(&mut self, input: usize, size: usize) -> Result<(Vec<usize>, Vec<usize>), Mismatch> {
        let shape = self.constant(input)?.shape.clone();
        let ints = self.ints(input)?;
        let found: Option<Vec<usize>> = ints.iter().map(|&index| axis(index, size)).collect();
        found.map(|found| (shape, found)).ok_or_else(|| self.wrong(&format!("an index beyond {size}")))
    }

    fn gather(&mut self, at: i64) -> Result<Move, Mismatch> {
        let from = self.value(0)?.shape().to_vec();
        let at = self.axis(at, from.len())?;
        let (index_shape, indices) = self.indices(1, from[at])?;
        let shape = [&from[..at], &index_shape, &from[at + 1..]].concat();
        self.check_size(&shape)?;
        let (outer, inner) = (count(&from[..at]), count(&from[at + 1..]));
        let mut places = Vec::with_capacity(count(&shape));
        for outer in 0..outer {
            for index in &indices {
                places.extend((0..inner).map(|inner_at| ((outer * from[at] + index) * inner + inner_at) as u32));
            }
        }
        Ok((shape, Some(places)))
    }

    fn gather_elements(&mut self, at: i64) -> Result<Move, Mismatch> {
        let from = self.value(0)?.shape().to_vec();
        let at = self.axis(at, from.len())?;
        let (shape, indices) = self.indices(1, from[at])?;
        if shape.len() != from.len() || shape.iter().zip(&from).enumerate().any(|(axis, (a, b))| axis != at && a > b) {
            return Err(self.wrong("indices of another shape"));
        }
        let (own, to) = (strides(&from), strides(&shape));
        let place = |(flat, index): (usize, usize)| {
            let of = |axis: usize| if axis == at { index } else { flat / to[axis] % shape[axis] };
            (0..shape.len()).map(|axis| of(axis) * own[axis]).sum::<usize>() as u32
        };
        let places = indices.into_iter().enumerate().map(place).collect();
        Ok((shape, Some(places)))
    }

    fn gather_nd(&mut self) -> Result<Move, Mismatch> {
        let from = self.value(0)?.shape().to_vec();
        let indices = self.constant(1)?;
        let depth = indices.shape.last().copied().unwrap_or(0);
        if depth == 0 || depth > from.len() {
            return Err(self.wrong("indices of another shape"));
        }
        let own = strides(&from);
        let inner = count(&from[depth..]);
        let shape = [&indices.shape[..indices.shape.len() - 1], &from[depth..]].concat();
        self.check_size(&shape)?;
        let mut places = Vec::with_capacity(count(&shape));
        for index in indices.to_ints().chunks(depth) {
            let mut start = 0;
            for (at, &index) in index.iter().enumerate() {
                start += axis(index, from[at]).ok_or_else(|| self.wrong("an index beyond the tensor"))? * own[at];
            }
            places.extend((0..inner).map(|at| (start + at) as u32));
        }
        Ok((shape, Some(places)))
    }

    fn unsqueeze(&mut self) -> Result<Move, Mismatch> {
        let from = self.value(0)?.shape().to_vec();
        let axes = self.ints(1)?;
        let rank = from.len() + axes.len();
        let mut is_new = vec![false; rank];
        for at in axes {
            let at = self.axis(at, rank)?;
            is_new[at] = true;
        }
        let mut sizes = from.into_iter();
        let shape: Option<Vec<usize>> =
            is_new.into_iter().map(|is_new| if is_new { Some(1) } else { sizes.next() }).collect();
        let shape = shape.ok_or_else(|| self.wrong("an axis twice"))?;
        Ok((shape, None))
    }

    fn squeeze(&mut self) -> Result<Move, Mismatch> {
        let from = self.value(0)?.shape().to_vec();
        let mut is_gone: Vec<bool> = from.iter().map(|&size| size == 1).collect();
        if self.has(1) {
            is_gone.fill(false);
            for at in self.ints(1)? {
                let at = self.axis(at, from.len())?;
                is_gone[at] = true;
            }
        }
        let wrong = from.iter().zip(&is_gone).any(|(&size, &gone)| gone && size != 1);
        if wrong {
            return Err(self.wrong("a dimension that is not 1"));
        }
        Ok((from.iter().zip(is_gone).filter(|(_, gone)| !gone).map(|(&size, _)| size).collect(), None))
    }

    fn expand(&mut self) -> Result<Move, Mismatch> {
        let from = self.value(0)?.shape().to_vec();
        let wanted: Vec<usize> = self.sizes(1)?;
        let shape = broadcast(&[&from, &wanted]).ok_or_else(|| self.wrong("shapes that do not fit"))?;
        self.check_size(&shape)?;
        let places = expansion(&from, &shape);
        Ok((shape, places))
    }

    fn tile(&mut self) -> Result<Move, Mismatch> {
        let from = self.value(0)?.shape().to_vec();
        let repeats = self.sizes(1)?;
        if repeats.len() != from.len() {
            return Err(self.wrong("repeats for another number of dimensions"));
        }
        if repeats.iter().all(|&times| times == 1) {
            return Ok((from, None));
        }
        let shape = from.iter().zip(&repeats).map(|(size, times)| size.saturating_mul(*times)).collect::<Vec<_>>();
        self.check_size(&shape)?;
        let (own, to) = (strides(&from), strides(&shape));
        let place = |flat: usize| {
            let of = |axis: usize| flat / to[axis] % shape[axis] % from[axis] * own[axis];
            (0..shape.len()).map(of).sum::<usize>() as u32
        };
        let places = (0..count(&shape)).map(place).collect();
        Ok((shape, Some(places)))
    }

    /// Values side by side.
    pub(super) fn concat(&mut self, at: i64) -> Result<Value, Mismatch> {
        let values = self.all()?;
        let Some(first) = values.first() else { return Err(self.wrong("no tensors")) };
        let at = self.axis(at, first.shape().len())?;
        let mut shape = first.shape().to_vec();
        shape[at] = 0;
        for value in &values {
            let own = value.shape();
            if own.len() != shape.len() || (0..own.len()).any(|axis| axis != at && own[axis] != shape[axis]) {
                return Err(self.wrong("tensors of different shapes"));
            }
            shape[at] += own[at];
        }
        self.check_size(&shape)?;
        let by: Vec<i64> = strides(&shape).into_iter().map(|stride| stride as i64).collect();
        let mut start = 0;
        let mut joined = Vec::new();
        for value in &values {
            joined.push(places(value.shape(), start, &by));
            start += value.shape()[at] as i64 * by[at];
        }
        if let Some(Value::Const(first)) = values.iter().find(|_| values.iter().all(|v| matches!(v, Value::Const(_)))) {
            let mut data = vec![0.0; count(&shape)];
            for (value, places) in values.iter().zip(joined) {
                let Value::Const(array) = value else { continue };
                array.data.iter().zip(places).for_each(|(&value, place)| data[place as usize] = value);
            }
            return Ok(Value::Const(Array { shape, data: data.into(), ..first.clone() }));
        }
        let values: Vec<(Lin, Vec<u32>)> = values.iter().map(Value::lin).zip(joined).collect();
        Ok(Value::Lin(Lin::joined(shape, &values)))
    }

    /// Parts of a tensor along an axis.
    pub(super) fn split(&mut self, at: i64, parts: usize) -> Result<Vec<Value>, Mismatch> {
        let value = self.value(0)?.clone();
        let from = value.shape().to_vec();
        let at = self.axis(at, from.len())?;
        let sizes = match self.has(1) {
            true => self.sizes(1)?,
            false => {
                // The last one may be smaller.
                let size = from[at].div_ceil(parts.max(1));
                (0..parts).map(|part| size.min(from[at].saturating_sub(part * size))).collect()
            }
        };
        if sizes.iter().try_fold(0_usize, |sum, &size| sum.checked_add(size)) != Some(from[at]) || sizes.len() != parts
        {
            return Err(self.wrong("parts that are not the whole"));
        }
        let by: Vec<i64> = strides(&from).into_iter().map(|stride| stride as i64).collect();
        let mut start = 0;
        let mut out = Vec::new();
        for size in sizes {
            let mut shape = from.clone();
            shape[at] = size;
            let places = places(&shape, start, &by);
            start += size as i64 * by[at];
            out.push(value.moved((shape, Some(places))));
        }
        Ok(out)
    }
}
