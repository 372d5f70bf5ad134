//! Outputs of the user's own framework, as it wrote them: inputs, logits, and what it shows of the layers.
//!
//! ```text
//! .npz, .npy, .safetensors, .json ──► arrays by name ──► sequences: input, outputs, hidden states, points of the reference
//! ```

mod array;
mod cepstral;
mod npy;

use super::sequence::Sequence;
use anyhow::{Context, Result, bail, ensure};
pub use array::{Array, read};
use std::path::PathBuf;
use thumbformer::{Dims, Input};
use thumbformer_checkpoint::FrontEndConfig;

/// Names of arrays, for a message.
const NAMES: &str = "tokens (or input_ids), frames, logits (or outputs), hidden (or hidden_states), or a point of the float reference \
    such as embedding or layers.0.attention.q";

/// One sequence with what a framework computed of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Expected {
    /// The input.
    pub input: Sequence,
    /// Its outputs: one, or one for each position.
    pub outputs: Vec<Vec<f64>>,
    /// Streams: of the embedding, and after every layer.
    pub hidden: Vec<Vec<f64>>,
    /// Values at points of the float reference, by their names.
    pub points: Vec<(String, Vec<f64>)>,
}

/// The arrays of files by their meaning.
#[derive(Default)]
struct Named {
    tokens: Option<Array>,
    frames: Option<Array>,
    outputs: Option<Array>,
    hidden: Option<Array>,
    points: Vec<Array>,
}

/// Reads files for a model; `front_end` is its checkpoint's, by which frames of cepstral coefficients become the model's frames of bands.
///
/// # Errors
/// For a file that cannot be read, an array that is not known, missing, or of a shape that is not the model's.
pub fn load(files: &[PathBuf], dims: &Dims, front_end: Option<&FrontEndConfig>) -> Result<Vec<Expected>> {
    let mut named = Named::default();
    for file in files {
        for array in read(file)? {
            named.add(array).with_context(|| format!("{}", file.display()))?;
        }
    }
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    if let (Some(frames), Some(front_end)) = (&mut named.frames, front_end) {
        cepstral::to_bands(frames, front_end, dims.n_features);
    }
    named.sequences(dims).with_context(|| files.join(", "))
}

impl Named {
    fn add(&mut self, array: Array) -> Result<()> {
        let name = array.name.clone();
        let all = |value: f64| array.values.iter().all(|&found| found == value);
        let place = match name.as_str() {
            "tokens" | "input_ids" => &mut self.tokens,
            "frames" => &mut self.frames,
            "logits" | "outputs" => &mut self.outputs,
            "hidden" | "hidden_states" => &mut self.hidden,
            "attention_mask" => {
                ensure!(
                    all(1.0),
                    "attention_mask hides tokens: give sequences without padding, each of a length in a file of its own"
                );
                return Ok(());
            }
            "token_type_ids" => {
                ensure!(all(0.0), "token_type_ids other than 0 are not computed: give sequences of one type");
                return Ok(());
            }
            "embedding" | "embedding_norm" | "final_norm" | "pooled" | "pooler" => {
                self.points.push(array);
                return Ok(());
            }
            layer if layer.starts_with("layers.") => {
                self.points.push(array);
                return Ok(());
            }
            _ => bail!("array {name:?} is not known; expected {NAMES}"),
        };
        ensure!(place.is_none(), "array {name:?} is given twice");
        *place = Some(array);
        Ok(())
    }

    fn sequences(self, dims: &Dims) -> Result<Vec<Expected>> {
        let (input, unwanted, width) = match dims.options.input {
            Input::Tokens => (self.tokens.context("no array `tokens`: the model reads token ids")?, self.frames, 1),
            Input::Frames => {
                (self.frames.context("no array `frames`: the model reads frames")?, self.tokens, dims.n_features)
            }
            other => bail!("the model reads {other:?}: an image of blocks alone is not compared"),
        };
        if let Some(Array { name, .. }) = unwanted {
            bail!("array {name:?}, but the model reads {:?}", dims.options.input);
        }
        let outputs = self.outputs.context("no array `logits` (or `outputs`): the outputs are what is compared")?;
        let (count, length) = batch(&input, width)?;
        let rows = outputs.values.len() / (count * dims.n_outputs).max(1);
        ensure!(
            outputs.values.len() == count * rows * dims.n_outputs
                && outputs.shape.last() == Some(&dims.n_outputs)
                && (rows == 1 || rows == length),
            "{} has shape {:?}, expected {} outputs for {count} sequences, or for each of their {length} positions",
            outputs.name,
            outputs.shape,
            dims.n_outputs
        );
        let hidden = self.hidden.map(|hidden| streams(&hidden, count, dims)).transpose()?;
        ensure!(
            self.points.is_empty() || count == 1,
            "points of the reference are compared for one sequence, found {count}"
        );
        let points: Vec<(String, Vec<f64>)> = self.points.into_iter().map(|array| (array.name, array.values)).collect();
        let inputs = input.values.chunks(length * width).enumerate();
        let sequence = |((index, input), outputs): ((usize, &[f64]), &[f64])| {
            Ok(Expected {
                input: inputs_of(input, dims)?,
                outputs: outputs.chunks(dims.n_outputs).map(<[f64]>::to_vec).collect(),
                hidden: hidden.as_ref().map_or(Vec::new(), |hidden| hidden[index].clone()),
                points: points.clone(),
            })
        };
        inputs.zip(outputs.values.chunks(rows * dims.n_outputs)).map(sequence).collect()
    }
}

