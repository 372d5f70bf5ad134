//! Nodes in an order in which they can be computed, equal ones once.

use std::collections::HashMap;

use crate::graph::{Graph, Node, Op, ValueId};

/// Sorts the nodes; an error in words where they need each other, or a value is made twice or not at all.
pub(super) fn sort(graph: &mut Graph) -> Result<(), String> {
    let mut is_made = vec![false; graph.n_values];
    let given = graph.constants.iter().map(|(id, _)| *id).chain(graph.inputs.iter().map(|input| input.value));
    for id in given.chain(graph.nodes.iter().flat_map(|node| node.outputs.iter().copied())) {
        if std::mem::replace(&mut is_made[id], true) {
            return Err("a tensor that two nodes make".into());
        }
    }
    let missing = graph.nodes.iter().find(|node| node.inputs.iter().flatten().any(|&input| !is_made[input]));
    if let Some(node) = missing {
        return Err(format!("node `{}` ({}) reads a tensor that nothing makes", node.name, node.op_name));
    }
    if graph.outputs.iter().any(|(id, _)| !is_made[*id]) {
        return Err("an output that nothing makes".into());
    }
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.n_values];
    let mut made_by = vec![None; graph.n_values];
    for (index, node) in graph.nodes.iter().enumerate() {
        node.outputs.iter().for_each(|&out| made_by[out] = Some(index));
    }
    let mut waits = vec![0_usize; graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        for &input in node.inputs.iter().flatten() {
            if made_by[input].is_some() {
                readers[input].push(index);
                waits[index] += 1;
            }
        }
    }
    let mut ready: std::collections::VecDeque<usize> = (0..waits.len()).filter(|&index| waits[index] == 0).collect();
    let mut order = Vec::new();
    while let Some(index) = ready.pop_front() {
        order.push(index);
        for &out in &graph.nodes[index].outputs {
            for &reader in &readers[out] {
                waits[reader] -= 1;
                if waits[reader] == 0 {
                    ready.push_back(reader);
                }
            }
        }
    }
    if order.len() < graph.nodes.len() {
        return Err("nodes that wait for each other".into());
    }
    let mut nodes: Vec<Option<Node>> = std::mem::take(&mut graph.nodes).into_iter().map(Some).collect();
    graph.nodes = order.into_iter().filter_map(|index| nodes[index].take()).collect();
    merge(graph);
    Ok(())
}

/// Key by which nodes are equal: operation, inputs, number of outputs.
type Key = (String, Vec<Option<ValueId>>, usize);

/// Most elements of constants that are compared.
const SMALL: usize = 16;

/// Reads equal nodes' results from the first of them: some exporters compute a tensor once for each reader.
fn merge(graph: &mut Graph) {
    let mut same: Vec<ValueId> = (0..graph.n_values).collect();
    let mut constants = HashMap::new();
    for (id, array) in graph.constants.iter().filter(|(_, array)| array.data.len() <= SMALL) {
        let bits: Vec<u64> = array.data.iter().map(|value| value.to_bits()).collect();
        same[*id] = *constants.entry((format!("{:?}", array.kind), array.shape.clone(), bits)).or_insert(*id);
    }
    let mut found: HashMap<Key, Vec<ValueId>> = HashMap::new();
    for node in &mut graph.nodes {
        node.inputs.iter_mut().flatten().for_each(|input| *input = same[*input]);
        if matches!(node.op, Op::Other { .. }) {
            continue;
        }
        let key = (format!("{:?}", node.op), node.inputs.clone(), node.outputs.len());
        let first = found.entry(key).or_insert_with(|| node.outputs.clone());
        for (&own, &first) in node.outputs.iter().zip(first.iter()) {
            same[own] = first;
        }
    }
    graph.outputs.iter_mut().for_each(|(id, _)| *id = same[*id]);
}
