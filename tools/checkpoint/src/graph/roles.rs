//! Use of a graph's inputs, by the operations that read them: tokens or frames, and what stands beside them.

use super::array::Kind;
use super::{Graph, GraphInput, Mismatch, NEXT, Op};

/// Use of an input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    Frames,
    Tokens,
    /// Types of tokens, all of which are 0 in a sequence of one segment.
    Types,
    /// A mask, all positions visible.
    Mask,
    /// Numbers of the positions, from 0 on.
    Positions,
    /// Keys or values of an earlier call, of which there are none.
    Cache,
}

/// Uses that the inputs may have, the likeliest first; a group for each input that may have the tokens.
pub(super) fn hypotheses(graph: &Graph) -> Result<Vec<Vec<Vec<Role>>>, Mismatch> {
    let mut roles: Vec<Role> = graph.inputs.iter().map(|input| role(graph, input)).collect();
    if roles.contains(&Role::Types) && !roles.contains(&Role::Tokens) {
        roles.iter_mut().filter(|role| **role == Role::Types).for_each(|role| *role = Role::Tokens);
    }
    let of = |role: Role, roles: &[Role]| -> Vec<usize> { (0..roles.len()).filter(|&at| roles[at] == role).collect() };
    let has_tokens = roles.contains(&Role::Tokens);
    // Beside tokens, or beside frames of more dimensions, numbers are a mask or a cache.
    let most = of(Role::Frames, &roles).into_iter().map(|at| graph.inputs[at].shape.len()).max();
    for (input, role) in graph.inputs.iter().zip(&mut roles) {
        if *role == Role::Frames && has_tokens && is_cache(input) {
            *role = Role::Cache;
        } else if *role == Role::Frames && (has_tokens || Some(input.shape.len()) < most) {
            *role = Role::Mask;
        }
    }
    let (tokens, frames) = (of(Role::Tokens, &roles), of(Role::Frames, &roles));
    if tokens.len() > 2 || frames.len() > 1 {
        let names: Vec<String> =
            [&tokens[..], &frames].concat().into_iter().map(|at| format!("`{}`", graph.inputs[at].name)).collect();
        let found = format!("the inputs {}", names.join(", "));
        let next = "export the model so that it computes the others itself, or as constants (Keras: tf2onnx.convert.from_keras, not model.export)";
        return Err(Mismatch {
            next,
            ..Mismatch::new(None, found, "one of tokens or frames, beside masks and positions")
        });
    }
    if tokens.is_empty() && frames.is_empty() {
        return Err(Mismatch { next: NEXT, ..Mismatch::new(None, "no input of tokens or frames", "one") });
    }
    let with = |at: usize, role: Role, roles: &[Role]| {
        let mut roles = roles.to_vec();
        roles[at] = role;
        roles
    };
    if let [first, second] = tokens[..] {
        // The other one of two tables is that of the positions.
        let is_said = |at: usize| graph.tokens.as_ref().is_none_or(|name| *name == graph.inputs[at].name);
        let groups = [(first, second), (second, first)].into_iter().filter(|(tokens, _)| is_said(*tokens));
        return Ok(groups.map(|(_, positions)| vec![with(positions, Role::Positions, &roles)]).collect());
    }
    // As numbers of positions, a mask would hide some; as a mask, the numbers of positions would all be the same.
    let whole = of(Role::Mask, &roles).into_iter().filter(|&at| graph.inputs[at].kind == Kind::Int);
    let mut group: Vec<Vec<Role>> = whole.map(|at| with(at, Role::Positions, &roles)).collect();
    group.push(roles);
    Ok(vec![group])
}

/// The refusal where either of two inputs may be the tokens.
pub(super) fn ambiguous(graph: &Graph) -> Mismatch {
    let chosen = graph.inputs.iter().filter(|input| role(graph, input) == Role::Tokens);
    let names: Vec<String> = chosen.map(|input| format!("`{}`", input.name)).collect();
    let found = format!("the inputs {}, each of which chooses rows of a table", names.join(" and "));
    let next = "name the input of the tokens in the file, the other one is that of the positions: \
                onnx.helper.set_model_props(model, {\"tokens\": \"input_ids\"})";
    Mismatch { next, ..Mismatch::new(None, found, "one of tokens, which are not told from positions here") }
}

fn role(graph: &Graph, input: &GraphInput) -> Role {
    match chosen_rows(graph, input) {
        Some(rows) if rows <= 2 => Role::Types,
        Some(_) => Role::Tokens,
        None if input.kind == Kind::Float => Role::Frames,
        None => Role::Mask,
    }
}

/// True for keys or values, `[batch, heads, seq, head_dim]`: all sizes but those of batch and sequence are numbers.
fn is_cache(input: &GraphInput) -> bool {
    matches!(input.shape[..], [_, Some(_), None, Some(_)])
}

/// Rows of the table that an input's numbers choose from, if they do: as they are, or as a function of them and of constants.
fn chosen_rows(graph: &Graph, input: &GraphInput) -> Option<usize> {
    let mut is_constant = vec![false; graph.n_values];
    graph.constants.iter().for_each(|(id, _)| is_constant[*id] = true);
    let mut is_own = vec![false; graph.n_values];
    *is_own.get_mut(input.value)? = true;
    // Numbers of no kind of integer choose rows once they are cast.
    let mut is_whole = vec![input.kind != Kind::Float; graph.n_values];
    for node in &graph.nodes {
        let of = |index: usize| node.inputs.get(index).copied().flatten();
        let moves = matches!(
            node.op,
            Op::Reshape { .. } | Op::Unsqueeze | Op::Squeeze | Op::Transpose { .. } | Op::Flatten { .. }
        );
        let computes = matches!(node.op, Op::Identity | Op::Cast(_) | Op::Unary(_) | Op::Binary(_) | Op::Where);
        let mut given = node.inputs.iter().flatten();
        let owns = match moves {
            true => of(0).is_some_and(|id| is_own[id]),
            false => computes && given.clone().any(|&id| is_own[id]) && given.all(|&id| is_own[id] || is_constant[id]),
        };
        if owns {
            let whole = match node.op {
                Op::Cast(kind) => kind != Kind::Float,
                _ => of(0).is_some_and(|id| is_whole[id]),
            };
            node.outputs
                .iter()
                .for_each(|&out| (is_own[out], is_whole[out]) = (true, whole || input.kind != Kind::Float));
        } else if !matches!(node.op, Op::Other { .. }) && node.inputs.iter().flatten().all(|&id| is_constant[id]) {
            node.outputs.iter().for_each(|&out| is_constant[out] = true);
        }
        if matches!(node.op, Op::Gather { .. }) && of(1).is_some_and(|id| is_own[id] && is_whole[id]) {
            // A table of 8 bits is dequantized before.
            let makes = |node: &&crate::graph::Node| {
                matches!(node.op, Op::Dequantize { .. }) && node.outputs.first().copied() == of(0)
            };
            let stored = graph.nodes.iter().find(makes).and_then(|node| node.inputs[0]).or(of(0));
            let table = graph.constants.iter().find(|(id, _)| Some(*id) == stored);
            if let Some((_, table)) = table.filter(|(_, table)| table.shape.len() == 2) {
                return table.shape.first().copied();
            }
        }
    }
    None
}
