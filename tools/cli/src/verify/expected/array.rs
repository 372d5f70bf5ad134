//! Arrays of numbers from the files that frameworks write.

use super::npy;
use anyhow::{Context, Result, bail, ensure};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::path::Path;

/// A named array.
#[derive(Clone, PartialEq, Debug)]
pub struct Array {
    /// Its name in the file.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its numbers, row-major.
    pub values: Vec<f64>,
}

/// A type of numbers.
#[derive(Clone, Copy)]
pub enum Number {
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Integers of so many bytes.
    Signed(usize),
    /// Integers of so many bytes, not negative.
    Unsigned(usize),
}

impl Number {
    fn bytes(self) -> usize {
        match self {
            Number::F16 | Number::Bf16 => 2,
            Number::F32 => 4,
            Number::F64 => 8,
            Number::Signed(bytes) | Number::Unsigned(bytes) => bytes,
        }
    }

    /// The number of its bits, as an unsigned integer.
    fn value(self, bits: u64) -> f64 {
        match self {
            Number::F16 => f16::from_bits(bits as u16).to_f64(),
            Number::Bf16 => bf16::from_bits(bits as u16).to_f64(),
            Number::F32 => f32::from_bits(bits as u32).into(),
            Number::F64 => f64::from_bits(bits),
            Number::Unsigned(_) => bits as f64,
            Number::Signed(bytes) => {
                let unused = 64 - 8 * bytes as u32;
                ((bits << unused).cast_signed() >> unused) as f64
            }
        }
    }
}

impl Array {
    /// An array from its bytes.
    pub(super) fn decoded(name: &str, shape: Vec<usize>, number: Number, data: &[u8], big: bool) -> Result<Array> {
        let count = shape.iter().try_fold(1, |count: usize, &size| count.checked_mul(size)).context("a huge shape")?;
        let bytes = count.checked_mul(number.bytes()).context("a huge shape")?;
        ensure!(data.len() == bytes, "{} bytes, expected {bytes} for shape {shape:?}", data.len());
        let bits = |chunk: &[u8]| {
            let add = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
            if big { chunk.iter().fold(0, add) } else { chunk.iter().rev().fold(0, add) }
        };
        let values = data.chunks_exact(number.bytes()).map(|chunk| number.value(bits(chunk))).collect();
        Ok(Array { name: name.into(), shape, values })
    }

    /// The same array, whose numbers were column-major.
    pub(super) fn column_major_to_row_major(self) -> Array {
        let mut values = Vec::with_capacity(self.values.len());
        for index in 0..self.values.len() {
            // The last dimension runs fastest in the result, slowest in the source.
            let (mut rest, mut place, mut stride) = (index, 0, self.values.len());
            for &size in self.shape.iter().rev() {
                stride /= size.max(1);
                place += rest % size.max(1) * stride;
                rest /= size.max(1);
            }
            values.push(self.values[place]);
        }
        Array { values, ..self }
    }
}

/// The arrays of a file; a `.npy` file's has the name of the file.
///
/// # Errors
/// With the file, for one that is no file of arrays, or holds NaN or infinity.
pub fn read(file: &Path) -> Result<Vec<Array>> {
    let bytes = std::fs::read(file).with_context(|| format!("{}: cannot be read", file.display()))?;
    let extension = file.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let arrays = match extension.as_str() {
        "npy" => npy::read_npy(&stem, &bytes).map(|array| vec![array]),
        "npz" => npy::read_npz(&bytes),
        "safetensors" => of_safetensors(&bytes),
        "json" => of_json(&bytes),
        _ => bail!("{}: expected a .npz, .npy, .safetensors or .json file", file.display()),
    };
    let arrays = arrays.with_context(|| format!("{}", file.display()))?;
    for Array { name, values, .. } in &arrays {
        let bad = values.iter().position(|value| !value.is_finite());
        ensure!(
            bad.is_none(),
            "{}: {name:?} holds {} at {}",
            file.display(),
            values[bad.unwrap_or(0)],
            bad.unwrap_or(0)
        );
    }
    Ok(arrays)
}

fn of_safetensors(bytes: &[u8]) -> Result<Vec<Array>> {
    let file = SafeTensors::deserialize(bytes).context("no safetensors file")?;
    let mut arrays = Vec::new();
    for (name, view) in file.iter() {
        let number = match view.dtype() {
            Dtype::F16 => Number::F16,
            Dtype::BF16 => Number::Bf16,
            Dtype::F32 => Number::F32,
            Dtype::F64 => Number::F64,
            Dtype::I8 => Number::Signed(1),
            Dtype::I16 => Number::Signed(2),
            Dtype::I32 => Number::Signed(4),
            Dtype::I64 => Number::Signed(8),
            Dtype::U8 | Dtype::BOOL => Number::Unsigned(1),
            Dtype::U16 => Number::Unsigned(2),
            Dtype::U32 => Number::Unsigned(4),
            Dtype::U64 => Number::Unsigned(8),
            other => bail!("{name:?}: numbers of type {other:?}, expected floats or integers"),
        };
        arrays.push(Array::decoded(name, view.shape().to_vec(), number, view.data(), false)?);
    }
    Ok(arrays)
}

fn of_json(bytes: &[u8]) -> Result<Vec<Array>> {
    let file: serde_json::Map<String, Value> = serde_json::from_slice(bytes)
        .context("no JSON object of lists, such as {\"tokens\": [1, 2], \"logits\": [[0.5, ...], ...]}")?;
    let array = |(name, value): (String, Value)| {
        let (mut shape, mut values) = (Vec::new(), Vec::new());
        let mut first = &value;
        while let Value::Array(list) = first {
            shape.push(list.len());
            first = list.first().with_context(|| format!("{name:?}: an empty list"))?;
        }
        flatten(&value, &shape, &mut values).with_context(|| format!("{name:?}"))?;
        Ok(Array { name, shape, values })
    };
    file.into_iter().map(array).collect()
}

fn flatten(value: &Value, shape: &[usize], values: &mut Vec<f64>) -> Result<()> {
    match (value, shape) {
        (Value::Number(number), []) => values.push(number.as_f64().context("a number that is too large")?),
        (Value::Array(list), [size, inner @ ..]) if list.len() == *size => {
            list.iter().try_for_each(|value| flatten(value, inner, values))?;
        }
        (Value::Array(list), [size, ..]) => bail!("a list of {} beside one of {size}: all must be as long", list.len()),
        (other, _) => bail!("{other}, expected {}", if shape.is_empty() { "a number" } else { "a list" }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_json_are_arrays_and_ragged_ones_are_refused() {
        let arrays = of_json(b"{\"logits\": [[1, 2.5], [3, 4]], \"tokens\": [7]}").expect("two arrays");
        assert_eq!((&arrays[0].shape[..], &arrays[0].values[..]), (&[2, 2][..], &[1.0, 2.5, 3.0, 4.0][..]));
        assert_eq!(arrays[1].shape, [1]);
        for (text, expected) in [
            ("[1]", "no JSON object"),
            ("{\"x\": [[1], [2, 3]]}", "a list of 2 beside one of 1"),
            ("{\"x\": [1, \"a\"]}", "\"a\", expected a number"),
            ("{\"x\": [[1], 2]}", "2, expected a list"),
            ("{\"x\": []}", "an empty list"),
        ] {
            let error = format!("{:#}", of_json(text.as_bytes()).expect_err(text));
            assert!(error.contains(expected), "{text}: {expected:?} is not in {error:?}");
        }
    }
}
