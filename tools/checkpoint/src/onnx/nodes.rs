//! Operations of ONNX as those of a graph; attributes that later versions of the format made inputs become inputs.

use std::collections::HashMap;

use super::proto;
use super::tensor::{Tensors, kind, lowest};
use crate::Error;
use crate::graph::{Array, Binary, Graph, Kind, NEXT, Node, Op, Reduction, Unary, ValueId};

/// A graph while it is made, values by their names.
pub(super) struct Builder<'a> {
    pub graph: Graph,
    pub tensors: Tensors<'a>,
    ids: HashMap<String, ValueId>,
    /// Element types of the constants, by their values.
    pub types: HashMap<ValueId, i32>,
    /// Version of the operations.
    pub opset: i64,
}

/// An operation that has no place in a network, and the next step where it is one of onnxruntime's own, of others, or with graphs of its own.
const OTHER: Op = Op::Other { next: NEXT };
const FUSED: &str = "give the file as it was before onnxruntime's optimizer (optimum: without --optimize)";
const FUNCTIONS: &str = "export the model with ONNX's own operations alone";
const BRANCHES: &str = "export the model with torch.onnx.export(…, dynamo=True), or fold what is decided by sizes alone: onnxsim model.onnx model.onnx";

/// Functions of one element by their names.
const UNARY: [(&str, Unary); 19] = [
    ("Neg", Unary::Neg),
    ("Abs", Unary::Abs),
    ("Sqrt", Unary::Sqrt),
    ("Reciprocal", Unary::Reciprocal),
    ("Exp", Unary::Exp),
    ("Log", Unary::Log),
    ("Erf", Unary::Erf),
    ("Tanh", Unary::Tanh),
    ("Sigmoid", Unary::Sigmoid),
    ("Relu", Unary::Relu),
    ("Sin", Unary::Sin),
    ("Cos", Unary::Cos),
    ("Floor", Unary::Floor),
    ("Ceil", Unary::Ceil),
    ("Round", Unary::Round),
    ("Not", Unary::Not),
    ("IsNaN", Unary::IsNan),
    ("FastGelu", Unary::GeluTanh),
    ("QuickGelu", Unary::Silu),
];

/// Functions of two elements by their names.
const BINARY: [(&str, Binary); 17] = [
    ("Add", Binary::Add),
    ("Sum", Binary::Add),
    ("Sub", Binary::Sub),
    ("Mul", Binary::Mul),
    ("Div", Binary::Div),
    ("Pow", Binary::Pow),
    ("Mod", Binary::Mod),
    ("Min", Binary::Min),
    ("Max", Binary::Max),
    ("Equal", Binary::Equal),
    ("Less", Binary::Less),
    ("LessOrEqual", Binary::LessOrEqual),
    ("Greater", Binary::Greater),
    ("GreaterOrEqual", Binary::GreaterOrEqual),
    ("And", Binary::And),
    ("Or", Binary::Or),
    ("Xor", Binary::Xor),
];

/// Reductions by their names, and the version whose axes are an input.
const REDUCTIONS: [(&str, Reduction); 5] = [
    ("ReduceSum", Reduction::Sum),
    ("ReduceMean", Reduction::Mean),
    ("ReduceMax", Reduction::Max),
    ("ReduceMin", Reduction::Min),
    ("ReduceProd", Reduction::Prod),
];

/// Attributes of a node, by name.
struct Attributes<'n>(&'n [proto::Attribute]);

impl<'n> Attributes<'n> {
    fn get(&self, name: &str) -> Option<&'n proto::Attribute> {
        self.0.iter().find(|attribute| attribute.name == name)
    }

    fn int(&self, name: &str, absent: i64) -> i64 {
        self.get(name).map_or(absent, |attribute| attribute.int)
    }

    fn float(&self, name: &str, absent: f32) -> f64 {
        f64::from(self.get(name).map_or(absent, |attribute| attribute.float))
    }

    fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.get(name).map(|attribute| attribute.ints.clone())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|attribute| String::from_utf8_lossy(&attribute.text).into_owned())
    }
}

