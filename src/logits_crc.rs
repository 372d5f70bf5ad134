//! CRC-32 of logits: shows on the target that a chip computes the same bits as the host.

use crate::image::CRC;

/// The CRC-32 of each step's logits and of all steps so far.
#[derive(Clone, Default)]
pub struct LogitsCrc {
    total: u32,
    steps: u32,
}

impl LogitsCrc {
    /// A CRC before the first step.
    pub const fn new() -> Self {
        LogitsCrc { total: 0, steps: 0 }
    }

    /// Adds one step; returns the CRC-32 of its logits as little-endian bytes.
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

    /// CRC-32 of all steps so far: each step's CRC-32 is chained to the total before it.
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// Number of steps so far.
    pub const fn steps(&self) -> u32 {
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::LogitsCrc;

    #[test]
    fn a_step_s_crc_is_that_of_its_logits_as_little_endian_bytes() {
        // python3 -c "import struct, zlib; print(hex(zlib.crc32(struct.pack('<2f', 1.5, -2.0))))"
        assert_eq!(LogitsCrc::new().update(&[1.5, -2.0]), 0xccdf_2c3a);
    }

    #[test]
    fn the_total_depends_on_every_step_and_their_order() {
        let total = |steps: &[f32]| {
            let mut crc = LogitsCrc::new();
            steps.iter().for_each(|&logit| _ = crc.update(&[logit]));
            (crc.total(), crc.steps())
        };
        let totals =
            [total(&[1.0, 2.0]), total(&[2.0, 1.0]), total(&[2.0]), total(&[1.0, 2.0, 2.0]), total(&[3.0, 2.0])];
        for (index, one) in totals.iter().enumerate() {
            assert!(totals[index + 1..].iter().all(|other| one.0 != other.0), "{totals:?}");
        }
        assert_eq!(totals.map(|(_, steps)| steps), [2, 2, 1, 3, 2]);
    }
}
