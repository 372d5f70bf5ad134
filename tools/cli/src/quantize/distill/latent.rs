//! An int4 matrix in training: floats that are rounded in every step, and the scales of their groups.
//!
//! ```text
//! weights ─► / scale ─► round, -7..=7 ─► * scale ─► weights of the network
//!     ▲                      │ the gradient ignores the rounding (straight-through: Bengio et al. 2013)
//!     └── Adam ◄─────────────┴──► gradient of the scale: the rounding error (LSQ: Esser et al. 2020)
//! ```

use thumbformer::image::Int4;

/// A matrix in training.
pub(super) struct Latent {
    rows: usize,
    cols: usize,
    groups: usize,
    /// `[rows, cols]`.
    weights: Vec<f32>,
    /// Logarithms of the groups' scales: `[rows, groups]`.
    scales: Vec<f32>,
    /// Unit of the scales' bytes.
    unit: f32,
    /// Mean of the scales, the size of one integer: the unit of the weights' steps.
    step: f32,
    weight_moments: Moments,
    scale_moments: Moments,
}

/// Current value of one weight.
struct Value {
    integer: f32,
    scale: f32,
    /// Derivatives of the weight by the float behind it and by the logarithm of its scale.
    slopes: (f32, f32),
}

impl Latent {
    /// A matrix with the float weights and the scales of a rounded matrix.
    pub(super) fn new(weights: &[f32], rounded: &Int4) -> Latent {
        let groups = Int4::groups(rounded.cols);
        let scale = |&byte: &u8| f32::from(byte.max(1)) * rounded.scale.max(f32::MIN_POSITIVE);
        let scales: Vec<f32> = rounded.group_scales.iter().map(scale).collect();
        Latent {
            rows: rounded.rows,
            cols: rounded.cols,
            groups,
            weights: weights.to_vec(),
            step: scales.iter().sum::<f32>() / scales.len().max(1) as f32,
            scales: scales.into_iter().map(libm::logf).collect(),
            unit: rounded.scale,
            weight_moments: Moments::new(weights.len()),
            scale_moments: Moments::new(rounded.group_scales.len()),
        }
    }

    fn group(&self, index: usize) -> usize {
        index / self.cols * self.groups + Int4::group(self.cols, index % self.cols)
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |scale: &f32| (libm::expf(*scale) / self.unit).round_ties_even().clamp(1.0, 255.0) as u8;
        self.scales.iter().map(byte).collect()
    }

    fn values(&self) -> impl Iterator<Item = Value> {
        let scales: Vec<f32> = self.bytes().into_iter().map(|byte| f32::from(byte) * self.unit).collect();
        self.weights.iter().enumerate().map(move |(index, weight)| {
            let scale = scales[self.group(index)];
            let exact = weight / scale;
            let integer = exact.round_ties_even().clamp(-LARGEST, LARGEST);
            // A weight beyond the largest integer depends on its scale alone.
            let slopes = if exact.abs() <= LARGEST { (1.0, (integer - exact) * scale) } else { (0.0, integer * scale) };
            Value { integer, scale, slopes }
        })
    }

    /// The rounded weights, as the image will have them: `[rows, cols]`.
    pub(super) fn rounded(&self) -> Vec<f32> {
        self.values().map(|value| value.integer * value.scale).collect()
    }

    /// The matrix as an image stores it.
    pub(super) fn int4(&self) -> Int4 {
        let integers = self.values().map(|value| value.integer as i8).collect();
        Int4 { rows: self.rows, cols: self.cols, integers, group_scales: self.bytes(), scale: self.unit }
    }

    /// A step against the gradient of the rounded weights.
    pub(super) fn step(&mut self, gradient: &[f32], step: usize, rate: f32) {
        let mut of_weights = vec![0.0; self.weights.len()];
        let mut of_scales = vec![0.0; self.scales.len()];
        for (index, value) in self.values().enumerate() {
            of_weights[index] = gradient[index] * value.slopes.0;
            of_scales[self.group(index)] += gradient[index] * value.slopes.1;
        }
        self.weight_moments.step(&mut self.weights, &of_weights, step, rate * self.step * WEIGHT_RATE);
        self.scale_moments.step(&mut self.scales, &of_scales, step, rate * SCALE_RATE);
    }
}

/// Largest integer.
const LARGEST: f32 = 7.0;
/// Learning rate of the weights at the start, in integers.
const WEIGHT_RATE: f32 = 0.01;
/// Learning rate of the logarithms of the scales.
const SCALE_RATE: f32 = 0.001;

/// Moments of the gradients in Adam (Kingma and Ba 2014, algorithm 1).
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Moments {
    fn new(count: usize) -> Moments {
        Moments { first: vec![0.0; count], second: vec![0.0; count] }
    }

    /// Step number `step`, counted from 0.
    fn step(&mut self, values: &mut [f32], gradient: &[f32], step: usize, rate: f32) {
        const BETAS: (f32, f32) = (0.9, 0.95);
        let corrections = (1.0 - libm::powf(BETAS.0, step as f32 + 1.0), 1.0 - libm::powf(BETAS.1, step as f32 + 1.0));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, gradient), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            *first += (1.0 - BETAS.0) * (gradient - *first);
            *second += (1.0 - BETAS.1) * (gradient * gradient - *second);
            *value -= rate * (*first / corrections.0) / ((*second / corrections.1).sqrt() + 1e-8);
        }
    }
}
