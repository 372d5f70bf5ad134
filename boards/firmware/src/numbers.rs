//! Decimal numbers that arrive byte by byte.

/// Reads numbers that are separated by anything else: `-12.5, 3\n`.
#[derive(Default)]
pub(crate) struct Numbers {
    value: f32,
    /// Of the digit after the point, where there is a point.
    place: Option<f32>,
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
                match &mut self.place {
                    None => self.value = self.value * 10.0 + digit,
                    Some(place) => {
                        self.value += digit * *place;
                        *place /= 10.0;
                    }
                }
                None
            }
            b'.' => {
                self.place = Some(0.1);
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
        let Numbers { value, negative, some, .. } = core::mem::take(self);
        some.then_some(if negative { -value } else { value })
    }
}
