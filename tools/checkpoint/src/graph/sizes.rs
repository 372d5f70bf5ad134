//! Sizes that a file leaves open: which dimension is the sequence, and how long it may be.

use thumbformer::{ClassPlace, Positions, Tensor};

use super::array::{Array, Kind};
use super::assemble::Network;
use super::atoms::{Atoms, Made};
use super::run::{Run, Value};
use super::{Graph, GraphInput, Mismatch, NEXT, Node, Op};

/// Lengths that are tried until the network is recognised: a convolution needs more than a few samples.
const LENGTHS: [usize; 7] = [3, 2, 7, 16, 64, 256, 1024];
/// Longest sequence that is looked for in a file that does not end before.
const LONGEST: usize = 2048;

/// Use of an input.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    Frames,
    Tokens,
    /// Types of tokens, all of which are 0 in a sequence of one segment.
    Types,
    /// A mask, all positions visible.
    Mask,
}

/// Sizes and constants for one attempt.
#[derive(Clone, Copy, Debug)]
struct Attempt<'a> {
    roles: &'a [Role],
    /// Axis of the sequence where sizes are open.
    axis: Option<usize>,
    /// Value of masks that hide nothing.
    visible: f64,
}

/// Recognises the network of a graph.
pub(crate) fn recognise(graph: &Graph) -> Result<Network, Mismatch> {
    let [(output, _)] = graph.outputs[..] else {
        let names: Vec<&str> = graph.outputs.iter().map(|(_, name)| name.as_str()).collect();
        let found = format!("the outputs {}", names.join(", "));
        let next = "export the model with the one output that is to be computed";
        return Err(Mismatch { next, ..Mismatch::new(None, found, "one output") });
    };
    let roles = roles(graph)?;
    let is_open = graph.inputs.iter().any(|input| input.shape.contains(&None));
    let axes: &[Option<usize>] = if is_open { &[Some(1), Some(2), Some(0), Some(3), None] } else { &[None] };
    let visible: &[f64] = if roles.contains(&Role::Mask) { &[1.0, 0.0] } else { &[1.0] };
    let written = written(graph);
    let mut errors = Vec::new();
    for &axis in axes {
        let opens = |axis: usize| graph.inputs.iter().any(|input| input.shape.get(axis) == Some(&None));
        if axis.is_some_and(|axis| !opens(axis)) {
            continue;
        }
        for &visible in visible {
            let attempt = Attempt { roles: &roles, axis, visible };
            let lengths = if axis.is_some() { [&LENGTHS[..], &written].concat() } else { LENGTHS[..1].to_vec() };
            for length in lengths {
                match once(graph, output, attempt, length) {
                    Ok(network) => return longest(graph, output, attempt, (length, network)),
                    Err(error) => errors.push(error),
                }
            }
        }
    }
    // The attempt that came furthest says most.
    let furthest = errors
        .into_iter()
        .reduce(|a, b| if b.node.unwrap_or(usize::MAX) > a.node.unwrap_or(usize::MAX) { b } else { a });
    Err(furthest.unwrap_or_else(|| Mismatch::new(None, "no input", "tokens or frames as an input")))
}

/// Lengths that the file may have been written for, whatever its inputs' dimensions say: TorchScript's exporter keeps that of its example.
fn written(graph: &Graph) -> Vec<usize> {
    let mut found = std::collections::BTreeSet::new();
    for (_, array) in &graph.constants {
        let numbers = array.data.iter().filter(|_| array.kind == Kind::Int && array.data.len() <= 8);
        let sizes = array.shape.iter().copied().chain(numbers.map(|&number| number.max(0.0) as usize));
        // Class tokens are part of some sizes.
        sizes.for_each(|size| found.extend((0..=2).filter_map(|of_class| size.checked_sub(of_class))));
    }
    found.into_iter().filter(|length| (2..=LONGEST).contains(length)).collect()
}

