//! Probabilities of a classifier's outputs.

use crate::options::Outputs;

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

/// Turns outputs into probabilities, in place, by what they mean: those of classes and of labels; numbers stay as they are. Returns false for
/// numbers.
///
/// # Shapes
/// `outputs: [n_outputs]`.
pub fn probabilities(outputs: &mut [f32], meaning: Outputs) -> bool {
    match meaning {
        Outputs::Classes => softmax(outputs),
        Outputs::Labels => sigmoid(outputs),
        Outputs::Numbers => return false,
    }
    true
}

/// Turns outputs into the probabilities of labels, any number of which are right, in place: `1 / (1 + e^-x)`.
///
/// # Shapes
/// `outputs: [n_outputs]`.
pub fn sigmoid(outputs: &mut [f32]) {
    outputs.iter_mut().for_each(|output| *output = 1.0 / (1.0 + libm::expf(-*output)));
}

#[cfg(test)]
mod tests {
    use super::{sigmoid, softmax};

    #[test]
    fn each_label_has_a_probability_of_its_own() {
        let mut outputs = [0.0, libm::logf(3.0), -200.0, 200.0];
        sigmoid(&mut outputs);
        let expected = [0.5, 0.75, 0.0, 1.0];
        assert!(outputs.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{outputs:?}");
    }

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