impl<'a> Builder<'a> {
    pub(super) fn new(tensors: Tensors<'a>, opset: i64) -> Self {
        Self { graph: Graph::default(), tensors, ids: HashMap::new(), types: HashMap::new(), opset }
    }

    /// The value of a name.
    pub(super) fn id(&mut self, name: &str) -> ValueId {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let id = self.fresh();
        self.ids.insert(name.into(), id);
        id
    }

    fn fresh(&mut self) -> ValueId {
        self.graph.n_values += 1;
        self.graph.n_values - 1
    }

    pub(super) fn constant(&mut self, array: Array) -> ValueId {
        let id = self.fresh();
        self.graph.constants.push((id, array));
        id
    }

    fn ints(&mut self, values: Vec<i64>) -> ValueId {
        self.constant(Array::ints(values))
    }

    fn push(&mut self, node: &proto::Node, op: Op, inputs: Vec<Option<ValueId>>, outputs: Vec<ValueId>) {
        let first = node.outputs.first().cloned().unwrap_or_default();
        let name = if node.name.is_empty() { first } else { node.name.clone() };
        let domain = match node.domain.as_str() {
            "" | "ai.onnx" => String::new(),
            domain => format!("{domain}."),
        };
        let op_name = format!("{domain}{}", node.op);
        self.graph.nodes.push(Node { name, op_name, op, inputs, outputs });
    }

    /// Adds an operation whose result is a value in between.
    fn between(&mut self, node: &proto::Node, op: Op, inputs: Vec<Option<ValueId>>) -> Option<ValueId> {
        let out = self.fresh();
        self.push(node, op, inputs, vec![out]);
        Some(out)
    }

    /// Adds a node.
    pub(super) fn node(&mut self, node: &proto::Node) -> Result<(), Error> {
        let attributes = Attributes(&node.attributes);
        let mut inputs: Vec<Option<ValueId>> =
            node.inputs.iter().map(|name| (!name.is_empty()).then(|| self.id(name))).collect();
        let outputs: Vec<ValueId> =
            node.outputs.iter().map(|name| if name.is_empty() { self.fresh() } else { self.id(name) }).collect();
        if node.op == "Constant"
            && let (Some(array), Some(&out)) = (self.constant_of(&attributes)?, outputs.first())
        {
            self.graph.constants.push((out, array));
            return Ok(());
        }
        let op = self.op(node, &attributes, &mut inputs)?;
        match op {
            Some(op) => self.push(node, op, inputs, outputs),
            None => self.push(node, Op::Identity, inputs, outputs),
        }
        Ok(())
    }

    fn constant_of(&mut self, attributes: &Attributes<'_>) -> Result<Option<Array>, Error> {
        if let Some(tensor) = attributes.get("value").and_then(|attribute| attribute.tensor.as_ref()) {
            return self.tensors.read(tensor).map(Some);
        }
        let float = attributes.get("value_float").map(|found| Array::scalar(Kind::Float, f64::from(found.float)));
        let int = attributes.get("value_int").map(|found| Array::scalar(Kind::Int, found.int as f64));
        let ints = attributes.ints("value_ints").map(Array::ints);
        let floats = attributes.get("value_floats").map(|found| {
            let data: Vec<f64> = found.floats.iter().map(|&x| f64::from(x)).collect();
            Array::new(Kind::Float, vec![data.len()], data)
        });
        Ok(float.or(int).or(ints).or(floats))
    }

