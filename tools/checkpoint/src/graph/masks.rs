//! Inputs that are taken as masks: where nothing is hidden, a mask changes no number. An input that would is none.

use super::atoms::Made;
use super::attention::HIDDEN;
use super::run::{Run, Value};
use super::{Binary, GraphInput, Mismatch, Node, Op, Size, ValueId};

/// A constant's share in the inputs that are taken as masks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    #[default]
    None,
    /// One number for each row.
    Rows,
    Masks,
    /// Positions, counted by what is visible.
    Counted,
}

/// The marks of a graph's values.
#[derive(Debug, Default)]
pub(super) struct Marks(Vec<Mark>);

impl Marks {
    pub(super) fn new(n_values: usize, masks: &[ValueId]) -> Marks {
        let mut marks = vec![Mark::None; n_values];
        masks.iter().for_each(|&mask| marks[mask] = Mark::Masks);
        Marks(marks)
    }

    fn of(&self, value: Option<ValueId>) -> Mark {
        value.and_then(|value| self.0.get(value)).copied().unwrap_or_default()
    }

    /// Marks what a node has made.
    pub(super) fn pass(&mut self, node: &Node, is_column: bool) {
        let given = node.inputs.iter().map(|&input| self.of(input)).max().unwrap_or_default();
        let made = match (&node.op, given) {
            // Sizes are those of every input.
            (Op::Shape { .. } | Op::Size, _) => Mark::None,
            (Op::CumSum, Mark::Rows | Mark::Masks) => Mark::Counted,
            (Op::Expand, Mark::Masks) if is_column => Mark::Rows,
            _ => given,
        };
        node.outputs.iter().for_each(|&out| self.0[out] = made);
    }
}

impl Run<'_> {
    /// Refuses a node that computes something else with an input than a mask that hides nothing.
    pub(super) fn check_masks(&self, node: &Node) -> Result<(), Mismatch> {
        let value = |input: usize| self.value(input).ok();
        let Some(computed) = (0..node.inputs.len()).find_map(|input| match value(input) {
            Some(Value::Lin(lin)) => Some(lin),
            _ => None,
        }) else {
            return Ok(());
        };
        // Scores and probabilities have a column for each position, other values have one for each feature.
        let is = |test: fn(&Made) -> bool| {
            !computed.parts.is_empty() && computed.parts.iter().all(|part| test(self.atoms.made(part.atom)))
        };
        let are_scores = is(|made| matches!(made, Made::Product { .. }));
        let are_positions = is(|made| matches!(made, Made::Product { .. } | Made::Softmax { .. }));
        for (input, &id) in node.inputs.iter().enumerate() {
            let mark = self.marks.of(id);
            let Some(Value::Const(array)) = value(input).filter(|_| matches!(mark, Mark::Rows | Mark::Masks)) else {
                continue;
            };
            let changes_nothing = || array.data.iter().all(|&x| x == 0.0 || x.abs() >= -HIDDEN);
            let fits = match node.op {
                Op::Binary(Binary::Add | Binary::Sub) => are_scores && changes_nothing(),
                Op::Binary(Binary::Mul | Binary::Div) => {
                    let by_row = mark == Mark::Rows || array.shape.last().is_none_or(|&size| size == 1);
                    // As many as are visible divide a sum.
                    let is_number = array.uniform().is_some() || array.data.iter().all(|&x| x == 0.0 || x == 1.0);
                    (by_row || are_positions) && is_number
                }
                Op::Where => input == 0 || changes_nothing(),
                Op::Attention { .. } => input == 3,
                Op::Expand | Op::Reshape { .. } => true,
                _ => false,
            };
            if !fits {
                return Err(no_mask(Some(self.atoms.node), "numbers of another input, which is no mask".into()));
            }
        }
        Ok(())
    }
}

/// Refuses an input that is no mask by its shape: a mask has a number for each position of the network's own input, whose sizes are `own`.
pub(super) fn check_shape(input: &GraphInput, own: &[usize]) -> Result<(), Mismatch> {
    let is_length = |size: &Size| size.is_some_and(|size| size > 1 && own.contains(&size));
    let is_open = input.shape.iter().skip(1).any(Option::is_none);
    let has_length = is_open || input.shape.iter().any(is_length) || own.iter().all(|&size| size == 1);
    let has_features = input.shape.last().is_some_and(|size| size.is_some_and(|size| size > 1) && !is_length(size));
    if has_length && !has_features {
        return Ok(());
    }
    let size = |size: &Size| size.map_or("?".into(), |size| size.to_string());
    let shape: Vec<String> = input.shape.iter().map(size).collect();
    Err(no_mask(None, format!("the input `{}` [{}] beside one of {own:?}", input.name, shape.join(", "))))
}

fn no_mask(node: Option<usize>, found: String) -> Mismatch {
    let expected =
        "one input of tokens or frames, beside masks of its positions, which change nothing where they hide nothing";
    let next =
        "export the model with the other input as a constant (Keras: tf2onnx.convert.from_keras, not model.export)";
    Mismatch { next, ..Mismatch::new(node, found, expected) }
}
