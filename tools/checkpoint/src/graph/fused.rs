//! Attention as one operation of a file, by the operations that it stands for.

use super::array::{Array, Kind, count, transposed};
use super::constants;
use super::run::{Run, Value};
use super::{Binary, Mismatch};

impl Run<'_> {
    /// `softmax(q k^T scale + mask) v`, keys and values repeated for groups of heads.
    pub(super) fn fused_attention(
        &mut self,
        is_causal: bool,
        scale: Option<f64>,
        heads: [usize; 2],
    ) -> Result<Value, Mismatch> {
        let is_flat = self.value(0)?.shape().len() == 3;
        let query = self.split_heads(0, heads[0])?;
        let (key, value) = (self.split_heads(1, heads[1])?, self.split_heads(2, heads[1])?);
        let &[_, n_heads, seq, head_dim] = query.shape() else { return Err(self.wrong("queries without heads")) };
        let key = self.repeated(key, n_heads)?;
        let value = self.repeated(value, n_heads)?;
        let &[_, _, seen, _] = key.shape() else { return Err(self.wrong("keys without heads")) };
        let key = turned(&key, &[0, 1, 3, 2]);
        let number = |value: f64| Value::Const(Array::scalar(Kind::Float, value));
        let mut scores = self.matmul(query, key)?;
        scores = self.binary(Binary::Mul, scores, number(scale.unwrap_or(1.0 / (head_dim as f64).sqrt())))?;
        if is_causal {
            let hidden = |index: usize| if index % seen > index / seen { f64::NEG_INFINITY } else { 0.0 };
            let mask = Array::new(Kind::Float, vec![seq, seen], (0..seq * seen).map(hidden).collect());
            scores = self.binary(Binary::Add, scores, Value::Const(mask))?;
        }
        if self.has(3) {
            let mask = self.constant(3)?.clone();
            let added = |shown: f64| if shown == 0.0 { f64::NEG_INFINITY } else { 0.0 };
            let mask = match mask.kind {
                Kind::Bool => Array { data: mask.data.iter().map(|&x| added(x)).collect(), kind: Kind::Float, ..mask },
                _ => constants::cast(&mask, Kind::Float),
            };
            scores = self.binary(Binary::Add, scores, Value::Const(mask))?;
        }
        let probabilities = Value::Lin(self.atoms.softmax(&scores.lin(), false));
        let mixed = self.matmul(probabilities, value)?;
        if !is_flat {
            return Ok(mixed);
        }
        let joined = turned(&mixed, &[0, 2, 1, 3]);
        let &[batch, seq, heads, width] = joined.shape() else { return Err(self.wrong("no heads")) };
        Ok(joined.moved((vec![batch, seq, heads * width], None)))
    }

    /// An input as `[batch, heads, seq, head_dim]`.
    fn split_heads(&mut self, input: usize, heads: usize) -> Result<Value, Mismatch> {
        let value = self.value(input)?.clone();
        match *value.shape() {
            [_, _, _, _] => Ok(value),
            [batch, seq, width] if heads > 0 && width.is_multiple_of(heads) => {
                let split = value.moved((vec![batch, seq, heads, width / heads], None));
                Ok(turned(&split, &[0, 2, 1, 3]))
            }
            ref shape => Err(self.wrong(&format!("attention of {shape:?}"))),
        }
    }

    /// Each head of keys or values for the next heads of queries.
    fn repeated(&mut self, value: Value, n_heads: usize) -> Result<Value, Mismatch> {
        let &[batch, heads, seq, width] = value.shape() else { return Err(self.wrong("no heads")) };
        if heads == n_heads {
            return Ok(value);
        }
        if heads == 0 || !n_heads.is_multiple_of(heads) {
            return Err(self.wrong(&format!("{heads} heads of keys for {n_heads} of queries")));
        }
        let shape = vec![batch, n_heads, seq, width];
        self.check_size(&shape)?;
        let (size, group) = (seq * width, n_heads / heads);
        let place = |index: usize| {
            let (head, rest) = (index / size, index % size);
            ((head / n_heads * heads + head % n_heads / group) * size + rest) as u32
        };
        let places = (0..count(&shape)).map(place).collect();
        Ok(value.moved((shape, Some(places))))
    }
}

/// A value with its dimensions in another order.
fn turned(value: &Value, order: &[usize]) -> Value {
    let (shape, places) = transposed(value.shape(), order);
    value.moved((shape, Some(places)))
}
