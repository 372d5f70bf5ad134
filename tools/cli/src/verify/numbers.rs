//! Errors of outputs that are numbers: a regression, a reconstruction, values of actions.

use super::bounds::Line;
use serde::Serialize;

/// Errors of an image's outputs that are numbers, against the float model's.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Errors {
    /// Mean magnitude.
    pub mean: f64,
    /// Largest magnitude.
    pub largest: f64,
    /// Root of the mean square over the standard deviation of the float model's output, of the worst output; `None` where no output
    /// changes from one answer to another.
    pub of_spread: Option<f64>,
}

impl Errors {
    /// The error against the spread, with the bound that a ratio of signal to noise puts on it: an offset that all answers have is no
    /// signal.
    pub(super) fn line(&self, decibels: f64) -> Option<Line> {
        let (found, bound) = (self.of_spread?, 10_f64.powf(-decibels / 20.0));
        let text = format!(
            "{:.2} % of their spread, at most {:.2} %; mean {:.3e}, largest {:.3e}",
            100.0 * found,
            100.0 * bound,
            self.mean,
            self.largest
        );
        Some(Line { name: "error of the outputs", text, ok: found <= bound })
    }
}

/// Sums over the values of one output.
#[derive(Clone, Copy, Default)]
struct Spread {
    sum: f64,
    squares: f64,
    noise: f64,
}

/// Sums over answers.
#[derive(Clone, Default)]
pub(super) struct Numbers {
    answers: usize,
    /// Of each output.
    spread: Vec<Spread>,
    error: f64,
    largest: f64,
}

impl Numbers {
    /// Adds an answer.
    ///
    /// # Shapes
    /// Both `[n_outputs]`.
    pub(super) fn add(&mut self, expected: &[f64], found: &[f64]) {
        self.answers += 1;
        self.spread.resize(expected.len(), Spread::default());
        for (spread, (expected, found)) in self.spread.iter_mut().zip(expected.iter().zip(found)) {
            let error = (found - expected).abs();
            spread.sum += expected;
            spread.squares += expected * expected;
            spread.noise += error * error;
            self.error += error;
            self.largest = self.largest.max(error);
        }
    }

    /// Adds the sums of others.
    pub(super) fn merge(&mut self, other: &Numbers) {
        self.spread.resize(self.spread.len().max(other.spread.len()), Spread::default());
        for (sum, other) in self.spread.iter_mut().zip(&other.spread) {
            sum.sum += other.sum;
            sum.squares += other.squares;
            sum.noise += other.noise;
        }
        self.answers += other.answers;
        self.error += other.error;
        self.largest = self.largest.max(other.largest);
    }

    /// The errors, if there are answers.
    pub(super) fn errors(&self) -> Option<Errors> {
        let count = self.answers as f64;
        let of_spread = |spread: &Spread| {
            let (mean, power) = (spread.sum / count, spread.squares / count);
            let variance = power - mean * mean;
            // Less than this is rounding of the sums.
            (variance > 1e-12 * power).then(|| (spread.noise / count / variance).sqrt())
        };
        let values = count * self.spread.len() as f64;
        (values > 0.0).then(|| Errors {
            mean: self.error / values,
            largest: self.largest,
            of_spread: self.spread.iter().filter_map(of_spread).reduce(f64::max),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    #[test]
    fn an_offset_that_all_answers_have_is_no_signal() {
        let (mut near, mut far) = (Numbers::default(), Numbers::default());
        for answer in 0..10 {
            let value = f64::from(answer % 2);
            // An error of a tenth of the spread, which is half.
            near.add(&[value, 7.0], &[value + 0.05, 7.0]);
            far.add(&[value + 1000.0, 7.0], &[value + 1000.05, 7.0]);
        }
        for numbers in [near, far] {
            let errors = numbers.errors().expect("answers");
            let found = errors.of_spread.expect("the first output changes");
            assert!((found - 0.1).abs() < 1e-6 && (errors.mean - 0.025).abs() < 1e-9, "{errors:?}");
            assert!((errors.largest - 0.05).abs() < 1e-9, "{errors:?}");
            assert!(!errors.line(28.0).expect("a spread").ok && errors.line(19.0).expect("a spread").ok);
        }
        let mut one = Numbers::default();
        one.add(&[3.0], &[3.5]);
        assert!(one.errors().expect("an answer").of_spread.is_none(), "a single answer has no spread");
    }
}
