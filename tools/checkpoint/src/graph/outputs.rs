//! The output that is computed, where a graph has several.

use super::assemble::Network;
use super::sizes::of_output;
use super::{Graph, Mismatch, Op};

/// Recognises the network of a graph.
pub(crate) fn recognise(graph: &Graph) -> Result<Network, Mismatch> {
    let graph = &with_channels(graph);
    if let [(output, _)] = graph.outputs[..] {
        return of_output(graph, output);
    }
    // Keys and values, hidden states and probabilities are on the way to the end.
    let ends: Vec<usize> = (0..graph.outputs.len()).filter(|&at| !is_read_by_others(graph, at)).collect();
    let is_network = |at: usize| of_output(graph, graph.outputs[at].0);
    if let [end] = ends[..] {
        let network = is_network(end)?;
        let others = (0..graph.outputs.len()).filter(|&at| at != end);
        // Without a head, another output may as well be the one that is wanted.
        if network.config.options.head || !others.into_iter().any(|at| is_network(at).is_ok()) {
            return Ok(alone(graph, end, network));
        }
        return Err(several(graph));
    }
    let networks: Result<Vec<Network>, Mismatch> = ends.iter().map(|&at| is_network(at)).collect();
    let mut found: Vec<(usize, Network)> = ends.iter().copied().zip(networks.map_err(|_| several(graph))?).collect();
    found.retain(|(_, network)| network.config.options.head);
    match found.pop() {
        Some((end, network)) if found.is_empty() => Ok(alone(graph, end, network)),
        _ => Err(several(graph)),
    }
}

fn alone(graph: &Graph, end: usize, mut network: Network) -> Network {
    let names = |kept: bool| -> Vec<String> {
        let of = graph.outputs.iter().enumerate().filter(|(at, _)| (*at == end) == kept);
        of.map(|(_, (_, name))| format!("`{name}`")).collect()
    };
    network.notes.push(format!("the output is {}; left out: {}", names(true).join(""), names(false).join(", ")));
    network
}

fn several(graph: &Graph) -> Mismatch {
    let names: Vec<String> = graph.outputs.iter().map(|(_, name)| format!("`{name}`")).collect();
    let found = match &names[..] {
        [] => "no outputs".into(),
        names => format!("the outputs {}", names.join(", ")),
    };
    let next = "keep the one that is to be computed: onnx.utils.extract_model(\"model.onnx\", \"one.onnx\", [the inputs' names], \
                [the output's name])";
    Mismatch { next, ..Mismatch::new(None, found, "one output, or one that a head computes") }
}

/// True if another output needs this one.
fn is_read_by_others(graph: &Graph, at: usize) -> bool {
    let mut is_made_of = vec![false; graph.n_values];
    is_made_of[graph.outputs[at].0] = true;
    for node in &graph.nodes {
        if node.inputs.iter().flatten().any(|&input| is_made_of[input]) {
            node.outputs.iter().for_each(|&out| is_made_of[out] = true);
        }
    }
    // Of two that are the same, one stays.
    let own = graph.outputs[at].0;
    graph
        .outputs
        .iter()
        .enumerate()
        .any(|(other, (id, _))| other != at && is_made_of[*id] && (*id != own || other < at))
}

/// The graph with the channels of an input that a convolution reads, where the file leaves them open.
fn with_channels(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for node in &graph.nodes {
        let (Op::Conv { .. }, [Some(x), Some(kernel), ..]) = (&node.op, &node.inputs[..]) else { continue };
        let kernel = graph.constants.iter().find(|(id, _)| id == kernel);
        let channels = kernel.and_then(|(_, kernel)| kernel.shape.get(1)).copied();
        for input in graph.inputs.iter_mut().filter(|input| input.value == *x && input.shape.len() > 2) {
            input.shape[1] = input.shape[1].or(channels);
        }
    }
    graph
}
