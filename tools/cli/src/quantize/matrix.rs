//! Quantization of one matrix to int4, given the statistics of its inputs.

use anyhow::{Result, ensure};
use thumbformer::image::Int4;

/// Hessian `H = sum(x x^T)` over the inputs of a matrix: the weight of an error in each pair of columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Hessian {
    width: usize,
    /// `[width, width]`.
    data: Vec<f64>,
}

impl Hessian {
    /// The Hessian of no inputs.
    pub fn zeros(width: usize) -> Hessian {
        Hessian { width, data: vec![0.0; width * width] }
    }

    /// The identity, under which all columns count alike: plain rounding.
    pub fn identity(width: usize) -> Hessian {
        let mut hessian = Hessian::zeros(width);
        hessian.data.iter_mut().step_by(width + 1).for_each(|x| *x = 1.0);
        hessian
    }

    /// Adds an input `[width]`.
    pub fn add(&mut self, x: &[f64]) {
        for (row, &a) in self.data.chunks_exact_mut(self.width.max(1)).zip(x) {
            row.iter_mut().zip(x).for_each(|(sum, &b)| *sum += a * b);
        }
    }

    /// Adds the inputs of another Hessian.
    pub fn merge(&mut self, other: &Hessian) {
        self.data.iter_mut().zip(&other.data).for_each(|(sum, other)| *sum += other);
    }

    fn at(&self, row: usize, col: usize) -> f64 {
        self.data[row * self.width + col]
    }

    /// `e^T H e`: the squared error in a row's outputs when its weights change by `e`.
    pub fn error(&self, e: &[f64]) -> f64 {
        let rows = self.data.chunks_exact(self.width.max(1)).zip(e);
        rows.map(|(row, e_row)| e_row * row.iter().zip(e).map(|(h, e)| h * e).sum::<f64>()).sum()
    }

    /// A damped copy: a small part of the diagonal's mean is added to it, so that columns which no input uses do no harm.
    fn damped(&self) -> Hessian {
        let mean = (0..self.width).map(|i| self.at(i, i)).sum::<f64>() / self.width.max(1) as f64;
        let mut damped = self.clone();
        let more = if mean > 0.0 { DAMPING * mean } else { 1.0 };
        damped.data.iter_mut().step_by(self.width + 1).for_each(|x| *x += more);
        damped
    }

    /// The lower Cholesky factor; `None` when the matrix is not positive definite.
    fn cholesky(&self) -> Option<Hessian> {
        let mut factor = Hessian::zeros(self.width);
        for row in 0..self.width {
            for col in 0..=row {
                let dot: f64 = (0..col).map(|k| factor.at(row, k) * factor.at(col, k)).sum();
                let rest = self.at(row, col) - dot;
                factor.data[row * self.width + col] = if row > col {
                    rest / factor.at(col, col)
                } else if rest > 0.0 {
                    rest.sqrt()
                } else {
                    return None;
                };
            }
        }
        Some(factor)
    }

    /// A solver of `H x = b`, damped; `None` when the inputs are not finite.
    pub(super) fn solver(&self) -> Option<Solver> {
        Some(Solver { lower: self.damped().cholesky()? })
    }

    /// The upper factor `U` of the inverse, `H^-1 = U^T U`.
    fn inverse_factor(&self) -> Option<Hessian> {
        let lower = self.cholesky()?;
        let width = self.width;
        // The inverse of the triangular factor, column by column, then the inverse of the whole.
        let mut inverse = Hessian::zeros(width);
        for col in 0..width {
            for row in col..width {
                let dot: f64 = (col..row).map(|k| lower.at(row, k) * inverse.at(k, col)).sum();
                let unit = if row == col { 1.0 } else { 0.0 };
                inverse.data[row * width + col] = (unit - dot) / lower.at(row, row);
            }
        }
        let mut whole = Hessian::zeros(width);
        for row in 0..width {
            for col in 0..width {
                let first = row.max(col);
                whole.data[row * width + col] = (first..width).map(|k| inverse.at(k, row) * inverse.at(k, col)).sum();
            }
        }
        let lower = whole.cholesky()?;
        let mut upper = Hessian::zeros(width);
        for row in 0..width {
            for col in row..width {
                upper.data[row * width + col] = lower.at(col, row);
            }
        }
        Some(upper)
    }
}

/// A solver by a Cholesky factor.
pub(super) struct Solver {
    lower: Hessian,
}

