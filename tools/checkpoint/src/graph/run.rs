//! A graph computed at one length of the sequence: constants as numbers, what depends on the input as sums of atoms.

use std::rc::Rc;

use super::array::{self, Array, Kind, broadcast, count, transposed};
use super::atoms::Atoms;
use super::constants;
use super::lin::{Factor, Lin};
use super::masks::Marks;
use super::{Binary, Graph, Mismatch, Node, Op, Reduction, Unary};

/// Most elements of a computed tensor, and of all of them, beyond those of the file: what a model for a microcontroller stays far below.
const MOST: usize = 1 << 23;
const MOST_OF_ALL: usize = 1 << 28;

/// A tensor.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Const(Array),
    Lin(Lin),
}

impl Value {
    pub(super) fn lin(&self) -> Lin {
        match self {
            Value::Const(array) => Lin::constant(array),
            Value::Lin(lin) => lin.clone(),
        }
    }
}

/// The state while a graph is computed.
pub(super) struct Run<'a> {
    graph: &'a Graph,
    pub(super) atoms: Atoms,
    values: Vec<Option<Value>>,
    node: usize,
    /// Elements made so far.
    made: usize,
    largest: usize,
    pub(super) marks: Marks,
}

impl<'a> Run<'a> {
    /// Computes what an output needs, from these inputs, some of which are masks.
    pub(super) fn of(
        graph: &'a Graph,
        inputs: Vec<(usize, Value)>,
        masks: &[usize],
        atoms: Atoms,
        output: usize,
    ) -> Result<(Atoms, Value), Mismatch> {
        let mut values: Vec<Option<Value>> = vec![None; graph.n_values];
        let mut largest = 0;
        for (id, array) in &graph.constants {
            largest = largest.max(array.data.len());
            values[*id] = Some(Value::Const(array.clone()));
        }
        inputs.into_iter().for_each(|(id, value)| values[id] = Some(value));
        let mut last = vec![None; graph.n_values];
        let mut needed = vec![false; graph.n_values];
        needed[output] = true;
        for (index, node) in graph.nodes.iter().enumerate().rev() {
            if node.outputs.iter().any(|&out| needed[out]) {
                for &input in node.inputs.iter().flatten() {
                    needed[input] = true;
                    last[input] = last[input].or(Some(index));
                }
            }
        }
        let mut run = Run { graph, atoms, values, node: 0, made: 0, largest, marks: Marks::new(graph.n_values, masks) };
        for (index, node) in graph.nodes.iter().enumerate() {
            if !node.outputs.iter().any(|&out| needed[out]) {
                continue;
            }
            (run.node, run.atoms.node) = (index, index);
            run.check_masks(node)?;
            let found = run.compute(node)?;
            let is_column = run.value(0).is_ok_and(|value| value.shape().last() == Some(&1));
            run.marks.pass(node, is_column);
            for (&out, value) in node.outputs.iter().zip(found) {
                run.made += count(value.shape());
                run.values[out] = needed[out].then_some(value);
            }
            if run.made > MOST_OF_ALL {
                return Err(run.wrong("more numbers than a model for a microcontroller has"));
            }
            for &input in node.inputs.iter().flatten() {
                if last[input] == Some(index) && input != output {
                    run.values[input] = None;
                }
            }
        }
        let value = run.values[output].take();
        let value =
            value.ok_or_else(|| Mismatch::new(None, "an output that no node computes", "a network's output"))?;
        Ok((run.atoms, value))
    }

