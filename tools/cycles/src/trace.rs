//! Reader of the plugin's output.
//!
//! ```text
//! i part address opcode count accesses ─┐
//! e part from to count ─────────────────┴─► Trace: instructions and jumps of each part, by address
//! ```

use crate::error::Error;
use std::collections::BTreeMap;

/// First line of a file that this version reads.
const HEADER: &str = "thumbformer-cycles 1";

/// An executed instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Executed {
    /// Halfwords of the instruction; of two, the first is the upper one.
    pub code: u32,
    /// Size in bytes.
    pub size: u32,
    /// Number of executions; under an IT those whose condition failed included.
    pub count: u64,
    /// Number of data accesses, where they were counted: under an IT.
    pub accesses: Option<u64>,
}

/// Executed instructions of one part of a program.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Part {
    /// Executed instructions by address.
    pub instructions: BTreeMap<u32, Executed>,
    /// Number of jumps from one address to another that does not follow it.
    pub jumps: BTreeMap<(u32, u32), u64>,
}

impl Part {
    /// Total number of executed instructions.
    pub fn count(&self) -> u64 {
        self.instructions.values().map(|executed| executed.count).sum()
    }

    /// Adds the counts of another part.
    pub fn add(&mut self, other: &Part) {
        for (address, executed) in &other.instructions {
            let sum = self.instructions.entry(*address).or_insert(Executed { count: 0, accesses: None, ..*executed });
            sum.count += executed.count;
            if let Some(accesses) = executed.accesses {
                *sum.accesses.get_or_insert(0) += accesses;
            }
        }
        for (jump, count) in &other.jumps {
            *self.jumps.entry(*jump).or_insert(0) += count;
        }
    }
}

/// All parts, by the numbers of their marks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    /// The parts.
    pub parts: BTreeMap<u32, Part>,
}

impl Trace {
    /// Reads the plugin's text.
    ///
    /// # Errors
    /// With the first invalid line.
    pub fn parse(text: &str) -> Result<Trace, Error> {
        let mut lines = text.lines().enumerate();
        if lines.next().is_none_or(|(_, line)| line != HEADER) {
            return Err(Error::Header { expected: HEADER, found: text.lines().next().unwrap_or("").into() });
        }
        let mut trace = Trace::default();
        for (number, line) in lines {
            trace.line(line).ok_or_else(|| Error::Line { number: number + 1, line: line.into() })?;
        }
        Ok(trace)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let hexadecimal = |word: &str| u32::from_str_radix(word, 16).ok();
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["i", part, address, code, count, accesses] => {
                let accesses = if accesses == "-" { None } else { Some(accesses.parse().ok()?) };
                let size = code.len() as u32 / 2;
                let executed = Executed { code: hexadecimal(code)?, size, count: count.parse().ok()?, accesses };
                let part = self.parts.entry(part.parse().ok()?).or_default();
                part.instructions.insert(hexadecimal(address)?, executed);
            }
            ["e", part, from, to, count] => {
                let part = self.parts.entry(part.parse().ok()?).or_default();
                part.jumps.insert((hexadecimal(from)?, hexadecimal(to)?), count.parse().ok()?);
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Executed, Trace};

    #[test]
    fn lines_are_read_and_others_refused_by_their_number() {
        let text = "thumbformer-cycles 1\ni 1 00000100 bf08 2 -\ni 1 00000102 f8d00000 2 1\ne 2 00000102 00000100 7\n";
        let trace = Trace::parse(text).expect("a sound text");
        let load = Executed { code: 0xf8d0_0000, size: 4, count: 2, accesses: Some(1) };
        assert_eq!(trace.parts[&1].instructions[&0x102], load);
        assert_eq!(trace.parts[&2].jumps[&(0x102, 0x100)], 7);
        for (bad, message) in [("thumbformer-cycles 2\n", "first line"), ("thumbformer-cycles 1\ni 1 x\n", "line 2")] {
            let error = Trace::parse(bad).expect_err(bad).to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
