//! Token ids: they choose rows of a table. What a file computes of them before is the same ids again, since none is negative.

use super::array::{Array, Kind, count};
use super::atoms::Made;
use super::constants::compares;
use super::lin::{Factor, Lin};
use super::run::{Run, Value};
use super::{Binary, Mismatch, TOKENS};

impl Run<'_> {
    /// True if the value is token ids as they are.
    pub(super) fn is_tokens(&self, lin: &Lin) -> bool {
        let is_one = |part: &&super::lin::Part| part.factor == Factor::All(1.0);
        lin.single().filter(is_one).is_some_and(|part| matches!(self.atoms.made(part.atom), Made::Tokens))
    }

    /// True if token ids are in a sum.
    pub(super) fn has_tokens(&self, lin: &Lin) -> bool {
        lin.parts.iter().any(|part| matches!(self.atoms.made(part.atom), Made::Tokens))
    }

    pub(super) fn embed(&mut self, table: Array, tokens: Lin, axis: i64) -> Result<Value, Mismatch> {
        let &[_, width] = &table.shape[..] else {
            return Err(self.not(&format!("a table {:?}", table.shape), "a table of rows, one for each token"));
        };
        if !self.is_tokens(&tokens) || axis != 0 && axis != -2 {
            return Err(self.not("rows by computed numbers", "rows by the tokens of the input"));
        }
        let (rows, shape) = (tokens.len(), [&tokens.shape[..], &[width]].concat());
        Ok(Value::Lin(self.atoms.add(Made::Embed { table, tokens }, rows, width, shape)))
    }

    /// Token ids compared with 0, as Keras does to count negative ones from the end; `None` for sums and products with constants, which
    /// are those of numbers; another function is refused.
    pub(super) fn compared_tokens(
        &self,
        f: Binary,
        a: &Value,
        b: &Value,
        shape: &[usize],
    ) -> Result<Option<Value>, Mismatch> {
        let is_constant = [a, b].into_iter().any(|value| matches!(value, Value::Const(_)));
        let both = matches!(f, Binary::Add | Binary::Sub);
        if both || f == Binary::Mul && is_constant {
            return Ok(None);
        }
        // By the smallest id, where that decides.
        let least = |value: &Value| match value {
            Value::Lin(lin) if self.is_tokens(lin) => Some(0.0),
            Value::Lin(_) => None,
            Value::Const(array) => array.uniform(),
        };
        let known = match (f, least(a).zip(least(b)), matches!(a, Value::Lin(_))) {
            (Binary::Less, Some((tokens, limit)), true) if tokens >= limit => Some(false),
            (Binary::GreaterOrEqual, Some((tokens, limit)), true) if tokens >= limit => Some(true),
            (Binary::Greater, Some((limit, tokens)), false) if tokens >= limit => Some(false),
            (Binary::LessOrEqual, Some((limit, tokens)), false) if tokens >= limit => Some(true),
            _ => None,
        };
        match known.filter(|_| is_constant && compares(f)) {
            Some(holds) => {
                let truth = f64::from(u8::from(holds));
                Ok(Some(Value::Const(Array::new(Kind::Bool, shape.to_vec(), vec![truth; count(shape)]))))
            }
            None => Err(self.not("a function of token ids", TOKENS)),
        }
    }

    /// Rows of a table that is kept in 8 bits; other values have stayed float.
    pub(super) fn dequantized_rows(&mut self, rows: Lin) -> Result<Value, Mismatch> {
        let made = rows.atom().map(|atom| self.atoms.made(atom).clone());
        let Some(Made::Embed { table, tokens }) =
            made.filter(|made| matches!(made, Made::Embed { table, .. } if table.kind == Kind::Int))
        else {
            return Ok(Value::Lin(rows));
        };
        let scale = self.constant(1)?.single();
        let zero = if self.has(2) { self.constant(2)?.single() } else { Some(0.0) };
        let Some((scale, zero)) = scale.zip(zero) else {
            return Err(self.not("a table with several scales", "one scale and zero point"));
        };
        let data = table.data.iter().map(|value| (value - zero) * scale).collect();
        self.embed(Array { data, kind: Kind::Float, ..table }, tokens, 0)
    }
}
