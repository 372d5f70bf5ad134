//! A result as a line of JSON, put together without the machinery of `core::fmt`.

use heapless::String;

/// A line of JSON under construction, at most 320 bytes: what does not fit is left out, and the line is none any more.
pub struct Line(String<320>);

impl Line {
    /// `{"app":"…"`.
    pub fn new(application: &str) -> Line {
        Line(String::new()).raw("{\"app\":\"").raw(application).raw("\"")
    }

    fn raw(mut self, text: &str) -> Line {
        let _ = self.0.push_str(text);
        self
    }

    fn key(self, key: &str) -> Line {
        self.raw(",\"").raw(key).raw("\":")
    }

    /// A text; quotes and what is not printable are left out.
    pub fn text(self, key: &str, value: &str) -> Line {
        let mut line = self.key(key).raw("\"");
        for letter in value.chars().filter(|letter| *letter != '"' && *letter != '\\' && !letter.is_control()) {
            let _ = line.0.push(letter);
        }
        line.raw("\"")
    }

    /// A number.
    pub fn number(self, key: &str, mut value: u64) -> Line {
        let mut digits = [0; 20];
        let mut count = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
            count += 1;
            if value == 0 {
                break;
            }
        }
        let text = digits.get(digits.len() - count..).and_then(|digits| core::str::from_utf8(digits).ok());
        self.key(key).raw(text.unwrap_or("0"))
    }

    /// A CRC, as eight hexadecimal digits.
    pub fn hex(self, key: &str, value: u32) -> Line {
        let digit =
            |index: usize| b"0123456789abcdef".get((value >> (28 - 4 * index)) as usize & 15).copied().unwrap_or(b'?');
        let digits: [u8; 8] = core::array::from_fn(digit);
        self.key(key).raw("\"").raw(core::str::from_utf8(&digits).unwrap_or("")).raw("\"")
    }

    /// Yes or no.
    pub fn flag(self, key: &str, value: bool) -> Line {
        self.key(key).raw(if value { "true" } else { "false" })
    }

    /// Count; nothing where nothing counts.
    pub fn count(self, key: &str, count: Option<u64>) -> Line {
        match count {
            Some(count) => self.number(key, count),
            None => self,
        }
    }

    /// A number of hundredths, with its two decimals; nothing where there is none.
    pub fn hundredths(self, key: &str, hundredths: Option<u32>) -> Line {
        let Some(hundredths) = hundredths else { return self };
        let digit =
            |digit: u32| ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"].get(digit as usize).copied().unwrap_or("");
        let line = self.number(key, u64::from(hundredths / 100)).raw(".");
        line.raw(digit(hundredths / 10 % 10)).raw(digit(hundredths % 10))
    }

    /// The end of the line.
    pub fn end(self) -> Line {
        self.raw("}")
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