    /// The operation; changes the inputs to its own. `None`: its first input as it is.
    fn op(
        &mut self,
        node: &proto::Node,
        attributes: &Attributes<'_>,
        inputs: &mut Vec<Option<ValueId>>,
    ) -> Result<Option<Op>, Error> {
        let name = node.op.as_str();
        let microsoft = node.domain == "com.microsoft";
        if !matches!(node.domain.as_str(), "" | "ai.onnx") && !microsoft {
            return Ok(Some(Op::Other { next: FUNCTIONS }));
        }
        if let Some((_, f)) = UNARY.iter().find(|(own, _)| *own == name) {
            // Functions of onnxruntime's own have a bias, or another factor.
            let known = match name {
                "FastGelu" => microsoft && inputs.len() == 1,
                "QuickGelu" => microsoft && attributes.float("alpha", 1.702) == 1.0,
                _ => !microsoft,
            };
            return Ok(Some(if known { Op::Unary(*f) } else { Op::Other { next: FUSED } }));
        }
        if let Some((_, f)) = BINARY.iter().find(|(own, _)| *own == name).filter(|_| !microsoft) {
            return Ok(Some(self.binary(node, *f, attributes, inputs)));
        }
        if let Some((_, how)) = REDUCTIONS.iter().find(|(own, _)| *own == name).filter(|_| !microsoft) {
            self.axes(attributes, inputs);
            if inputs.get(1).copied().flatten().is_none() && attributes.int("noop_with_empty_axes", 0) != 0 {
                return Ok(None);
            }
            return Ok(Some(Op::Reduce { how: *how, keep: attributes.int("keepdims", 1) != 0 }));
        }
        let eps = attributes.float("epsilon", 1e-5);
        let axis = |absent: i64| attributes.int("axis", absent);
        Ok(Some(match name {
            "Gelu" => match attributes.text("approximate").as_deref() {
                Some("tanh") => Op::Unary(Unary::GeluTanh),
                _ => Op::Unary(Unary::Gelu),
            },
            "SimplifiedLayerNormalization" => Op::RmsNorm { axis: axis(-1), eps },
            _ if microsoft => Op::Other { next: FUSED },
            "If" | "Loop" | "Scan" => Op::Other { next: BRANCHES },
            "Identity" => return Ok(None),
            "Dropout" if inputs.get(2).copied().flatten().is_none() || self.is_false(inputs[2]) => {
                inputs.truncate(1);
                return Ok(None);
            }
            "GlobalAveragePool" => Op::ReducePlaces(Reduction::Mean),
            "GlobalMaxPool" => Op::ReducePlaces(Reduction::Max),
            "Erfc" => self.erfc(node, inputs),
            "Swish" if attributes.float("alpha", 1.0) == 1.0 => Op::Unary(Unary::Silu),
            "Clip" => return Ok(self.clip(node, attributes, inputs)),
            "Where" => Op::Where,
            "Cast" => kind(attributes.int("to", 0) as i32).map_or(OTHER, Op::Cast),
            "MatMul" => Op::MatMul,
            "Gemm" => self.gemm(node, attributes, inputs),
            "Einsum" if inputs.len() == 2 => Op::Einsum(attributes.text("equation").unwrap_or_default()),
            // Later inputs are a cache; a softcap has no place here.
            "Attention" if inputs.iter().skip(4).all(Option::is_none) && attributes.float("softcap", 0.0) == 0.0 => {
                let heads = ["q_num_heads", "kv_num_heads"].map(|name| attributes.int(name, 0).max(0) as usize);
                let scale = attributes.get("scale").map(|found| f64::from(found.float)).filter(|&scale| scale != 0.0);
                Op::Attention { is_causal: attributes.int("is_causal", 0) != 0, scale, heads }
            }
            "Conv" => conv(attributes),
            "BatchNormalization" if attributes.int("training_mode", 0) == 0 => Op::BatchNorm { eps },
            "LayerNormalization" => Op::LayerNorm { axis: axis(-1), eps },
            "RMSNormalization" => Op::RmsNorm { axis: axis(-1), eps },
            "Softmax" | "LogSoftmax" => Op::Softmax {
                axis: axis(if self.opset < 13 { 1 } else { -1 }),
                log: name == "LogSoftmax",
                only_last: self.opset < 13,
            },
            "Reshape" => Op::Reshape { literal: attributes.int("allowzero", 0) != 0 },
            "Flatten" => Op::Flatten { axis: axis(1) },
            "Transpose" => Op::Transpose { order: attributes.ints("perm") },
            "Concat" => Op::Concat { axis: axis(0) },
            "Split" => {
                if let Some(sizes) = attributes.ints("split") {
                    inputs.truncate(1);
                    let sizes = self.ints(sizes);
                    inputs.push(Some(sizes));
                }
                Op::Split { axis: axis(0) }
            }
            "Slice" => {
                if let (Some(starts), Some(ends)) = (attributes.ints("starts"), attributes.ints("ends")) {
                    let axes = attributes.ints("axes").unwrap_or((0..starts.len() as i64).collect());
                    inputs.truncate(1);
                    for values in [starts, ends, axes] {
                        let values = self.ints(values);
                        inputs.push(Some(values));
                    }
                }
                Op::Slice
            }
            "Gather" => Op::Gather { axis: axis(0) },
            "GatherElements" => Op::GatherElements { axis: axis(0) },
            "GatherND" if attributes.int("batch_dims", 0) == 0 => Op::GatherNd,
            "Unsqueeze" | "Squeeze" => {
                self.axes(attributes, inputs);
                if name == "Squeeze" { Op::Squeeze } else { Op::Unsqueeze }
            }
            "Expand" => Op::Expand,
            "Tile" => Op::Tile,
            "Shape" => Op::Shape {
                start: attributes.int("start", 0),
                end: attributes.get("end").map(|attribute| attribute.int),
            },
            "Size" => Op::Size,
            "Range" => Op::Range,
            "ConstantOfShape" => Op::Fill(match attributes.get("value").and_then(|found| found.tensor.as_ref()) {
                Some(tensor) => {
                    let value = self.tensors.read(tensor)?;
                    if value.data.len() != 1 {
                        return Ok(Some(OTHER));
                    }
                    value
                }
                None => Array::scalar(Kind::Float, 0.0),
            }),
            "Trilu" => Op::Triangle { upper: attributes.int("upper", 1) != 0 },
            "CumSum" if attributes.int("exclusive", 0) == 0 && attributes.int("reverse", 0) == 0 => Op::CumSum,
            "Pad" if inputs.len() > 1 => Op::Pad,
            "QuantizeLinear" => {
                let zero = inputs.get(2).copied().flatten().and_then(|id| self.types.get(&id)).copied();
                Op::Quantize { axis: axis(1), lowest: zero.map_or(0.0, lowest) }
            }
            "DequantizeLinear" if attributes.int("block_size", 0) == 0 => Op::Dequantize { axis: axis(1) },
            _ => OTHER,
        }))
    }

