//! Counts of executed instructions, by translation block, until they are written.
//!
//! ```text
//! block translated ──► Block: addresses and opcodes, once
//! block executed   ──► its count + 1; if the block before did not fall through to it, that one's edge + 1
//! marked address   ──► all counts since the last mark become those of the mark's part
//! end              ──► counts of blocks summed by instruction ──► text
//! ```
//!
//! A block may be translated several times, whole or in part; an instruction's count is the sum over all blocks that contain it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

/// First line of the output.
const HEADER: &str = "thumbformer-cycles 1";

/// The part whose counts are discarded.
const NOTHING: usize = 0;

/// An instruction of a block.
pub struct Instruction {
    /// Address of the instruction.
    pub address: u32,
    /// Halfwords of the instruction; of two, the first is the upper one.
    pub code: u32,
    /// Size in bytes.
    pub size: u32,
}

/// Counts since the last mark, and counts of the parts.
#[derive(Default)]
struct Counts {
    now: u64,
    by_part: Vec<u64>,
}

impl Counts {
    fn give(&mut self, part: usize) {
        let count = std::mem::take(&mut self.now);
        if part != NOTHING && count > 0 {
            if self.by_part.len() <= part {
                self.by_part.resize(part + 1, 0);
            }
            self.by_part[part] += count;
        }
    }
}

struct Block {
    instructions: Vec<Instruction>,
    counts: Counts,
    /// Jumps from its end: target and count.
    edges: Vec<(u32, Counts)>,
    /// Data accesses of the instructions for which they are counted.
    accesses: BTreeMap<usize, Counts>,
}

impl Block {
    fn start(&self) -> u32 {
        self.instructions.first().map_or(0, |first| first.address)
    }

    fn end(&self) -> u32 {
        self.instructions.last().map_or(0, |last| last.address + last.size)
    }
}

/// All counts.
#[derive(Default)]
pub struct Record {
    /// Part by address.
    marks: HashMap<u32, usize>,
    blocks: Vec<Block>,
    by_start: HashMap<u32, Vec<usize>>,
    /// Blocks that were executed since the last mark.
    touched: Vec<usize>,
    last: Option<usize>,
}

impl Record {
    /// An empty record. The counts of a part are those from the previous mark up to the part's address; part 0 is discarded.
    /// Without marks everything is part 1.
    pub fn new(marks: HashMap<u32, usize>) -> Record {
        Record { marks, ..Record::default() }
    }

    /// Index of a block with these instructions; data accesses are counted for those in `counted`.
    pub fn block(&mut self, instructions: Vec<Instruction>, counted: &[usize]) -> usize {
        let start = instructions.first().map_or(0, |first| first.address);
        let same = |&&index: &&usize| {
            let known = &self.blocks[index].instructions;
            known.len() == instructions.len() && known.iter().zip(&instructions).all(|(a, b)| a.code == b.code)
        };
        let known = self.by_start.entry(start).or_default();
        if let Some(&index) = known.iter().find(same) {
            return index;
        }
        let index = self.blocks.len();
        known.push(index);
        let accesses = counted.iter().map(|&instruction| (instruction, Counts::default())).collect();
        self.blocks.push(Block { instructions, counts: Counts::default(), edges: Vec::new(), accesses });
        index
    }

    /// Counts a block that is about to be executed.
    pub fn execute(&mut self, index: usize) {
        let start = self.blocks[index].start();
        if let Some(last) = self.last.replace(index) {
            let last = &mut self.blocks[last];
            if last.end() != start {
                let position = last.edges.iter().position(|(to, _)| *to == start).unwrap_or_else(|| {
                    last.edges.push((start, Counts::default()));
                    last.edges.len() - 1
                });
                last.edges[position].1.now += 1;
                // The next search most likely looks for this one again.
                last.edges.swap(0, position);
            }
        }
        if let Some(&part) = self.marks.get(&start) {
            self.give(part);
        }
        let block = &mut self.blocks[index];
        if block.counts.now == 0 {
            self.touched.push(index);
        }
        block.counts.now += 1;
    }

    /// Counts a data access of an instruction in a block.
    pub fn access(&mut self, index: usize, instruction: usize) {
        if let Some(counts) = self.blocks[index].accesses.get_mut(&instruction) {
            counts.now += 1;
        }
    }

