//! Decimal numbers that arrive byte by byte.

/// Reads numbers that are separated by anything else: `-12.5, 3\n`.
#[derive(Default)]
pub(crate) struct Numbers {
    /// All digits as one integer.
    value: f32,
    /// Power of ten that it is divided by, where there is a point: the nearest number, as other parsers have it, for up to seven digits.
    scale: Option<f32>,
    negative: bool,
    /// True if a digit was seen.
    some: bool,
}

impl Numbers {
    /// Takes a byte; a number when this one ends it.
    pub(crate) fn push(&mut self, byte: u8) -> Option<f32> {
        match byte {
            b'0'..=b'9' => {
                let digit = f32::from(byte - b'0');
                self.some = true;
                self.value = self.value * 10.0 + digit;
                if let Some(scale) = &mut self.scale {
                    *scale *= 10.0;
                }
                None
            }
            b'.' => {
                self.scale = Some(1.0);
                None
            }
            b'-' => {
                self.negative = true;
                None
            }
            _ => self.end(),
        }
    }

    fn end(&mut self) -> Option<f32> {
        let Numbers { value, scale, negative, some } = core::mem::take(self);
        let value = scale.map_or(value, |scale| value / scale);
        some.then_some(if negative { -value } else { value })
    }
}