/// The network at its longest sequence, which must be the same.
fn longest(
    graph: &Graph,
    output: usize,
    attempt: Attempt<'_>,
    (length, network): (usize, Network),
) -> Result<Network, Mismatch> {
    let at = |length: usize| once(graph, output, attempt, length);
    let mut found = match (attempt.axis, graph.max_seq) {
        (None, _) => network,
        (Some(_), Some(max_seq)) => {
            let wrong =
                |found: String| Mismatch::new(None, found, format!("the {max_seq} of the file's metadata (max_seq)"));
            let more = max_seq as i64 - network.config.max_seq as i64;
            let length = length as i64 + more * network.config.frame_hop as i64;
            let longest =
                usize::try_from(length).ok().filter(|&length| length > 0 && max_seq <= crate::settings::LARGEST);
            let longest = longest.ok_or_else(|| wrong(format!("a length of {length}")))?;
            let other = at(longest)?;
            if other.config.max_seq != max_seq {
                return Err(wrong(format!("a sequence of {}", other.config.max_seq)));
            }
            same(&network, &other)?;
            other
        }
        (Some(_), None) => {
            // The first length that does not work, beyond one that does.
            let (mut low, mut best, mut high) = (length, network.clone(), length + 1);
            loop {
                match at(high) {
                    Ok(other) => (low, best) = (high, other),
                    Err(error) if error.found.contains("microcontroller") => return Err(endless()),
                    Err(_) => break,
                }
                if high >= LONGEST {
                    return Err(endless());
                }
                high *= 2;
            }
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                match at(middle) {
                    Ok(other) => (low, best) = (middle, other),
                    Err(_) => high = middle,
                }
            }
            if length < low {
                class_after(&network, &mut best, &at(length + 1)?)?;
            }
            same(&network, &best)?;
            best
        }
    };
    if graph.nodes.iter().any(|node| matches!(node.op, Op::Quantize { .. } | Op::Dequantize { .. })) {
        let note = "quantized weights are dequantized and activations stay float: outputs differ from the file's by its rounding";
        found.notes.push(note.into());
    }
    for (input, role) in graph.inputs.iter().zip(attempt.roles) {
        match role {
            Role::Types => {
                found.notes.push(format!("the input `{}` is taken as 0: a sequence is one segment", input.name))
            }
            Role::Mask => found.notes.push(format!("the input `{}` is taken as a mask that hides nothing", input.name)),
            Role::Frames | Role::Tokens => {}
        }
    }
    Ok(found)
}

/// Class tokens after the sequence have another position at every length: takes it off their vectors, by the table of the longest sequence.
fn class_after(short: &Network, longest: &mut Network, between: &Network) -> Result<(), Mismatch> {
    let options = longest.config.options;
    let (n_class, width) = (longest.config.n_class, longest.config.d_model);
    if options.class_place != ClassPlace::Last || options.positions != Positions::Table {
        return Ok(());
    }
    let tokens = |network: &Network| network.tensors[(Tensor::ClassToken, 0)].data.clone();
    let table = longest.tensors[(Tensor::PositionTable, 0)].data.clone();
    let less = |a: Vec<f32>, b: &[f32]| -> Vec<f32> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
    // Where a shorter sequence has its class tokens, the longest one has inputs.
    let own = |network: &Network| {
        let row = network.config.max_seq - n_class;
        less(tokens(network), &table[row * width..][..n_class * width])
    };
    if longest.config.max_seq < between.config.max_seq + n_class {
        let found = "class tokens after the sequence, of which few lengths tell their positions";
        return Err(Mismatch::new(None, found, "a table of more positions, or one length alone"));
    }
    let class = own(short);
    if class.iter().zip(own(between)).any(|(a, b)| (a - b).abs() > 1e-5) {
        return Err(Mismatch::new(None, "a class token that depends on the length", "one vector, and its position's"));
    }
    let row = longest.config.max_seq - n_class;
    let positions = less(tokens(longest), &class);
    longest.tensors[(Tensor::PositionTable, 0)].data[row * width..].copy_from_slice(&positions);
    longest.tensors[(Tensor::ClassToken, 0)].data = class;
    Ok(())
}

fn endless() -> Mismatch {
    let found = format!("sequences of any length up to {LONGEST}");
    let next = "export the longest sequence as a fixed size, or say it: onnx.helper.set_model_props(model, {\"max_seq\": \"128\"})";
    Mismatch { next, ..Mismatch::new(None, found, "a longest sequence, for which memory is planned") }
}

/// Refuses a network that depends on the length beyond its positions.
fn same(a: &Network, b: &Network) -> Result<(), Mismatch> {
    let mut config = a.config.clone();
    (config.max_seq, config.sliding_window) = (b.config.max_seq, b.config.sliding_window);
    let is_last = a.config.options.class_place == ClassPlace::Last;
    let differs = a.tensors.iter().find(|(tensor, layer, weights)| match b.tensors.get(*tensor, *layer) {
        Some(_) if *tensor == Tensor::ClassToken && is_last && a.config.options.positions == Positions::Table => false,
        Some(other) if *tensor == Tensor::PositionTable => {
            let of_class = usize::from(is_last) * a.config.n_class;
            let rows = (weights.shape[0] - of_class) * weights.shape[1];
            weights.data[..rows] != other.data[..rows.min(other.data.len())]
        }
        Some(other) => other.data != weights.data,
        None => true,
    });
    match differs {
        Some((tensor, ..)) => Err(Mismatch::new(
            None,
            format!("a {} that depends on the length", tensor.name()),
            "the same network at every length",
        )),
        None if config != b.config => {
            Err(Mismatch::new(None, "a network that depends on the length", "the same at every length"))
        }
        None => Ok(()),
    }
}