    fn is_false(&self, input: Option<ValueId>) -> bool {
        let found = self.graph.constants.iter().find(|(id, _)| Some(*id) == input);
        found.is_some_and(|(_, array)| array.uniform() == Some(0.0))
    }

    /// Axes as an input.
    fn axes(&mut self, attributes: &Attributes<'_>, inputs: &mut Vec<Option<ValueId>>) {
        if let Some(axes) = attributes.ints("axes") {
            inputs.truncate(1);
            let axes = self.ints(axes);
            inputs.push(Some(axes));
        }
    }

    fn binary(
        &mut self,
        node: &proto::Node,
        f: Binary,
        attributes: &Attributes<'_>,
        inputs: &mut Vec<Option<ValueId>>,
    ) -> Op {
        if f == Binary::Mod && attributes.int("fmod", 0) != 0 {
            return OTHER;
        }
        // Sums of many, two at a time.
        while inputs.len() > 2 {
            let rest = inputs.split_off(2);
            let first = self.between(node, Op::Binary(f), inputs.clone());
            *inputs = [vec![first], rest].concat();
        }
        if inputs.len() < 2 { Op::Identity } else { Op::Binary(f) }
    }

    /// `1 - erf(x)`: TensorFlow's own operation, by which Keras computes GELU, and which tf2onnx leaves in the file by its name.
    fn erfc(&mut self, node: &proto::Node, inputs: &mut Vec<Option<ValueId>>) -> Op {
        let one = self.constant(Array::scalar(Kind::Float, 1.0));
        let erf = self.between(node, Op::Unary(Unary::Erf), inputs.clone());
        *inputs = vec![Some(one), erf];
        Op::Binary(Binary::Sub)
    }

