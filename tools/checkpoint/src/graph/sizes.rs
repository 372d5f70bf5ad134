//! Sizes that a file leaves open: which dimension is the sequence, and how long it may be.

use thumbformer::{ClassPlace, Positions, Tensor};

use super::array::{Array, Kind};
use super::assemble::Network;
use super::atoms::{Atoms, Made};
use super::masks::check_shape;
use super::roles::{Role, ambiguous, hypotheses};
use super::run::{Run, Value};
use super::{Graph, GraphInput, Mismatch, ONE, Op, SIZES};

/// Lengths that are tried until the network is recognised: a convolution needs more than a few samples.
const LENGTHS: [usize; 7] = [3, 2, 7, 16, 64, 256, 1024];
/// Longest sequence that is looked for in a file that does not end before.
const LONGEST: usize = 2048;
/// Most patches on a side of a picture whose size a file leaves open.
const MOST_PATCHES: usize = 32;

/// Sizes and constants for one attempt.
#[derive(Clone, Copy, Debug)]
struct Attempt<'a> {
    roles: &'a [Role],
    /// Axes of the sequence where sizes are open; none where none is.
    axes: &'a [usize],
    /// Value of masks that hide nothing.
    visible: f64,
}

/// Axes that may be the sequence: one, or both sides of a picture; none, where the batch alone is open. Two sequences as one are tried last.
const AXES: [&[usize]; 6] = [&[1], &[2], &[2, 3], &[3], &[], &[0]];

/// Recognises the network of an output, by the uses of the inputs that make one.
pub(super) fn of_output(graph: &Graph, output: usize) -> Result<Network, Mismatch> {
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for group in hypotheses(graph)? {
        for roles in group {
            match with_roles(graph, output, &roles) {
                Ok(network) => {
                    found.push(network);
                    break;
                }
                Err(error) => errors.push(error),
            }
        }
    }
    if found.len() > 1 {
        // Scores of the table's rows say which table is that of the tokens.
        found.retain(|network| network.config.options.head && network.tensors.get(Tensor::Head, 0).is_none());
        if found.len() != 1 {
            return Err(ambiguous(graph));
        }
    }
    found.pop().ok_or_else(|| furthest(errors))
}

/// The error of the attempt that came furthest, which says most, but for what only the attempt's own length does not fit.
fn furthest(errors: Vec<Mismatch>) -> Mismatch {
    let place = |error: &Mismatch| (error.expected != SIZES && error.found != ONE, error.node.unwrap_or(usize::MAX));
    let last = errors.into_iter().reduce(|a, b| if place(&b) > place(&a) { b } else { a });
    last.unwrap_or_else(|| Mismatch::new(None, "no input", "tokens or frames as an input"))
}

fn with_roles(graph: &Graph, output: usize, roles: &[Role]) -> Result<Network, Mismatch> {
    let visible: &[f64] = if roles.contains(&Role::Mask) { &[1.0, 0.0] } else { &[1.0] };
    let written = written(graph);
    let pictures = pictures(graph);
    let mut errors = Vec::new();
    for axes in AXES {
        let opens = |input: &GraphInput| axes.iter().all(|&axis| input.shape.get(axis) == Some(&None));
        if !graph.inputs.iter().any(opens) {
            continue;
        }
        for &visible in visible {
            let attempt = Attempt { roles, axes, visible };
            let lengths = match axes.len() {
                0 => LENGTHS[..1].to_vec(),
                1 => [&LENGTHS[..], &written].concat(),
                _ => pictures.clone(),
            };
            for length in lengths {
                match once(graph, output, attempt, length) {
                    Ok(network) => {
                        only_positions(graph, output, attempt, length)?;
                        return longest(graph, output, attempt, (length, network));
                    }
                    // Of several sequences as one, an error says something only where nothing else may be the sequence.
                    Err(_) if axes == [0] && errors.iter().any(|error: &Mismatch| error.found != ONE) => {}
                    Err(error) => errors.push(error),
                }
            }
        }
    }
    Err(furthest(errors))
}

/// Refuses an input that is taken as the positions where the network has positions without it.
fn only_positions(graph: &Graph, output: usize, attempt: Attempt<'_>, length: usize) -> Result<(), Mismatch> {
    let Some(at) = attempt.roles.iter().position(|role| *role == Role::Positions) else { return Ok(()) };
    let mut roles = attempt.roles.to_vec();
    // All at the first one.
    roles[at] = Role::Types;
    let Ok(network) = once(graph, output, Attempt { roles: &roles, ..attempt }, length) else { return Ok(()) };
    let has_own = match network.tensors.get(Tensor::PositionTable, 0) {
        Some(table) => {
            let width = network.config.d_model;
            let rows = network.config.max_seq - network.config.n_class;
            let start =
                if network.config.options.class_place == ClassPlace::First { network.config.n_class } else { 0 };
            let rows = &table.data[start * width..][..rows * width];
            rows.chunks(width).any(|row| row != &rows[..width])
        }
        None => network.config.options.positions == Positions::Rotary,
    };
    if !has_own {
        return Ok(());
    }
    let found = format!("the input `{}` beside positions of the network's own", graph.inputs[at].name);
    let next = "export the model without the input, or with it as a constant";
    Err(Mismatch { next, ..Mismatch::new(None, found, "one input of tokens or frames, beside masks and positions") })
}