/// Number of sequences of an input, and their length.
fn batch(input: &Array, width: usize) -> Result<(usize, usize)> {
    let shape =
        if width == 1 { &input.shape[..] } else { input.shape.split_last().map_or(&[][..], |(_, shape)| shape) };
    let frames = width == 1 || input.shape.last() == Some(&width);
    match *shape {
        [length] if frames && length > 0 => Ok((1, length)),
        [count, length] if frames && count > 0 && length > 0 => Ok((count, length)),
        _ if width == 1 => bail!("{} has shape {:?}, expected [seq] or [batch, seq]", input.name, input.shape),
        _ => bail!("{} has shape {:?}, expected [seq, {width}] or [batch, seq, {width}]", input.name, input.shape),
    }
}

/// The streams of every sequence: `[layers + 1]` of each.
fn streams(hidden: &Array, count: usize, dims: &Dims) -> Result<Vec<Vec<Vec<f64>>>> {
    let layers = dims.n_layers + 1;
    let one = hidden.values.len() / (layers * count).max(1);
    let fits = match hidden.shape[..] {
        [first, _, width] => first == layers && width == dims.d_model && count == 1,
        [first, batch, _, width] => first == layers && batch == count && width == dims.d_model,
        _ => false,
    };
    ensure!(
        fits && one > 0,
        "{} has shape {:?}, expected [layers + 1, batch, seq, d_model]: {layers} times {count} sequences of vectors of {}",
        hidden.name,
        hidden.shape,
        dims.d_model
    );
    let stream = |sequence| (0..layers).map(move |layer| (layer * count + sequence) * one);
    let cut = |start: usize| hidden.values[start..start + one].to_vec();
    Ok((0..count).map(|sequence| stream(sequence).map(cut).collect()).collect())
}

/// An input of numbers as the model reads it.
fn inputs_of(values: &[f64], dims: &Dims) -> Result<Sequence> {
    if dims.options.input == Input::Frames {
        return Ok(Sequence::Frames(values.iter().map(|&value| value as f32).collect()));
    }
    let id = |(index, &value): (usize, &f64)| {
        let is_id = value.fract() == 0.0 && (0.0..dims.vocab as f64).contains(&value);
        ensure!(is_id, "token {index} is {value}, expected a whole number below the vocabulary of {}", dims.vocab);
        Ok(value as u16)
    };
    Ok(Sequence::Tokens(values.iter().enumerate().map(id).collect::<Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use thumbformer::Options;

    fn dims() -> Dims {
        let mut dims = Dims::block(4, 2, 8, 16, Options::LLAMA);
        (dims.n_layers, dims.vocab, dims.n_outputs) = (2, 10, 10);
        dims
    }

    fn array(name: &str, shape: &[usize]) -> Array {
        let count: usize = shape.iter().product();
        Array { name: name.into(), shape: shape.into(), values: (0..count).map(|i| (i % 10) as f64).collect() }
    }

    fn sequences(arrays: &[Array]) -> Result<Vec<Expected>, String> {
        let mut named = Named::default();
        let add = arrays.iter().try_for_each(|array| named.add(array.clone()));
        add.and_then(|()| named.sequences(&dims())).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn one_sequence_and_several_are_cut_alike() {
        let one = sequences(&[array("tokens", &[5]), array("logits", &[5, 10]), array("hidden", &[3, 5, 4])]);
        let one = one.expect("a sequence");
        assert_eq!((one.len(), one[0].outputs.len(), one[0].hidden.len(), one[0].hidden[2].len()), (1, 5, 3, 20));
        let names = [array("input_ids", &[2, 3]), array("outputs", &[2, 3, 10]), array("hidden_states", &[3, 2, 3, 4])];
        let two = sequences(&names).expect("two sequences");
        assert_eq!(two[1].input, Sequence::Tokens(vec![3, 4, 5]));
        // Layer 1 of sequence 1: the fourth of six.
        assert_eq!(two[1].hidden[1][0], 36_f64 % 10.0);
        assert_eq!(sequences(&[array("tokens", &[5]), array("logits", &[1, 10])]).expect("pooled")[0].outputs.len(), 1);
        let masked = [
            array("tokens", &[1, 2]),
            array("logits", &[1, 2, 10]),
            Array { values: vec![1.0; 2], ..array("attention_mask", &[1, 2]) },
        ];
        assert!(sequences(&masked).is_ok());
    }

    #[test]
    fn arrays_that_mean_nothing_or_do_not_fit_are_refused_by_name() {
        for (arrays, expected) in [
            (vec![array("logits", &[5, 10])], "no array `tokens`"),
            (vec![array("tokens", &[5])], "no array `logits`"),
            (
                vec![array("tokens", &[5]), array("frames", &[5, 2]), array("logits", &[5, 10])],
                "\"frames\", but the model reads Tokens",
            ),
            (vec![array("tokens", &[5]), array("logits", &[4, 10])], "logits has shape [4, 10]"),
            (vec![array("tokens", &[5]), array("logits", &[10, 5])], "logits has shape [10, 5]"),
            (
                vec![array("tokens", &[12]), array("logits", &[12, 10]), array("hidden", &[2, 12, 4])],
                "hidden has shape",
            ),
            (vec![array("tokens", &[5]), array("labels", &[5])], "array \"labels\" is not known; expected tokens"),
            (vec![array("tokens", &[2]), array("attention_mask", &[2])], "attention_mask hides tokens"),
            (vec![array("tokens", &[2]), array("tokens", &[2])], "given twice"),
            (vec![Array { values: vec![10.0], ..array("tokens", &[1]) }, array("logits", &[1, 10])], "token 0 is 10"),
        ] {
            let error = sequences(&arrays).expect_err(expected);
            assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        }
    }
}
