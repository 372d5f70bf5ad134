//! Calibrated rounding loses less than plain rounding, on inputs that it was not calibrated with, and stays on its grid.

use super::matrix::{Hessian, quantize};
use thumbformer::image::Int4;

/// Pseudorandom numbers, the same in every run (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn float(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f64 / 8_388_608.0 - 1.0
    }

    /// Inputs with correlated columns, like those of a network.
    fn inputs(&mut self, count: usize, mix: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let one = |random: &mut Random| {
            let hidden: Vec<f64> = (0..mix[0].len()).map(|_| random.float()).collect();
            let dot = |row: &Vec<f64>| row.iter().zip(&hidden).map(|(a, b)| a * b).sum::<f64>();
            mix.iter().map(dot).map(|x| x + 0.1 * random.float()).collect()
        };
        (0..count).map(|_| one(self)).collect()
    }
}

/// Mean square of the outputs' error.
fn loss(weights: &[f32], int4: &Int4, inputs: &[Vec<f64>]) -> f64 {
    let (cols, groups) = (int4.cols, Int4::groups(int4.cols));
    let error = |row: usize, x: &[f64]| {
        let terms = x.iter().enumerate().map(|(col, x)| {
            let scale = f64::from(int4.group_scales[row * groups + Int4::group(cols, col)]) * f64::from(int4.scale);
            (f64::from(weights[row * cols + col]) - f64::from(int4.integers[row * cols + col]) * scale) * x
        });
        terms.sum::<f64>().powi(2)
    };
    inputs.iter().map(|x| (0..int4.rows).map(|row| error(row, x)).sum::<f64>()).sum::<f64>() / inputs.len() as f64
}

#[test]
fn calibrated_rounding_loses_less_on_inputs_that_it_never_saw() {
    let mut random = Random(7);
    for (rows, cols) in [(16, 64), (8, 48), (5, 176)] {
        let mix: Vec<Vec<f64>> = (0..cols).map(|_| (0..cols / 3).map(|_| random.float()).collect()).collect();
        let weights: Vec<f32> = (0..rows * cols).map(|_| random.float() as f32).collect();
        let (seen, unseen) = (random.inputs(600, &mix), random.inputs(300, &mix));
        let mut hessian = Hessian::zeros(cols);
        seen.iter().for_each(|x| hessian.add(x));
        let calibrated = quantize(rows, cols, &weights, &hessian).expect("calibrated");
        let plain = quantize(rows, cols, &weights, &Hessian::identity(cols)).expect("plain");
        let (calibrated, plain) = (loss(&weights, &calibrated, &unseen), loss(&weights, &plain, &unseen));
        assert!(calibrated < 0.6 * plain, "{rows}x{cols}: {calibrated} against {plain}");
    }
}

#[test]
fn integers_and_scales_stay_on_their_grid_whatever_the_weights() {
    let mut random = Random(3);
    for case in 0..40 {
        let (rows, cols) = (1 + case % 5, 1 + 7 * case % 90);
        let mut weights: Vec<f32> = (0..rows * cols).map(|_| random.float() as f32).collect();
        match case % 4 {
            0 => weights.fill(0.0),
            1 => weights.iter_mut().step_by(7).for_each(|w| *w *= 1e4),
            2 => weights.iter_mut().take(cols).for_each(|w| *w = 0.0),
            _ => {}
        }
        let mut hessian = Hessian::zeros(cols);
        // Fewer inputs than columns: nothing is known about most directions.
        (0..case % 3).for_each(|_| hessian.add(&(0..cols).map(|_| random.float()).collect::<Vec<f64>>()));
        let int4 = quantize(rows, cols, &weights, &hessian).expect("quantized");
        assert!(int4.integers.len() == rows * cols && int4.integers.iter().all(|n| (-7..=7).contains(n)));
        assert_eq!(int4.group_scales.len(), rows * Int4::groups(cols));
        assert!(int4.scale == 0.0 || int4.scale.is_normal());
        assert_eq!(int4, quantize(rows, cols, &weights, &hessian).expect("quantized"), "the same in every run");
    }
}

#[test]
fn inputs_that_are_not_finite_or_of_another_width_are_refused() {
    let mut hessian = Hessian::zeros(4);
    hessian.add(&[1.0, f64::NAN, 2.0, 3.0]);
    assert!(quantize(1, 4, &[1.0; 4], &hessian).is_err());
    assert!(quantize(1, 5, &[1.0; 5], &Hessian::identity(4)).is_err());
}
