//! Operations that become linear layers, norms and attention.

use super::array::{Array, Kind, broadcast, count, places, strides, transposed};
use super::constants;
use super::lin::Lin;
use super::run::{Run, Value};
use super::{Binary, Mismatch};

impl Run<'_> {
    fn unfit(&self, a: &[usize], b: &[usize]) -> Mismatch {
        self.wrong(&format!("a product of {a:?} and {b:?}"))
    }

    /// Product of the last two dimensions as matrices.
    pub(super) fn matmul(&mut self, a: Value, b: Value) -> Result<Value, Mismatch> {
        let unfit = self.unfit(a.shape(), b.shape());
        match (a, b) {
            (Value::Const(a), Value::Const(b)) => {
                let vector = a.shape.len() == 1;
                let a = if vector { a.reshaped(vec![1, a.data.len()]) } else { a };
                let column = b.shape.len() == 1;
                let b = if column { b.reshaped(vec![b.data.len(), 1]) } else { b };
                let product = constants::matmul(&a, &b).ok_or(unfit)?;
                self.check_size(&product.shape)?;
                let mut shape = product.shape.clone();
                if column {
                    shape.pop();
                }
                if vector {
                    shape.remove(shape.len() - 1 - usize::from(!column));
                }
                Ok(Value::Const(product.reshaped(shape)))
            }
            (Value::Lin(a), Value::Const(b)) => self.linear(&a, &b).map(Value::Lin),
            (Value::Const(a), Value::Lin(b)) => {
                // As the transposed product of the transposed ones.
                let (Value::Lin(b), Value::Const(a)) = (swapped(&Value::Lin(b)), swapped(&Value::Const(a))) else {
                    return Err(unfit);
                };
                let product = self.linear(&b, &a)?;
                Ok(swapped(&Value::Lin(product)))
            }
            (Value::Lin(a), Value::Lin(b)) => {
                let (&[ref lead_a @ .., m, k], &[ref lead_b @ .., k2, n]) = (&a.shape[..], &b.shape[..]) else {
                    return Err(unfit);
                };
                let Some(lead) = broadcast(&[lead_a, lead_b]).filter(|_| k == k2) else { return Err(unfit) };
                let (shape, batch) = ([&lead[..], &[m, n]].concat(), count(&lead));
                self.check_size(&shape)?;
                let a = a.expanded(&[&lead[..], &[m, k]].concat()).reshaped(vec![batch, m, k]);
                let b = b.expanded(&[&lead[..], &[k, n]].concat()).reshaped(vec![batch, k, n]);
                if let Some(found) = self.atoms.attention(&a, &b) {
                    return Ok(Value::Lin(found?.reshaped(shape)));
                }
                let made = super::atoms::Made::Product { a, b };
                Ok(Value::Lin(self.atoms.add(made, batch * m, n, shape)))
            }
        }
    }

    /// Product with a constant `[…, in, out]`.
    fn linear(&mut self, x: &Lin, weights: &Array) -> Result<Lin, Mismatch> {
        let unfit = self.unfit(&x.shape, &weights.shape);
        let width = x.shape.last().copied().unwrap_or(0);
        let name = Self::name_of(weights);
        if x.len() == 0 {
            return Err(unfit);
        }
        match &weights.shape[..] {
            [_] if weights.data.len() == width && width > 0 => {
                let mut found = self.atoms.linear(x, weights.data.to_vec(), 1, name);
                found.shape.pop();
                Ok(found)
            }
            [.., inner, out]
                if *inner == width && count(&weights.shape) == inner * out && count(&weights.shape) > 0 =>
            {
                let at = |index: usize| weights.data[index % inner * out + index / inner];
                let found = self.atoms.linear(x, (0..inner * out).map(at).collect(), *out, name);
                let rank = weights.shape.len();
                let extra = rank.saturating_sub(found.shape.len());
                let shape = [&vec![1; extra][..], &found.shape].concat();
                Ok(found.reshaped(shape))
            }
            // A matrix for each head, and the same rows for all.
            [lead @ .., inner, out] if *inner == width && count(&x.shape[..x.shape.len().saturating_sub(2)]) == 1 => {
                let (heads, rows) = (count(lead), x.len() / width.max(1));
                let at = |index: usize| {
                    let (head, column, row) = (index / (inner * out), index / inner % out, index % inner);
                    weights.data[(head * inner + row) * out + column]
                };
                if heads == 0 || *out == 0 || rows == 0 {
                    return Err(unfit);
                }
                let rows_of = x.reshaped(vec![rows, width]);
                let found = self.atoms.linear(&rows_of, (0..heads * inner * out).map(at).collect(), heads * out, name);
                let (_, places) = transposed(&[rows, heads, *out], &[1, 0, 2]);
                Ok(found.pick([lead, &[rows, *out]].concat(), &places))
            }
            _ => Err(unfit),
        }
    }

    /// Products and sums by names of dimensions, of two tensors.
    pub(super) fn einsum(&mut self, equation: &str) -> Result<Value, Mismatch> {
        let plain: String = equation.chars().filter(|letter| !letter.is_whitespace()).collect();
        let unknown = || self.wrong(&format!("the equation `{equation}`"));
        let (inputs, out) = plain.split_once("->").ok_or_else(unknown)?;
        let (a, b) = inputs.split_once(',').ok_or_else(unknown)?;
        let letters = |text: &str| -> Vec<char> { text.chars().collect() };
        let (mut a, mut b, out) = (letters(a), letters(b), letters(out));
        let is_set =
            |names: &[char]| (0..names.len()).all(|i| names[i].is_alphabetic() && !names[..i].contains(&names[i]));
        let (mut left, mut right) = (self.value(0)?.clone(), self.value(1)?.clone());
        let fits =
            is_set(&a) && is_set(&b) && is_set(&out) && left.shape().len() == a.len() && right.shape().len() == b.len();
        let in_either = out.iter().all(|name| a.contains(name) || b.contains(name));
        if !fits || !in_either {
            return Err(unknown());
        }
        // Rows are those of the result, so that keys times queries are queries times keys.
        let first =
            |own: &[char], other: &[char]| out.iter().position(|name| own.contains(name) && !other.contains(name));
        if first(&b, &a) < first(&a, &b) {
            std::mem::swap(&mut a, &mut b);
            std::mem::swap(&mut left, &mut right);
        }
        let size = |name: &char| -> usize {
            let of =
                |names: &[char], value: &Value| names.iter().position(|own| own == name).map(|at| value.shape()[at]);
            of(&a, &left).unwrap_or(1).max(of(&b, &right).unwrap_or(1))
        };
        let of = |test: &dyn Fn(&char) -> bool, names: &[char]| {
            names.iter().copied().filter(|name| test(name)).collect::<Vec<_>>()
        };
        let batch = of(&|name| b.contains(name) && out.contains(name), &a);
        let inner = of(&|name| b.contains(name) && !out.contains(name), &a);
        let rows = of(&|name| !b.contains(name), &a);
        let columns = of(&|name| !a.contains(name), &b);
        if rows.iter().chain(&columns).any(|name| !out.contains(name)) {
            return Err(unknown());
        }
        let arrange = |value: &Value, own: &[char], groups: [&[char]; 3]| -> Value {
            let names = groups.concat();
            let order: Vec<usize> = names.iter().filter_map(|name| own.iter().position(|own| own == name)).collect();
            let (_, places) = transposed(value.shape(), &order);
            let sizes = groups.map(|group| group.iter().map(size).product::<usize>());
            let lead: Vec<usize> = if groups[0].is_empty() { Vec::new() } else { vec![sizes[0]] };
            value.moved(([&lead[..], &sizes[1..]].concat(), Some(places)))
        };
        let fits =
            |names: &[char], value: &Value| names.iter().enumerate().all(|(at, name)| value.shape()[at] == size(name));
        if !fits(&a, &left) || !fits(&b, &right) {
            return Err(unknown());
        }
        let (left, right) =
            (arrange(&left, &a, [&batch, &rows, &inner]), arrange(&right, &b, [&batch, &inner, &columns]));
        let product = self.matmul(left, right)?;
        let names = [&batch[..], &rows, &columns].concat();
        let shape: Vec<usize> = names.iter().map(size).collect();
        let order: Vec<usize> = out.iter().filter_map(|name| names.iter().position(|own| own == name)).collect();
        let (to, places) = transposed(&shape, &order);
        Ok(product.moved((to, Some(places))))
    }

    /// A convolution as a linear layer of windows.
    pub(super) fn convolution(&mut self, by: &[i64], pads: &[i64], keeps: bool) -> Result<Value, Mismatch> {
        let kernel = self.constant(1)?.clone();
        let mut x = self.value(0)?.lin();
        let (&[1, channels, ref sizes @ ..], &[out, inner, ref windows @ ..]) = (&x.shape[..], &kernel.shape[..])
        else {
            return Err(self.wrong(&format!("a convolution of {:?} by {:?}", x.shape, kernel.shape)));
        };
        if inner != channels || sizes.len() != windows.len() || sizes.is_empty() {
            let found = format!("a convolution of {:?} by {:?}", x.shape, kernel.shape);
            return Err(Mismatch::new(Some(self.atoms.node), found, "one that reads all channels (groups = 1)"));
        }
        if pads.iter().any(|&pad| pad != 0) {
            return Err(self.padded(format!("padding {pads:?}")));
        }
        let by: Vec<usize> = match by {
            [] => vec![1; sizes.len()],
            by => by.iter().filter_map(|&step| usize::try_from(step).ok()).filter(|&step| step > 0).collect(),
        };
        let fits =
            by.len() == sizes.len() && sizes.iter().zip(windows).all(|(size, window)| size >= window && *window > 0);
        if !fits {
            return Err(self.wrong(&format!("windows {windows:?} of {sizes:?}")));
        }
        let counts: Vec<usize> = (0..sizes.len()).map(|at| (sizes[at] - windows[at]) / by[at] + 1).collect();
        if keeps && (0..sizes.len()).any(|at| (sizes[at].div_ceil(by[at]) - 1) * by[at] + windows[at] > sizes[at]) {
            return Err(self.padded("padding (SAME)".into()));
        }
        let own = strides(&x.shape);
        let stride = |at: usize| own[2 + at] as i64;
        // Windows in order, and in each the channels and places of the kernel.
        let shape = [&counts[..], &[channels], windows].concat();
        self.check_size(&shape)?;
        let steps = (0..sizes.len()).map(|at| stride(at) * by[at] as i64);
        let steps: Vec<i64> = steps.chain([own[1] as i64]).chain((0..sizes.len()).map(stride)).collect();
        let (rows, width) = (count(&counts), channels * count(windows));
        let places = places(&shape, 0, &steps);
        x = x.pick(vec![rows, width], &places);
        let mut found = self.atoms.linear(&x, kernel.data.to_vec(), out, Self::name_of(&kernel));
        if self.has(2) {
            let bias = self.constant(2)?.clone();
            if bias.data.len() != out {
                return Err(self.wrong("a bias of another length"));
            }
            let bias = constants::expanded(&bias, &found.shape);
            found = self.atoms.absorbed(found.plus_constant(&bias.data));
        }
        let (_, places) = transposed(&found.shape, &[1, 0]);
        Ok(Value::Lin(found.pick([&[1, out][..], &counts].concat(), &places)))
    }

    pub(super) fn batch_norm(&mut self, eps: f64) -> Result<Value, Mismatch> {
        let x = self.value(0)?.clone();
        let rank = x.shape().len();
        let parts: Vec<Array> = (1..5).map(|input| self.constant(input).cloned()).collect::<Result<_, _>>()?;
        let channels = x.shape().get(1).copied().unwrap_or(0);
        if rank < 2 || parts.iter().any(|part| part.data.len() != channels) {
            return Err(self.wrong("numbers for another number of channels"));
        }
        let mut shape = vec![1; rank];
        shape[1] = channels;
        let factor: Vec<f64> = (0..channels).map(|i| parts[0].data[i] / (parts[3].data[i] + eps).sqrt()).collect();
        let constant: Vec<f64> = (0..channels).map(|i| parts[1].data[i] - parts[2].data[i] * factor[i]).collect();
        let array = |data: Vec<f64>| Value::Const(Array::new(Kind::Float, shape.clone(), data));
        let scaled = self.binary(Binary::Mul, x, array(factor))?;
        self.binary(Binary::Add, scaled, array(constant))
    }

    pub(super) fn layer_norm(&mut self, axis: i64, eps: f64, is_rms: bool) -> Result<Value, Mismatch> {
        let x = self.value(0)?.lin();
        let axis = self.axis(axis, x.shape.len())?;
        if axis + 1 != x.shape.len() || eps <= 0.0 || x.len() == 0 {
            let found = format!("a norm over dimensions from {axis} on of {:?}, with epsilon {eps}", x.shape);
            return Err(Mismatch::new(Some(self.atoms.node), found, "over the last one, with a positive epsilon"));
        }
        let mut value = Value::Lin(self.atoms.norm(x.matrix(), is_rms, eps, &x.shape));
        for (input, f) in [(1, Binary::Mul), (2, Binary::Add)] {
            if self.has(input) {
                let with = Value::Const(self.constant(input)?.clone());
                value = self.binary(f, value, with)?;
            }
        }
        Ok(value)
    }

    pub(super) fn pad(&mut self) -> Result<Value, Mismatch> {
        let x = self.value(0)?.clone();
        if self.ints(1)?.iter().all(|&pad| pad == 0) {
            return Ok(x);
        }
        Err(self.padded("padding".into()))
    }

    fn padded(&self, found: String) -> Mismatch {
        let expected = "no padding: at the edges a padded frame holds zeros that no recording has";
        let next = "train the network without padding (PyTorch: padding=0, Keras: \"valid\")";
        Mismatch { next, ..Mismatch::new(Some(self.atoms.node), found, expected) }
    }
}

/// A value whose last two dimensions are swapped.
fn swapped(value: &Value) -> Value {
    let rank = value.shape().len();
    if rank < 2 {
        return value.clone();
    }
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(rank - 2, rank - 1);
    let (shape, places) = transposed(value.shape(), &order);
    value.moved((shape, Some(places)))
}