    fn clip(
        &mut self,
        node: &proto::Node,
        attributes: &Attributes<'_>,
        inputs: &mut Vec<Option<ValueId>>,
    ) -> Option<Op> {
        inputs.resize(3, None);
        for (input, name) in [(1, "min"), (2, "max")] {
            if let Some(limit) = attributes.get(name) {
                inputs[input] = Some(self.constant(Array::scalar(Kind::Float, f64::from(limit.float))));
            }
        }
        match (inputs[1], inputs[2]) {
            (Some(low), Some(high)) => {
                let above = self.between(node, Op::Binary(Binary::Max), vec![inputs[0], Some(low)]);
                *inputs = vec![above, Some(high)];
                Some(Op::Binary(Binary::Min))
            }
            (Some(low), None) => {
                *inputs = vec![inputs[0], Some(low)];
                Some(Op::Binary(Binary::Max))
            }
            (None, Some(high)) => {
                *inputs = vec![inputs[0], Some(high)];
                Some(Op::Binary(Binary::Min))
            }
            (None, None) => {
                inputs.truncate(1);
                None
            }
        }
    }

    /// `alpha a b + beta c`, by its parts.
    fn gemm(&mut self, node: &proto::Node, attributes: &Attributes<'_>, inputs: &mut Vec<Option<ValueId>>) -> Op {
        inputs.resize(3, None);
        let (mut a, mut b, mut c) = (inputs[0], inputs[1], inputs[2]);
        let turn = Op::Transpose { order: Some(vec![1, 0]) };
        if attributes.int("transA", 0) != 0 {
            a = self.between(node, turn.clone(), vec![a]);
        }
        if attributes.int("transB", 0) != 0 {
            b = self.between(node, turn, vec![b]);
        }
        for (value, name) in [(&mut b, "alpha"), (&mut c, "beta")] {
            let factor = attributes.float(name, 1.0);
            if factor != 1.0 && value.is_some() {
                let factor = self.constant(Array::scalar(Kind::Float, factor));
                *value = self.between(node, Op::Binary(Binary::Mul), vec![*value, Some(factor)]);
            }
        }
        if c.is_none() {
            *inputs = vec![a, b];
            return Op::MatMul;
        }
        let product = self.between(node, Op::MatMul, vec![a, b]);
        *inputs = vec![product, c];
        Op::Binary(Binary::Add)
    }
}

fn conv(attributes: &Attributes<'_>) -> Op {
    let plain = attributes.ints("dilations").is_none_or(|by| by.iter().all(|&by| by == 1));
    if !plain || attributes.int("group", 1) != 1 {
        return OTHER;
    }
    // Padding is either given or chosen.
    let (pads, keeps) = match attributes.text("auto_pad").as_deref() {
        None | Some("NOTSET") => (attributes.ints("pads").unwrap_or_default(), false),
        Some("VALID") => (Vec::new(), false),
        Some("SAME_UPPER" | "SAME_LOWER") => (Vec::new(), true),
        Some(_) => return OTHER,
    };
    Op::Conv { strides: attributes.ints("strides").unwrap_or_default(), pads, keeps }
}