    fn node(&self) -> &'a Node {
        &self.graph.nodes[self.node]
    }

    /// An error at this node.
    pub(super) fn wrong(&self, found: &str) -> Mismatch {
        Mismatch::new(Some(self.node), found, super::SIZES)
    }

    pub(super) fn not(&self, found: &str, expected: &str) -> Mismatch {
        Mismatch::new(Some(self.node), found, expected)
    }

    pub(super) fn has(&self, input: usize) -> bool {
        self.node().inputs.get(input).is_some_and(Option::is_some)
    }

    pub(super) fn value(&self, input: usize) -> Result<&Value, Mismatch> {
        let id = self.node().inputs.get(input).copied().flatten();
        let value = id.and_then(|id| self.values[id].as_ref());
        value.ok_or_else(|| self.wrong(&format!("no input {input}")))
    }

    pub(super) fn all(&self) -> Result<Vec<Value>, Mismatch> {
        (0..self.node().inputs.len()).map(|input| self.value(input).cloned()).collect()
    }

    /// A constant input.
    pub(super) fn constant(&self, input: usize) -> Result<&Array, Mismatch> {
        match self.value(input)? {
            Value::Const(array) => Ok(array),
            Value::Lin(_) => Err(self.not(&format!("input {input} computed from the network's input"), "a constant")),
        }
    }

    pub(super) fn ints(&self, input: usize) -> Result<Vec<i64>, Mismatch> {
        self.constant(input).map(Array::to_ints)
    }

    pub(super) fn sizes(&self, input: usize) -> Result<Vec<usize>, Mismatch> {
        let sizes: Option<Vec<usize>> = self.ints(input)?.iter().map(|&size| usize::try_from(size).ok()).collect();
        sizes.ok_or_else(|| self.wrong("a negative size"))
    }

    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize, Mismatch> {
        array::axis(axis, rank).ok_or_else(|| self.wrong(&format!("axis {axis} of {rank} dimensions")))
    }

    pub(super) fn check_size(&self, shape: &[usize]) -> Result<(), Mismatch> {
        let size = shape.iter().try_fold(1_usize, |size, &by| size.checked_mul(by));
        match size {
            Some(size) if size <= MOST.max(2 * self.largest) && shape.len() <= 16 => Ok(()),
            _ => Err(self.wrong(&format!("a tensor {shape:?}, larger than a model for a microcontroller has"))),
        }
    }

    fn compute(&mut self, node: &Node) -> Result<Vec<Value>, Mismatch> {
        if let Some(moved) = self.moved_value(&node.op) {
            return Ok(vec![moved?]);
        }
        let value = match &node.op {
            Op::Split { axis } => return self.split(*axis, node.outputs.len()),
            Op::Identity => self.value(0)?.clone(),
            Op::Unary(f) => self.unary(*f)?,
            Op::Binary(f) => {
                let (a, b) = (self.value(0)?.clone(), self.value(1)?.clone());
                self.binary(*f, a, b)?
            }
            Op::Where => self.choose()?,
            Op::Cast(kind) => match self.value(0)? {
                Value::Const(array) => Value::Const(constants::cast(array, *kind)),
                Value::Lin(lin) if *kind == Kind::Float || self.is_tokens(lin) && *kind == Kind::Int => {
                    Value::Lin(lin.clone())
                }
                Value::Lin(_) => return Err(self.not("computed numbers made whole", "numbers as they are")),
            },
            Op::Concat { axis } => self.concat(*axis)?,
            Op::MatMul => {
                let (a, b) = (self.value(0)?.clone(), self.value(1)?.clone());
                self.matmul(a, b)?
            }
            Op::Einsum(equation) => self.einsum(equation)?,
            Op::Conv { strides, pads, keeps } => self.convolution(strides, pads, *keeps)?,
            Op::BatchNorm { eps } => self.batch_norm(*eps)?,
            Op::LayerNorm { axis, eps } => self.layer_norm(*axis, *eps, false)?,
            Op::RmsNorm { axis, eps } => self.layer_norm(*axis, *eps, true)?,
            Op::Softmax { axis, log, only_last } => self.softmax(*axis, *log, *only_last)?,
            Op::Attention { is_causal, scale, heads } => self.fused_attention(*is_causal, *scale, *heads)?,
            Op::Reduce { how, keep } => {
                let axes = if self.has(1) { Some(self.ints(1)?) } else { None };
                self.reduce(*how, *keep, axes)?
            }
            Op::ReducePlaces(how) => {
                let axes = (2..self.value(0)?.shape().len() as i64).collect();
                self.reduce(*how, true, Some(axes))?
            }
            Op::Shape { start, end } => self.shape(*start, *end)?,
            Op::Size => Value::Const(Array::scalar(Kind::Int, count(self.value(0)?.shape()) as f64)),
            Op::Range => self.range()?,
            Op::Fill(value) => {
                let shape = self.sizes(0)?;
                self.check_size(&shape)?;
                Value::Const(constants::expanded(&value.reshaped(Vec::new()), &shape))
            }
            Op::Triangle { upper } => {
                let diagonal = if self.has(1) { self.ints(1)?.first().copied().unwrap_or(0) } else { 0 };
                let found = constants::triangle(self.constant(0)?, diagonal, *upper);
                Value::Const(found.ok_or_else(|| self.wrong("a tensor without rows"))?)
            }
            Op::CumSum => {
                let x = self.constant(0)?;
                let axis = self.axis(self.ints(1)?.first().copied().unwrap_or(0), x.shape.len())?;
                Value::Const(constants::running_sum(x, axis))
            }
            Op::Pad => self.pad()?,
            Op::Quantize { axis, lowest } => self.quantize(*axis, *lowest)?,
            Op::Dequantize { axis } => self.dequantize(*axis)?,
            Op::Other { next } => {
                return Err(Mismatch {
                    next,
                    ..self.not("no part of a network that is computed here", super::EXPECTED_OPS)
                });
            }
            _ => return Err(self.not("no part of a network that is computed here", super::EXPECTED_OPS)),
        };
        Ok(vec![value])
    }

    fn moved_value(&mut self, op: &Op) -> Option<Result<Value, Mismatch>> {
        if let Op::Gather { axis } = op
            && let (Ok(Value::Const(table)), Ok(Value::Lin(tokens))) = (self.value(0), self.value(1))
        {
            let (table, tokens) = (table.clone(), tokens.clone());
            return Some(self.embed(table, tokens, *axis));
        }
        let found = self.moved(op)?;
        Some(found.and_then(|moved| {
            self.check_size(&moved.0)?;
            Ok(self.value(0)?.moved(moved))
        }))
    }

    fn unary(&mut self, f: Unary) -> Result<Value, Mismatch> {
        Ok(match self.value(0)?.clone() {
            Value::Const(array) => Value::Const(constants::unary(f, &array)),
            // Weights are finite, and so is what is computed with them.
            Value::Lin(lin) if f == Unary::IsNan => {
                let size = lin.len();
                Value::Const(Array::new(Kind::Bool, lin.shape, vec![0.0; size]))
            }
            Value::Lin(lin) => {
                if self.has_tokens(&lin) {
                    return Err(self.not("a function of token ids", super::TOKENS));
                }
                Value::Lin(self.atoms.unary(f, &lin))
            }
        })
    }

    pub(super) fn binary(&mut self, f: Binary, a: Value, b: Value) -> Result<Value, Mismatch> {
        let shape = broadcast(&[a.shape(), b.shape()])
            .ok_or_else(|| self.wrong(&format!("shapes {:?} and {:?}", a.shape(), b.shape())))?;
        self.check_size(&shape)?;
        if let (Value::Const(a), Value::Const(b)) = (&a, &b) {
            let (a, b) = (constants::expanded(a, &shape), constants::expanded(b, &shape));
            return Ok(Value::Const(constants::binary(f, &a, &b)));
        }
        if [&a, &b].into_iter().any(|value| matches!(value, Value::Lin(lin) if self.has_tokens(lin)))
            && let Some(found) = self.compared_tokens(f, &a, &b, &shape)?
        {
            return Ok(found);
        }
        let lin = match (f, a, b) {
            (Binary::Add, Value::Lin(a), Value::Const(b)) | (Binary::Add, Value::Const(b), Value::Lin(a)) => {
                let sum = a.expanded(&shape).plus_constant(&constants::expanded(&b, &shape).data);
                self.atoms.absorbed(sum)
            }
            (Binary::Sub, a, Value::Const(b)) => {
                return self.binary(Binary::Add, a, Value::Const(constants::unary(Unary::Neg, &b)));
            }
            (Binary::Sub, a, Value::Lin(b)) => return self.binary(Binary::Add, a, Value::Lin(b.times(-1.0))),
            (Binary::Add, Value::Lin(a), Value::Lin(b)) => {
                let sum = a.expanded(&shape).plus(&b.expanded(&shape));
                self.atoms.absorbed(sum)
            }
            (Binary::Mul, Value::Lin(a), Value::Const(b)) | (Binary::Mul, Value::Const(b), Value::Lin(a)) => {
                let factor = match b.uniform() {
                    Some(factor) => Factor::All(factor),
                    None => Factor::Each(constants::expanded(&b, &shape).data),
                };
                let product = a.expanded(&shape).scaled(&factor);
                self.atoms.absorbed(product)
            }
            (Binary::Mul, Value::Lin(a), Value::Lin(b)) => {
                let product = self.atoms.mul(&a.expanded(&shape), &b.expanded(&shape));
                self.atoms.absorbed(product)
            }
            (Binary::Div, a, Value::Const(b)) => {
                let inverse = Value::Const(constants::unary(Unary::Reciprocal, &b));
                return self.binary(Binary::Mul, a, inverse);
            }
            (Binary::Div, a, Value::Lin(b)) => {
                let inverse = Value::Lin(self.atoms.unary(Unary::Reciprocal, &b));
                return self.binary(Binary::Mul, a, inverse);
            }
            (Binary::Pow, Value::Lin(a), Value::Const(b)) => self.power(&a.expanded(&shape), b.uniform())?,
            (Binary::Max, Value::Lin(a), Value::Const(b)) | (Binary::Max, Value::Const(b), Value::Lin(a))
                if b.uniform() == Some(0.0) =>
            {
                self.atoms.unary(Unary::Relu, &a.expanded(&shape))
            }
            (Binary::Equal, Value::Lin(a), Value::Const(b)) | (Binary::Equal, Value::Const(b), Value::Lin(a))
                if b.uniform() == Some(f64::NEG_INFINITY) =>
            {
                // Finite but for what a mask has added.
                let offset = a.expanded(&shape).offset.unwrap_or_else(|| vec![0.0; count(&shape)].into());
                let is = |&x: &f64| f64::from(u8::from(x == f64::NEG_INFINITY));
                return Ok(Value::Const(Array::new(Kind::Bool, shape, offset.iter().map(is).collect())));
            }
            _ => return Err(self.not("a function of computed numbers", super::EXPECTED_OPS)),
        };
        Ok(Value::Lin(lin))
    }

    fn power(&mut self, a: &Lin, exponent: Option<f64>) -> Result<Lin, Mismatch> {
        let atoms = &mut self.atoms;
        Ok(match exponent {
            Some(1.0) => a.clone(),
            Some(2.0) => atoms.unary(Unary::Square, a),
            Some(3.0) => atoms.unary(Unary::Cube, a),
            Some(0.5) => atoms.unary(Unary::Sqrt, a),
            Some(-0.5) => {
                let root = atoms.unary(Unary::Sqrt, a);
                atoms.unary(Unary::Reciprocal, &root)
            }
            Some(-1.0) => atoms.unary(Unary::Reciprocal, a),
            _ => return Err(self.not("a power", "one of a norm or of GELU: 2, 3, 0.5, -0.5")),
        })
    }

    fn choose(&mut self) -> Result<Value, Mismatch> {
        let (a, b) = (self.value(1)?.clone(), self.value(2)?.clone());
        let condition = self.constant(0)?.clone();
        let shape =
            broadcast(&[&condition.shape, a.shape(), b.shape()]).ok_or_else(|| self.wrong("shapes that do not fit"))?;
        self.check_size(&shape)?;
        let condition = constants::expanded(&condition, &shape);
        if let (Value::Const(a), Value::Const(b)) = (&a, &b) {
            let (kind, name) = (a.kind, a.name.clone());
            let (a, b) = (constants::expanded(a, &shape), constants::expanded(b, &shape));
            let pick = |index: usize| if condition.data[index] != 0.0 { a.data[index] } else { b.data[index] };
            let data = (0..count(&shape)).map(pick).collect();
            return Ok(Value::Const(Array { shape, data, kind, name }));
        }
        let keep: Vec<bool> = condition.data.iter().map(|&x| x != 0.0).collect();
        let other: Vec<bool> = keep.iter().map(|keep| !keep).collect();
        let (a, b) = (a.lin().expanded(&shape).masked(&keep), b.lin().expanded(&shape).masked(&other));
        Ok(Value::Lin(a.plus(&b)))
    }

    fn softmax(&mut self, axis: i64, log: bool, only_last: bool) -> Result<Value, Mismatch> {
        let value = self.value(0)?.lin();
        let rank = value.shape.len();
        let axis = self.axis(axis, rank)?;
        if only_last && axis + 1 != rank {
            return Err(self.not(&format!("softmax from axis {axis} on of {rank}"), "softmax over the last one"));
        }
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(axis, rank - 1);
        let (shape, places) = transposed(&value.shape, &order);
        let last = value.pick(shape, &places);
        let found = self.atoms.softmax(if axis == rank - 1 { &value } else { &last }, log);
        if axis == rank - 1 {
            return Ok(Value::Lin(found));
        }
        let (shape, places) = transposed(&found.shape, &order);
        Ok(Value::Lin(found.pick(shape, &places)))
    }

    fn reduce(&mut self, how: Reduction, keep: bool, axes: Option<Vec<i64>>) -> Result<Value, Mismatch> {
        let value = self.value(0)?.clone();
        let from = value.shape().to_vec();
        let mut is_reduced = vec![axes.is_none(); from.len()];
        for at in axes.into_iter().flatten() {
            let at = self.axis(at, from.len())?;
            is_reduced[at] = true;
        }
        let mut order: Vec<usize> = (0..from.len()).filter(|&axis| !is_reduced[axis]).collect();
        let groups: usize = order.iter().map(|&axis| from[axis]).product();
        order.extend((0..from.len()).filter(|&axis| is_reduced[axis]));
        let members = count(&from) / groups.max(1);
        let size = |axis: usize| if is_reduced[axis] { 1 } else { from[axis] };
        let shape = (0..from.len()).filter(|&axis| keep || !is_reduced[axis]).map(size).collect::<Vec<_>>();
        let in_order = order.windows(2).all(|pair| pair[0] < pair[1]);
        let (to, places) = transposed(&from, &order);
        let value = value.moved((to, (!in_order).then_some(places)));
        match value {
            Value::Const(array) => Ok(Value::Const(constants::reduce(how, &array, members, shape))),
            Value::Lin(_) if members == 0 || groups == 0 => Err(self.wrong("nothing to reduce")),
            Value::Lin(lin) => {
                let (how, factor) = match how {
                    Reduction::Mean => (Reduction::Sum, 1.0 / members as f64),
                    Reduction::Sum | Reduction::Max => (how, 1.0),
                    _ => return Err(self.not("another reduction of computed numbers", "a sum, a mean or a maximum")),
                };
                let found = self.atoms.reduce(how, lin.reshaped(vec![groups, members]), shape);
                Ok(Value::Lin(found.times(factor)))
            }
        }
    }

    fn shape(&mut self, start: i64, end: Option<i64>) -> Result<Value, Mismatch> {
        let shape = self.value(0)?.shape();
        let rank = shape.len() as i64;
        let wrap = |at: i64| if at < 0 { at.saturating_add(rank) } else { at }.clamp(0, rank) as usize;
        let (start, end) = (wrap(start), end.map_or(shape.len(), wrap));
        Ok(Value::Const(Array::ints(shape.get(start..end).unwrap_or_default().iter().map(|&size| size as i64))))
    }

    fn range(&mut self) -> Result<Value, Mismatch> {
        let kind = self.constant(0)?.kind;
        let number = |input: usize| self.constant(input)?.single().ok_or_else(|| self.wrong("several numbers"));
        let (start, limit, step) = (number(0)?, number(1)?, number(2)?);
        let steps = ((limit - start) / step).ceil();
        if !steps.is_finite() || steps > MOST as f64 {
            return Err(self.wrong("a range without end"));
        }
        let data: Vec<f64> = (0..steps.max(0.0) as usize).map(|index| start + index as f64 * step).collect();
        Ok(Value::Const(Array::new(kind, vec![data.len()], data)))
    }

    /// Numbers that a quantized file keeps in 8 bits, as they were before.
    fn dequantize(&mut self, axis: i64) -> Result<Value, Mismatch> {
        let x = match self.value(0)? {
            Value::Lin(lin) => return self.dequantized_rows(lin.clone()),
            Value::Const(array) => array.clone(),
        };
        let along = |array: &Array| -> Result<Array, Mismatch> {
            if array.data.len() == 1 {
                return Ok(array.reshaped(Vec::new()));
            }
            let axis = self.axis(axis, x.shape.len())?;
            let mut shape = vec![1; x.shape.len()];
            shape[axis] = array.data.len();
            Ok(array.reshaped(shape))
        };
        let scale = Value::Const(along(self.constant(1)?)?);
        let x = Array { kind: Kind::Float, ..x.clone() };
        let centred = match self.has(2) {
            true => {
                let zero = Value::Const(Array { kind: Kind::Float, ..along(self.constant(2)?)? });
                self.binary(Binary::Sub, Value::Const(x), zero)?
            }
            false => Value::Const(x),
        };
        self.binary(Binary::Mul, centred, scale)
    }

    /// Values of the network stay float; where the smallest 8-bit number means 0, those below it become 0.
    fn quantize(&mut self, _axis: i64, lowest: f64) -> Result<Value, Mismatch> {
        let zero = if self.has(2) { self.constant(2)?.uniform() } else { Some(0.0) };
        match self.value(0)?.clone() {
            Value::Lin(lin) if zero == Some(lowest) => Ok(Value::Lin(self.atoms.unary(Unary::Relu, &lin))),
            Value::Lin(lin) => Ok(Value::Lin(lin)),
            Value::Const(_) => Err(self.not("a constant that is quantized", "one that is stored so, or float")),
        }
    }

    /// A constant matrix, its name, and the sum of what is computed and constant.
    pub(super) fn name_of(value: &Array) -> Rc<str> {
        value.name.clone()
    }
}