/// Sides of square pictures, by the kernels and steps of convolutions in two dimensions.
fn pictures(graph: &Graph) -> Vec<usize> {
    let mut found = std::collections::BTreeSet::new();
    for node in &graph.nodes {
        let Op::Conv { strides, .. } = &node.op else { continue };
        let kernel = node.inputs.get(1).copied().flatten();
        let kernel = graph.constants.iter().find(|(id, _)| Some(*id) == kernel).map(|(_, array)| &array.shape[..]);
        if let (Some(&[_, _, high, wide]), &[down, along]) = (kernel, &strides[..])
            && high == wide
            && let Some(step) = usize::try_from(down).ok().filter(|_| down == along)
        {
            found.extend((1..MOST_PATCHES).map(|index| high.saturating_add(step.saturating_mul(index))));
        }
    }
    found.into_iter().collect()
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
    let mut found = match (attempt.axes, graph.max_seq) {
        ([], _) => network,
        (_, Some(max_seq)) => {
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
        (_, None) => {
            // The first length that does not work, beyond one that does.
            let (mut low, mut best, mut high) = (length, network.clone(), length + 1);
            let mut end;
            loop {
                match at(high) {
                    Ok(other) => (low, best) = (high, other),
                    Err(error) if error.found.contains("microcontroller") => return Err(endless()),
                    Err(error) => {
                        end = error;
                        break;
                    }
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
                    Err(error) => (high, end) = (middle, error),
                }
            }
            if length < low {
                class_after(&network, &mut best, &at(length + 1)?)?;
            } else if attempt.axes.len() == 1 && (length == 2 || at(length - 1).is_err()) {
                // TorchScript's exporter keeps the length of its example.
                best.notes.push(format!(
                    "the file computes one length alone, as its exporter's example had it, though it leaves the length open: max_seq is {}",
                    best.config.max_seq
                ));
            }
            same(&network, &best)?;
            if attempt.axes.len() == 1 && end.expected != SIZES {
                let max_seq = best.config.max_seq;
                best.notes.push(format!(
                    "max_seq is {max_seq}: of a longer sequence the file computes something else ({})",
                    end.found
                ));
            }
            best
        }
    };
    if graph.nodes.iter().any(|node| matches!(node.op, Op::Quantize { .. } | Op::Dequantize { .. })) {
        let note = "quantized weights are dequantized and activations stay float: outputs differ from the file's by its rounding";
        found.notes.push(note.into());
    }
    let said = [
        (Role::Types, "0: a sequence is one segment"),
        (Role::Mask, "a mask that hides nothing"),
        (Role::Positions, "the positions from 0 on"),
        (Role::Cache, "a cache without entries"),
    ];
    for (role, what) in said {
        let of = graph.inputs.iter().zip(attempt.roles).filter(|(_, own)| **own == role);
        let names: Vec<String> = of.map(|(input, _)| format!("`{}`", input.name)).collect();
        match &names[..] {
            [] => {}
            [name] => found.notes.push(format!("the input {name} is taken as {what}")),
            names => found.notes.push(format!("each of the inputs {} is taken as {what}", names.join(", "))),
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
    let own = graph.inputs.iter().zip(attempt.roles).find(|(_, role)| matches!(role, Role::Frames | Role::Tokens));
    let own = own.map_or(Vec::new(), |(input, role)| shape(input, *role, attempt.axes, length));
    for (input, role) in graph.inputs.iter().zip(attempt.roles) {
        let shape = shape(input, *role, attempt.axes, length);
        let size: usize = shape.iter().try_fold(1_usize, |size, &by| size.checked_mul(by)).unwrap_or(usize::MAX);
        if size > 1 << 23 || size == 0 && *role != Role::Cache {
            return Err(Mismatch::new(None, format!("an input {shape:?}"), "one that fits a microcontroller"));
        }
        let constant = |value: f64| Value::Const(Array::new(input.kind, shape.clone(), vec![value; size]));
        let value = match role {
            Role::Frames => {
                frames = shape.clone();
                Value::Lin(atoms.add(Made::Frames, 1, size, shape))
            }
            Role::Tokens => Value::Lin(atoms.add(Made::Tokens, 1, size, shape)),
            Role::Types | Role::Cache => constant(0.0),
            Role::Positions => {
                let columns = shape.last().copied().unwrap_or(1);
                let positions = (0..size).map(|index| (index % columns) as f64).collect();
                Value::Const(Array::new(input.kind, shape, positions))
            }
            Role::Mask => {
                check_shape(input, &own)?;
                constant(attempt.visible)
            }
        };
        values.push((input.value, value));
    }
    let masks = graph.inputs.iter().zip(attempt.roles).filter(|(_, role)| **role == Role::Mask);
    let masks: Vec<usize> = masks.map(|(input, _)| input.value).collect();
    let (atoms, value) = Run::of(graph, values, &masks, atoms, output)?;
    match value {
        Value::Lin(lin) if !lin.shape.is_empty() => atoms.network(&lin, &frames),
        _ => Err(Mismatch::new(None, "an output that does not depend on the input", "a network's output")),
    }
}

/// An input's shape: the sequence of this length, one sequence at a time, nothing in a cache.
fn shape(input: &GraphInput, role: Role, axes: &[usize], length: usize) -> Vec<usize> {
    let open = |at: usize| match role {
        Role::Cache => usize::from(at == 0),
        _ if axes.contains(&at) => length,
        _ => 1,
    };
    input.shape.iter().enumerate().map(|(at, size)| size.unwrap_or(open(at))).collect()
}