impl Solver {
    /// Solves `H x = b` for `x`.
    pub(super) fn solve(&self, mut x: Vec<f64>) -> Vec<f64> {
        let (lower, width) = (&self.lower, self.lower.width);
        for i in 0..width {
            let dot: f64 = (0..i).map(|k| lower.at(i, k) * x[k]).sum();
            x[i] = (x[i] - dot) / lower.at(i, i);
        }
        for i in (0..width).rev() {
            let dot: f64 = (i + 1..width).map(|k| lower.at(k, i) * x[k]).sum();
            x[i] = (x[i] - dot) / lower.at(i, i);
        }
        x
    }
}

/// Fraction of the diagonal's mean that is added to it, as in Frantar et al. 2022.
const DAMPING: f64 = 0.01;
/// Largest integer.
const LARGEST: f64 = 7.0;

/// Rounds a matrix to int4 so that `sum((w x - q x)^2)` over the inputs is small.
///
/// # Shapes
/// `weights: [rows, cols]`.
///
/// # Errors
/// When the inputs are not finite.
pub(super) fn quantize(rows: usize, cols: usize, weights: &[f32], hessian: &Hessian) -> Result<Int4> {
    ensure!(hessian.width == cols, "inputs of {} columns for a matrix of {cols}", hessian.width);
    let hessian = hessian.damped();
    let factor = hessian.inverse_factor();
    let Some(factor) = factor else { anyhow::bail!("its inputs are not finite; check the training run") };
    let groups = Int4::groups(cols);
    let weights: Vec<Vec<f64>> =
        weights.chunks_exact(cols.max(1)).map(|row| row.iter().map(|&w| w.into()).collect()).collect();
    let first: Vec<Vec<f64>> = weights.iter().map(|row| best_scales(row, &hessian, groups)).collect();
    let largest = first.iter().flatten().fold(0.0_f64, |max, &scale| max.max(scale));
    // Room for scales that become larger when they are fitted to the integers.
    let scale = (largest * ROOM / 255.0) as f32;
    let mut int4 = Int4 { rows, cols, integers: Vec::new(), group_scales: Vec::new(), scale };
    if !scale.is_normal() {
        int4.integers = vec![0; rows * cols];
        int4.group_scales = vec![0; rows * groups];
        int4.scale = 0.0;
        return Ok(int4);
    }
    let unit = f64::from(scale);
    for (row, scales) in weights.iter().zip(&first) {
        let mut best: Option<(f64, Vec<i8>, Vec<u8>)> = None;
        // The best scales for single columns are not the best for all columns together: larger and smaller ones are tried, too.
        for factor_of_scales in STARTS {
            let mut scales: Vec<u8> = scales.iter().map(|&scale| to_grid(scale * factor_of_scales, unit)).collect();
            for _ in 0..ROUNDS {
                let mut integers = round(row, &factor, &scales, unit);
                descend(row, &hessian, &scales, unit, &mut integers);
                let fitted = fit(row, &hessian, &integers, groups, unit).unwrap_or_else(|| scales.clone());
                for candidate in [&scales, &fitted] {
                    let error = hessian.error(&difference(row, &integers, candidate, unit));
                    if best.as_ref().is_none_or(|(least, ..)| error < *least) {
                        best = Some((error, integers.clone(), candidate.clone()));
                    }
                }
                if fitted == scales {
                    break;
                }
                scales = fitted;
            }
        }
        let (_, integers, scales) = best.unwrap_or_default();
        int4.integers.extend(integers);
        int4.group_scales.extend(scales);
    }
    Ok(int4)
}

/// Maximum factor by which a scale may exceed the first guess.
const ROOM: f64 = 1.1;
/// Factors of the first guess of the scales that are tried.
const STARTS: [f64; 4] = [1.0, 0.9, 0.8, 1.08];
/// Maximum number of times that integers and scales are fitted to each other.
const ROUNDS: usize = 6;

fn to_grid(scale: f64, unit: f64) -> u8 {
    (scale / unit).round().clamp(1.0, 255.0) as u8
}

fn to_integer(weight: f64, scale: f64) -> i8 {
    (weight / scale).round_ties_even().clamp(-LARGEST, LARGEST) as i8
}

