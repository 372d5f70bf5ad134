//! ONNX files, of any exporter: the graph is recognised as the network that this project computes, whatever its parts are called.
//!
//! One input, tokens `[batch, seq]` or frames, beside masks, which are taken to hide nothing; one output. A dimension without a number
//! is the batch or the sequence. The longest sequence is the table's of positions, or a fixed dimension, or `max_seq` in the
//! file's metadata.

mod functions;
mod nodes;
mod order;
mod proto;
mod tensor;

use std::path::Path;

use prost::Message;

use crate::graph::{GraphInput, Mismatch, recognise};
use crate::{Checkpoint, Error, Weights};
use nodes::Builder;
use tensor::Tensors;

/// Versions of ONNX's operations that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 11..=24;

/// Reads a file with the content `bytes`.
pub(crate) fn load(path: &Path, bytes: &[u8]) -> Result<Checkpoint, Error> {
    let damaged = |found: String| Error::UnknownFormat {
        path: path.into(),
        found,
        next: "copy or export it again, for example with torch.onnx.export".into(),
    };
    let model = proto::Model::decode(bytes).map_err(|error| damaged(format!("not a readable ONNX file ({error})")))?;
    let Some(graph) = model.graph.filter(|_| model.ir_version > 0) else {
        return Err(damaged("not an ONNX file: it has no graph".into()));
    };
    let is_own = |domain: &str| matches!(domain, "" | "ai.onnx");
    let opset = model.opsets.iter().filter(|opset| is_own(&opset.domain)).map(|opset| opset.version).max();
    let opset = opset.filter(|opset| OPSETS.contains(opset)).ok_or_else(|| {
        let found =
            opset.map_or("no version of its operations".into(), |opset| format!("operations of version {opset}"));
        Error::UnknownFormat {
            path: path.into(),
            found: format!("{found}, expected {} to {}", OPSETS.start(), OPSETS.end()),
            next: "export the model with one of them (opset_version)".into(),
        }
    })?;
    let mut builder = Builder::new(Tensors::new(path), opset);
    if !graph.sparse_initializers.is_empty() {
        return Err(damaged("sparse tensors".into()));
    }
    let mut given = std::collections::HashSet::new();
    for tensor in &graph.initializers {
        let array = builder.tensors.read(tensor)?;
        let id = builder.id(&tensor.name);
        given.insert(id);
        builder.types.insert(id, tensor.data_type);
        builder.graph.constants.push((id, array));
    }
    for input in &graph.inputs {
        let value = builder.id(&input.name);
        if given.contains(&value) {
            // Files of old versions list their tensors as inputs, too.
            continue;
        }
        let input = self::input(path, input, value)?;
        builder.graph.inputs.push(input);
    }
    let nodes = functions::Functions::inlined(&model.functions, opset, graph.nodes).map_err(damaged)?;
    for node in &nodes {
        builder.node(node)?;
    }
    for output in &graph.outputs {
        let id = builder.id(&output.name);
        builder.graph.outputs.push((id, output.name.clone()));
    }
    for entry in &model.metadata {
        let wrong = |expected: &str| Error::Setting {
            path: path.into(),
            key: entry.key.clone(),
            found: entry.value.clone(),
            expected: expected.into(),
            next: "correct the file's metadata".into(),
        };
        match entry.key.as_str() {
            "max_seq" => {
                let max_seq = entry.value.parse::<usize>().ok().filter(|&max_seq| max_seq > 0);
                builder.graph.max_seq = Some(max_seq.ok_or_else(|| wrong("a number of tokens or frames"))?);
            }
            "tokens" if builder.graph.inputs.iter().any(|input| input.name == entry.value) => {
                builder.graph.tokens = Some(entry.value.clone());
            }
            "tokens" => return Err(wrong("the name of an input")),
            _ => {}
        }
    }
    let mut graph = builder.graph;
    order::sort(&mut graph).map_err(damaged)?;
    let network = recognise(&graph).map_err(|error| refused(path, &graph, error))?;
    let mut tensors = network.tensors;
    let all: Vec<_> = tensors.iter().map(|(tensor, layer, weights)| (tensor, layer, weights.clone())).collect();
    for (tensor, layer, weights) in all {
        let Weights { name, shape, data } = weights;
        tensors.insert(tensor, layer, Weights::finite(path, name, shape, data)?);
    }
    let notes = [graph.notes, network.notes].concat();
    Ok(Checkpoint { notes, ..Checkpoint::new(path, "onnx", network.config, tensors) })
}

/// An input with its dimensions.
fn input(path: &Path, input: &proto::ValueInfo, value: usize) -> Result<GraphInput, Error> {
    let tensor = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
    let kind = tensor.and_then(|tensor| tensor::kind(tensor.elements));
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    let (Some(kind), Some(shape)) = (kind, shape) else {
        return Err(Error::UnknownFormat {
            path: path.into(),
            found: format!("the input `{}` has no type and dimensions", input.name),
            next: "export the model with them".into(),
        });
    };
    let size = |dimension: &proto::Dimension| {
        dimension.value.and_then(|size| usize::try_from(size).ok()).filter(|&size| size > 0)
    };
    Ok(GraphInput { value, name: input.name.clone(), kind, shape: shape.dims.iter().map(size).collect() })
}

fn refused(path: &Path, graph: &crate::graph::Graph, error: Mismatch) -> Error {
    let node = error.node.and_then(|node| graph.nodes.get(node));
    let (name, op) = node.map_or(("the graph".into(), String::new()), |node| {
        (format!("node `{}`", node.name), format!(" ({})", node.op_name))
    });
    Error::Graph {
        path: path.into(),
        node: format!("{name}{op}"),
        found: error.found,
        expected: error.expected,
        next: error.next,
    }
}
