//! CRC-32 of logits: the on-target check that a chip computes what the host computed.

use crate::image::CRC;

/// The CRC-32 of each step's logits and of all steps so far.
#[derive(Clone, Default)]
pub struct LogitsCrc {
    total: u32,
    steps: u32,
}

impl LogitsCrc {
    /// Nothing so far.
    pub const fn new() -> Self {
        LogitsCrc { total: 0, steps: 0 }
    }

    /// The CRC-32 of one step's logits, as little-endian bytes.
    pub fn update(&mut self, logits: &[f32]) -> u32 {
        let mut digest = CRC.digest();
        for logit in logits {
            digest.update(&logit.to_le_bytes());
        }
        let step = digest.finalize();
        // The CRC of the sequence of CRCs.
        let mut digest = CRC.digest();
        digest.update(&self.total.to_le_bytes());
        digest.update(&step.to_le_bytes());
        self.total = digest.finalize();
        self.steps += 1;
        step
    }

    /// One number for all steps so far: each step's CRC-32 chained to the total before it.
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// Number of steps so far.
    pub const fn steps(&self) -> u32 {
        self.steps
    }
}
