//! Softmax of a classifier's outputs.

/// Turns outputs into probabilities, in place: `e^x / sum(e^x)` (Bridle 1990).
///
/// # Shapes
/// `outputs: [n_outputs]`; an empty slice stays empty.
pub fn softmax(outputs: &mut [f32]) {
    let max = outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // Once per sequence: `libm`, the same software on every core, is fast enough.
    outputs.iter_mut().for_each(|output| *output = libm::expf(*output - max));
    let sum: f32 = outputs.iter().sum();
    outputs.iter_mut().for_each(|output| *output /= sum);
}

#[cfg(test)]
mod tests {
    use super::softmax;

    #[test]
    fn probabilities_sum_to_one_and_keep_the_order() {
        for mut outputs in [[1.0, 3.0, 2.0], [-1e30, 1e30, 0.0], [88.0, 90.0, 89.0]] {
            softmax(&mut outputs);
            assert!((outputs.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{outputs:?}");
            assert!(outputs[1] > outputs[2] && outputs[2] >= 0.0, "{outputs:?}");
        }
        let mut two = [0.0, libm::logf(3.0)];
        softmax(&mut two);
        assert!((two[0] - 0.25).abs() < 1e-6 && (two[1] - 0.75).abs() < 1e-6, "{two:?}");
        softmax(&mut []);
    }
}
