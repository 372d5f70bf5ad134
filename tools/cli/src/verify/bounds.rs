//! Metrics with their bounds, as they are printed.

use std::fmt;

/// A metric with its bound.
pub struct Line {
    /// Name of the metric.
    pub name: &'static str,
    /// The measured value and its bound.
    pub text: String,
    /// True if the value is within its bound.
    pub ok: bool,
}

impl Line {
    /// A fraction that must not be smaller than its bound. NaN is within no bound, as everywhere here.
    pub fn at_least(name: &'static str, value: f64, bound: f64) -> Line {
        let text = format!("{:.2} %, at least {:.2} %", 100.0 * value, 100.0 * bound);
        Line { name, text, ok: value >= bound }
    }

    /// A ratio of signal to noise.
    pub fn decibels(name: &'static str, value: f64, bound: f64) -> Line {
        Line { name, text: format!("{value:.2} dB, at least {bound:.2} dB"), ok: value >= bound }
    }

    /// A mean KL divergence.
    pub fn divergence(value: f64, bound: f64) -> Line {
        let text = format!("{value:.5} nats, at most {bound:.5}");
        Line { name: "mean KL divergence", text, ok: value <= bound }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<20} {:<4} {}", self.name, if self.ok { "ok" } else { "FAIL" }, self.text)
    }
}