/// The scale of each group with the least error of the group alone, each column weighted by its inputs.
fn best_scales(row: &[f64], hessian: &Hessian, groups: usize) -> Vec<f64> {
    let cols = row.len();
    let scales = (0..groups).map(|group| {
        let columns: Vec<usize> = (0..cols).filter(|&col| Int4::group(cols, col) == group).collect();
        let largest = columns.iter().fold(0.0_f64, |max, &col| max.max(row[col].abs()));
        let error = |scale: f64| -> f64 {
            let term = |&col: &usize| {
                let left = row[col] - f64::from(to_integer(row[col], scale)) * scale;
                left * left * hessian.at(col, col)
            };
            columns.iter().map(term).sum()
        };
        let mut best = (f64::INFINITY, 0.0);
        if largest > 0.0 {
            for step in 0..=60 {
                let scale = largest / LARGEST * (1.05 - 0.01 * f64::from(step));
                let error = error(scale);
                if error < best.0 {
                    best = (error, scale);
                }
            }
        }
        best.1
    });
    scales.collect()
}

/// Rounds column after column; the later columns compensate each one's error.
fn round(row: &[f64], factor: &Hessian, scales: &[u8], unit: f64) -> Vec<i8> {
    let cols = row.len();
    let mut row = row.to_vec();
    let mut integers = Vec::with_capacity(cols);
    for col in 0..cols {
        let scale = f64::from(scales[Int4::group(cols, col)]) * unit;
        let integer = to_integer(row[col], scale);
        let error = (row[col] - f64::from(integer) * scale) / factor.at(col, col);
        let later = factor.data.get(col * cols + col + 1..(col + 1) * cols).unwrap_or(&[]);
        row.iter_mut().skip(col + 1).zip(later).for_each(|(weight, factor)| *weight -= error * factor);
        integers.push(integer);
    }
    integers
}

/// Moves single integers by one as long as the error shrinks.
fn descend(row: &[f64], hessian: &Hessian, scales: &[u8], unit: f64, integers: &mut [i8]) {
    let cols = row.len();
    let left = difference(row, integers, scales, unit);
    let mut gradient: Vec<f64> =
        hessian.data.chunks_exact(cols.max(1)).map(|h| h.iter().zip(&left).map(|(h, e)| h * e).sum()).collect();
    for _ in 0..SWEEPS {
        let mut moved = false;
        for col in 0..cols {
            let scale = f64::from(scales[Int4::group(cols, col)]) * unit;
            let step = if gradient[col] > 0.0 { 1 } else { -1 };
            let moved_to = integers[col] + step;
            let change = f64::from(step) * scale;
            let gain = change * (2.0 * gradient[col] - change * hessian.at(col, col));
            if gain > 1e-12 * hessian.at(col, col) * scale * scale && f64::from(moved_to).abs() <= LARGEST {
                integers[col] = moved_to;
                let column = hessian.data.chunks_exact(cols).nth(col).unwrap_or(&[]);
                gradient.iter_mut().zip(column).for_each(|(g, h)| *g -= change * h);
                moved = true;
            }
        }
        if !moved {
            return;
        }
    }
}

/// Maximum number of passes over all columns.
const SWEEPS: usize = 20;

fn difference(row: &[f64], integers: &[i8], scales: &[u8], unit: f64) -> Vec<f64> {
    let cols = row.len();
    let value = |col: usize| f64::from(integers[col]) * f64::from(scales[Int4::group(cols, col)]) * unit;
    row.iter().enumerate().map(|(col, weight)| weight - value(col)).collect()
}

/// The scales with the least error for these integers, by least squares over all groups; `None` without a solution.
fn fit(row: &[f64], hessian: &Hessian, integers: &[i8], groups: usize, unit: f64) -> Option<Vec<u8>> {
    let cols = row.len();
    // (Q^T H Q) s = Q^T H w; Q holds the integers of each group in a column of its own.
    let mut normal = Hessian::zeros(groups);
    let mut right = vec![0.0; groups];
    for a in 0..cols {
        let integer = f64::from(integers[a]);
        let group = Int4::group(cols, a);
        for b in 0..cols {
            let h = integer * hessian.at(a, b);
            normal.data[group * groups + Int4::group(cols, b)] += h * f64::from(integers[b]);
            right[group] += h * row[b];
        }
    }
    // A group of zeros has no scale.
    for group in 0..groups {
        if normal.at(group, group) <= 0.0 {
            normal.data[group * groups + group] = 1.0;
        }
    }
    let solution = Solver { lower: normal.cholesky()? }.solve(right);
    Some(solution.into_iter().map(|scale| to_grid(scale, unit)).collect())
}
