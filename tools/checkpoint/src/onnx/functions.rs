//! Functions of a file's own: their nodes in the place of each call.

use std::collections::HashMap;

use prost::Message;

use super::proto::{Function, Node};

/// Most nodes of a graph with its functions in place, bytes of those, and functions within each other.
const MOST: usize = 1 << 16;
const MOST_BYTES: usize = 1 << 27;
const DEEPEST: usize = 16;

/// A file's functions.
pub(super) struct Functions<'a> {
    all: &'a [Function],
    opset: i64,
    nodes: Vec<Node>,
    calls: usize,
    bytes: usize,
}

impl<'a> Functions<'a> {
    /// The nodes with those of functions in the place of their calls; an error in words where that has no end.
    pub(super) fn inlined(all: &'a [Function], opset: i64, nodes: Vec<Node>) -> Result<Vec<Node>, String> {
        let mut functions = Functions { all, opset, nodes: Vec::new(), calls: 0, bytes: 0 };
        for node in nodes {
            functions.add(node, 0)?;
        }
        Ok(functions.nodes)
    }

    fn add(&mut self, node: Node, depth: usize) -> Result<(), String> {
        let is_called = |function: &&Function| {
            (&function.name, &function.domain, &function.overload) == (&node.op, &node.domain, &node.overload)
        };
        // Operations that differ between versions are not computed as those of another one: the call stays, and is refused.
        let is_own = |domain: &str| matches!(domain, "" | "ai.onnx");
        let fits = |function: &&Function| {
            let own = function.opsets.iter().filter(|opset| is_own(&opset.domain)).map(|opset| opset.version).max();
            own.is_none_or(|version| version == self.opset || version.min(self.opset) >= 13)
        };
        let Some(function) = self.all.iter().find(is_called).filter(fits) else {
            self.nodes.push(node);
            return Ok(());
        };
        self.calls += 1;
        // Each call repeats what the function and the call have.
        let size = node.encoded_len() * (1 + function.nodes.len()) + function.encoded_len();
        self.bytes = self.bytes.saturating_add(size);
        if depth >= DEEPEST || self.calls > MOST || self.nodes.len() > MOST || self.bytes > MOST_BYTES {
            return Err(format!("the function `{}` calls itself, or too many others", function.name));
        }
        let call = self.calls;
        let mut names: HashMap<&str, String> = HashMap::new();
        for (own, given) in [(&function.inputs, &node.inputs), (&function.outputs, &node.outputs)] {
            for (index, name) in own.iter().enumerate() {
                // An input that the call leaves out is left out within.
                let absent = String::new();
                names.insert(name, given.get(index).unwrap_or(&absent).clone());
            }
        }
        let name = |own: &String| match names.get(own.as_str()) {
            Some(given) if !given.is_empty() || function.inputs.contains(own) => given.clone(),
            _ if own.is_empty() => String::new(),
            // No name of the file is like that.
            _ => format!("{call}\0{own}"),
        };
        let mut inner = function.nodes.clone();
        for part in &mut inner {
            part.inputs.iter_mut().chain(&mut part.outputs).for_each(|own| *own = name(own));
            part.name = format!("{}/{}", node.name, if part.name.is_empty() { &part.op } else { &part.name });
            part.attributes = std::mem::take(&mut part.attributes)
                .into_iter()
                .filter_map(|attribute| {
                    if attribute.of_call.is_empty() {
                        return Some(attribute);
                    }
                    let is_it = |other: &&super::proto::Attribute| other.name == attribute.of_call;
                    let given = node.attributes.iter().find(is_it).or_else(|| function.attributes.iter().find(is_it));
                    given.map(|given| super::proto::Attribute { name: attribute.name, ..given.clone() })
                })
                .collect();
        }
        inner.into_iter().try_for_each(|part| self.add(part, depth + 1))
    }
}