/// One attempt.
fn once(graph: &Graph, output: usize, attempt: Attempt<'_>, length: usize) -> Result<Network, Mismatch> {
    let mut atoms = Atoms::default();
    let mut values = Vec::new();
    let mut frames = Vec::new();
    for (input, role) in graph.inputs.iter().zip(attempt.roles) {
        let shape = shape(input, attempt.axis, length);
        let size: usize = shape.iter().try_fold(1_usize, |size, &by| size.checked_mul(by)).unwrap_or(usize::MAX);
        if size > 1 << 23 || size == 0 {
            return Err(Mismatch::new(None, format!("an input {shape:?}"), "one that fits a microcontroller"));
        }
        let constant = |value: f64| Value::Const(Array::new(input.kind, shape.clone(), vec![value; size]));
        let value = match role {
            Role::Frames => {
                frames = shape.clone();
                Value::Lin(atoms.add(Made::Frames, 1, size, shape))
            }
            Role::Tokens => Value::Lin(atoms.add(Made::Tokens, 1, size, shape)),
            Role::Types => constant(0.0),
            Role::Mask if input.kind == Kind::Float && attempt.visible == 0.0 => constant(0.0),
            Role::Mask => constant(attempt.visible),
        };
        values.push((input.value, value));
    }
    let (atoms, value) = Run::of(graph, values, atoms, output)?;
    match value {
        Value::Lin(lin) if !lin.shape.is_empty() => atoms.network(&lin, &frames),
        _ => Err(Mismatch::new(None, "an output that does not depend on the input", "a network's output")),
    }
}

/// An input's shape: the sequence of this length, one sequence at a time.
fn shape(input: &GraphInput, axis: Option<usize>, length: usize) -> Vec<usize> {
    let size = |(at, size): (usize, &Option<usize>)| size.unwrap_or(if axis == Some(at) { length } else { 1 });
    input.shape.iter().enumerate().map(size).collect()
}

/// The use of each input, by the operations that read it.
fn roles(graph: &Graph) -> Result<Vec<Role>, Mismatch> {
    let mut roles: Vec<Role> = graph
        .inputs
        .iter()
        .map(|input| match chosen_rows(graph, input) {
            Some(rows) if rows <= 2 => Role::Types,
            Some(_) => Role::Tokens,
            None if input.kind == Kind::Float => Role::Frames,
            None => Role::Mask,
        })
        .collect();
    let names = |role: Role, roles: &[Role]| -> Vec<String> {
        let of = graph.inputs.iter().zip(roles).filter(|(_, own)| **own == role);
        of.map(|(input, _)| format!("`{}`", input.name)).collect()
    };
    if roles.contains(&Role::Types) && !roles.contains(&Role::Tokens) {
        roles.iter_mut().filter(|role| **role == Role::Types).for_each(|role| *role = Role::Tokens);
    }
    let has_tokens = roles.contains(&Role::Tokens);
    // Beside tokens, or beside frames of more dimensions, numbers are a mask.
    let most = graph
        .inputs
        .iter()
        .zip(&roles)
        .filter(|(_, role)| **role == Role::Frames)
        .map(|(input, _)| input.shape.len())
        .max();
    for (input, role) in graph.inputs.iter().zip(&mut roles) {
        if *role == Role::Frames && (has_tokens || Some(input.shape.len()) < most) {
            *role = Role::Mask;
        }
    }
    let next = "export the model so that it computes the others itself (positions, caches), or as a constant";
    for role in [Role::Tokens, Role::Frames] {
        let found = names(role, &roles);
        if found.len() > 1 {
            let found = format!("the inputs {}", found.join(", "));
            return Err(Mismatch { next, ..Mismatch::new(None, found, "one of tokens or frames, beside masks") });
        }
    }
    if !roles.contains(&Role::Tokens) && !roles.contains(&Role::Frames) {
        return Err(Mismatch { next: NEXT, ..Mismatch::new(None, "no input of tokens or frames", "one") });
    }
    Ok(roles)
}

/// Rows of the table that an input's numbers choose from, if they do.
fn chosen_rows(graph: &Graph, input: &GraphInput) -> Option<usize> {
    if input.kind == Kind::Float {
        return None;
    }
    let mut same = vec![false; graph.n_values];
    *same.get_mut(input.value)? = true;
    for node in &graph.nodes {
        let of = |index: usize| node.inputs.get(index).copied().flatten();
        let passes = matches!(
            node.op,
            Op::Identity
                | Op::Cast(_)
                | Op::Reshape { .. }
                | Op::Unsqueeze
                | Op::Squeeze
                | Op::Transpose { .. }
                | Op::Flatten { .. }
        );
        if passes && of(0).is_some_and(|id| same[id]) {
            node.outputs.iter().for_each(|&out| same[out] = true);
        }
        if matches!(node.op, Op::Gather { .. }) && of(1).is_some_and(|id| same[id]) {
            // A table of 8 bits is dequantized before.
            let makes =
                |node: &&Node| matches!(node.op, Op::Dequantize { .. }) && node.outputs.first().copied() == of(0);
            let stored = graph.nodes.iter().find(makes).and_then(|node| node.inputs[0]).or(of(0));
            let table = graph.constants.iter().find(|(id, _)| Some(*id) == stored);
            if let Some((_, table)) = table.filter(|(_, table)| table.shape.len() == 2) {
                return table.shape.first().copied();
            }
        }
    }
    None
}