    fn give(&mut self, part: usize) {
        for index in self.touched.drain(..) {
            let block = &mut self.blocks[index];
            block.counts.give(part);
            block.edges.iter_mut().for_each(|(_, counts)| counts.give(part));
            block.accesses.values_mut().for_each(|counts| counts.give(part));
        }
    }

    /// All counts as text: `i part address opcode count accesses` and `e part from to count`. Addresses and opcodes are
    /// hexadecimal, parts and counts decimal; accesses are `-` where they were not counted.
    pub fn text(&mut self) -> String {
        self.give(if self.marks.is_empty() { 1 } else { NOTHING });
        let mut instructions = BTreeMap::new();
        let mut edges = BTreeMap::new();
        for block in &self.blocks {
            for (part, &count) in block.counts.by_part.iter().enumerate().filter(|(_, count)| **count > 0) {
                for (index, Instruction { address, code, size }) in block.instructions.iter().enumerate() {
                    let entry = instructions.entry((part, *address)).or_insert((*code, *size, 0, None));
                    entry.2 += count;
                    if let Some(accesses) = block.accesses.get(&index) {
                        *entry.3.get_or_insert(0) += accesses.by_part.get(part).unwrap_or(&0);
                    }
                }
            }
            let from = block.instructions.last().map_or(0, |last| last.address);
            for (to, counts) in &block.edges {
                for (part, &count) in counts.by_part.iter().enumerate().filter(|(_, count)| **count > 0) {
                    *edges.entry((part, from, *to)).or_insert(0) += count;
                }
            }
        }
        let mut text = format!("{HEADER}\n");
        for ((part, address), (code, size, count, accesses)) in instructions {
            let digits = 2 * size as usize;
            let accesses: String = accesses.map_or("-".into(), |accesses: u64| accesses.to_string());
            // Writing to a string does not fail.
            let _ = writeln!(text, "i {part} {address:08x} {code:0digits$x} {count} {accesses}");
        }
        for ((part, from, to), count) in edges {
            let _ = writeln!(text, "e {part} {from:08x} {to:08x} {count}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Instruction, Record};
    use std::collections::HashMap;

    fn block(record: &mut Record, start: u32, codes: &[u32]) -> usize {
        let instruction =
            |(index, &code): (usize, &u32)| Instruction { address: start + 2 * index as u32, code, size: 2 };
        record.block(codes.iter().enumerate().map(instruction).collect(), &[])
    }

    #[test]
    fn cut_blocks_add_up_and_only_jumps_are_edges() {
        let mut record = Record::new(HashMap::new());
        let whole = block(&mut record, 0x100, &[0xbf00, 0xd0fd]);
        let head = block(&mut record, 0x100, &[0xbf00]);
        let tail = block(&mut record, 0x102, &[0xd0fd]);
        for executed in [whole, whole, head, tail, whole] {
            record.execute(executed);
        }
        assert_eq!(
            record.text(),
            "thumbformer-cycles 1\ni 1 00000100 bf00 4 -\ni 1 00000102 d0fd 4 -\ne 1 00000102 00000100 3\n"
        );
    }

    #[test]
    fn a_mark_names_what_was_executed_before_it() {
        let mut record = Record::new(HashMap::from([(0x200, 0), (0x300, 2)]));
        let [before, start, inside, stop] = [(0x100, 0xbf00), (0x200, 0x4770), (0x400, 0x4770), (0x300, 0x4770)]
            .map(|(address, code)| block(&mut record, address, &[code]));
        for executed in [before, start, inside, inside, stop, before] {
            record.execute(executed);
        }
        // The edge to the mark belongs to the part before it, the edge from it to the part after it.
        assert_eq!(
            record.text(),
            "thumbformer-cycles 1\ni 2 00000200 4770 1 -\ni 2 00000400 4770 2 -\n\
             e 2 00000200 00000400 1\ne 2 00000400 00000300 1\ne 2 00000400 00000400 1\n"
        );
    }

    #[test]
    fn accesses_are_counted_where_asked_for_also_when_there_are_none() {
        let mut record = Record::new(HashMap::new());
        let load = Instruction { address: 0x102, code: 0x6800, size: 2 };
        let number = record.block(vec![Instruction { address: 0x100, code: 0xbf08, size: 2 }, load], &[1]);
        record.execute(number);
        record.execute(number);
        record.access(number, 1);
        record.access(number, 0);
        assert_eq!(
            record.text(),
            "thumbformer-cycles 1\ni 1 00000100 bf08 2 -\ni 1 00000102 6800 2 1\ne 1 00000102 00000100 1\n"
        );
    }
}
