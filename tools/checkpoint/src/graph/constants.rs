//! Operations on constants.

use super::array::{Array, Kind, broadcast, count, expansion, strides};
use super::{Binary, Reduction, Unary};

/// `f` of a number.
pub(super) fn unary_of(f: Unary, x: f64) -> f64 {
    match f {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sqrt => x.sqrt(),
        Unary::Reciprocal => 1.0 / x,
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Erf => libm::erf(x),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Relu => x.max(0.0),
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::Not => f64::from(u8::from(x == 0.0)),
        Unary::IsNan => f64::from(u8::from(x.is_nan())),
        Unary::Gelu => 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        Unary::GeluTanh => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()),
        Unary::Silu => x / (1.0 + (-x).exp()),
        Unary::Square => x * x,
        Unary::Cube => x * x * x,
    }
}

pub(super) fn unary(f: Unary, x: &Array) -> Array {
    let kind = if matches!(f, Unary::Not | Unary::IsNan) { Kind::Bool } else { x.kind };
    Array { data: x.data.iter().map(|&x| unary_of(f, x)).collect(), kind, ..x.clone() }
}

/// True if the operation's result is a truth value.
pub(super) fn compares(f: Binary) -> bool {
    use Binary::{And, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Or, Xor};
    matches!(f, Equal | Less | LessOrEqual | Greater | GreaterOrEqual | And | Or | Xor)
}

/// `f` of two numbers.
pub(super) fn binary_of(f: Binary, is_int: bool, a: f64, b: f64) -> f64 {
    let truth = |value: bool| f64::from(u8::from(value));
    match f {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div if is_int => (a / b).trunc(),
        Binary::Div => a / b,
        Binary::Pow => a.powf(b),
        // Of integers with the divisor's sign.
        Binary::Mod if is_int => a - b * (a / b).floor(),
        Binary::Mod => a % b,
        Binary::Min => a.min(b),
        Binary::Max => a.max(b),
        Binary::Equal => truth(a == b),
        Binary::Less => truth(a < b),
        Binary::LessOrEqual => truth(a <= b),
        Binary::Greater => truth(a > b),
        Binary::GreaterOrEqual => truth(a >= b),
        Binary::And => truth(a != 0.0 && b != 0.0),
        Binary::Or => truth(a != 0.0 || b != 0.0),
        Binary::Xor => truth((a != 0.0) != (b != 0.0)),
    }
}

/// An array broadcast to a shape.
pub(super) fn expanded(array: &Array, shape: &[usize]) -> Array {
    match expansion(&array.shape, shape) {
        None => array.reshaped(shape.to_vec()),
        Some(places) => array.pick(shape.to_vec(), &places),
    }
}

/// Two arrays of one shape.
pub(super) fn binary(f: Binary, a: &Array, b: &Array) -> Array {
    let is_int = a.kind != Kind::Float;
    let kind = if compares(f) { Kind::Bool } else { a.kind };
    let data = a.data.iter().zip(b.data.iter()).map(|(&a, &b)| binary_of(f, is_int, a, b)).collect();
    let name = if a.name.is_empty() { b.name.clone() } else { a.name.clone() };
    Array { shape: a.shape.clone(), data, kind, name }
}

pub(super) fn cast(x: &Array, kind: Kind) -> Array {
    let cast = |x: f64| match kind {
        Kind::Float => x,
        Kind::Int => x.trunc(),
        Kind::Bool => f64::from(u8::from(x != 0.0)),
    };
    Array { data: x.data.iter().map(|&x| cast(x)).collect(), kind, ..x.clone() }
}

/// Reduces the rows of a matrix `[groups, members]`.
pub(super) fn reduce(how: Reduction, x: &Array, members: usize, shape: Vec<usize>) -> Array {
    let of = |row: &[f64]| match how {
        Reduction::Sum => row.iter().sum::<f64>(),
        Reduction::Mean => row.iter().sum::<f64>() / row.len() as f64,
        Reduction::Max => row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Reduction::Min => row.iter().copied().fold(f64::INFINITY, f64::min),
        Reduction::Prod => row.iter().product(),
    };
    let data = x.data.chunks(members.max(1)).map(of).collect();
    Array { shape, data, kind: x.kind, name: x.name.clone() }
}

/// Product of the last two dimensions as matrices, the others broadcast; `None` where the shapes do not fit.
pub(super) fn matmul(a: &Array, b: &Array) -> Option<Array> {
    let (&[ref lead_a @ .., m, k], &[ref lead_b @ .., k2, n]) = (&a.shape[..], &b.shape[..]) else { return None };
    let lead = broadcast(&[lead_a, lead_b])?;
    if k != k2 || count(&lead).checked_mul(m)?.checked_mul(n)?.checked_mul(k.max(1))? > 1 << 30 {
        return None;
    }
    let a = expanded(a, &[&lead[..], &[m, k]].concat());
    let b = expanded(b, &[&lead[..], &[k, n]].concat());
    let mut data = Vec::with_capacity(count(&lead) * m * n);
    for batch in 0..count(&lead) {
        for row in 0..m {
            for column in 0..n {
                let at = |i: usize| a.data[(batch * m + row) * k + i] * b.data[(batch * k + i) * n + column];
                data.push((0..k).map(at).sum());
            }
        }
    }
    Some(Array { shape: [&lead[..], &[m, n]].concat(), data: data.into(), kind: a.kind, name: a.name.clone() })
}

/// Keeps the upper or lower triangle of the last two dimensions.
pub(super) fn triangle(x: &Array, diagonal: i64, upper: bool) -> Option<Array> {
    let &[.., rows, columns] = &x.shape[..] else { return None };
    let keep = |index: usize| {
        let (row, column) = ((index / columns % rows) as i64, (index % columns) as i64);
        if upper { column - row >= diagonal } else { column - row <= diagonal }
    };
    let data = x.data.iter().enumerate().map(|(index, &x)| if keep(index) { x } else { 0.0 }).collect();
    Some(Array { data, ..x.clone() })
}

/// Running sum along an axis.
pub(super) fn running_sum(x: &Array, axis: usize) -> Array {
    let (step, size) = (strides(&x.shape)[axis], x.shape[axis]);
    let mut data = x.data.to_vec();
    for index in 0..data.len() {
        if index / step % size > 0 {
            data[index] += data[index - step];
        }
    }
    Array { data: data.into(), ..x.clone() }
}
