//! Direct branches: B, BL and the compare branches, and the loops of Armv8.1-M.

use crate::thumb::Instruction;

/// A direct branch from one address to another.
#[derive(Clone, Copy)]
pub struct Branch {
    /// Address of the instruction.
    pub from: u64,
    /// Address that it jumps to.
    pub to: u64,
}

/// The address that a direct branch jumps to; `None` for other instructions.
pub fn target(code: &Instruction) -> Option<u64> {
    let offset = match code.second {
        None => narrow(code.first),
        Some(second) => wide(code.first, second).or_else(|| of_loop(code.first, second)),
    };
    Some((code.address + 4).wrapping_add_signed(offset?))
}

/// B, conditional or not, of 16 bits: encodings T1 and T2 (Arm DDI 0403E, A7.7.12); CBZ and CBNZ.
fn narrow(code: u32) -> Option<i64> {
    let signed = |value: u32, bits: u32| i64::from((value << (32 - bits)).cast_signed() >> (32 - bits)) * 2;
    match code >> 12 {
        0b1101 if (code >> 8) & 0xf < 14 => Some(signed(code & 0xff, 8)),
        0b1011 if code & 0x0500 == 0x0100 => Some(i64::from((code >> 3 & 0x1f) << 1 | (code >> 9 & 1) << 6)),
        0b1110 if (code >> 11) & 1 == 0 => Some(signed(code & 0x7ff, 11)),
        _ => None,
    }
}

/// BL and B of 32 bits: encodings T1 of BL (A7.7.18), T3 and T4 of B.
fn wide(first: u32, second: u32) -> Option<i64> {
    if first >> 11 != 0b11110 || second >> 15 != 1 {
        return None;
    }
    let s = (first >> 10) & 1;
    let (j1, j2) = ((second >> 13) & 1, (second >> 11) & 1);
    let low = second & 0x7ff;
    let (value, bits) = match (second >> 12) & 0b101 {
        // BL is 1x1 with bit 14 set, B (T4) 1x1 with bit 14 clear.
        0b001 | 0b101 => {
            let (i1, i2) = (1 ^ j1 ^ s, 1 ^ j2 ^ s);
            (s << 23 | i1 << 22 | i2 << 21 | (first & 0x3ff) << 11 | low, 24)
        }
        // Conditional; the conditions 111x are other instructions.
        0b000 if (first >> 7) & 0b111 != 0b111 => (s << 19 | j2 << 18 | j1 << 17 | (first & 0x3f) << 11 | low, 20),
        _ => return None,
    };
    Some(i64::from((value << (32 - bits)).cast_signed() >> (32 - bits)) * 2)
}

/// LE, LETP and WLS: the loops' branches back, and over (Arm DDI 0553B, C2.4).
fn of_loop(first: u32, second: u32) -> Option<i64> {
    let distance = i64::from((second >> 1 & 0x3ff) << 2 | (second >> 11 & 1) << 1);
    match (first & 0xffc0, second & 0xf001) {
        (0xf000, 0xc001) if first & 15 == 15 => Some(-distance),
        (0xf000 | 0xf040, 0xc001) => Some(distance),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{narrow, of_loop, wide};

    #[test]
    fn branches_are_decoded_as_the_assembler_encodes_them() {
        // (code, offset from pc), by `llvm-mc -triple thumbv7em -show-encoding`.
        let wides = [
            ((0xf000, 0xf800), Some(0)),           // bl #0
            ((0xf7ff, 0xfffe), Some(-4)),          // bl .
            ((0xf000, 0xf8fe), Some(508)),         // bl #508
            ((0xf100, 0xb800), Some(0x0010_0000)), // b.w #1048576
            ((0xf43f, 0xaffe), Some(-4)),          // beq.w .
            ((0xf3ef, 0x8010), None),              // mrs r0, primask
            ((0xfb90, 0xf0f1), None),              // sdiv r0, r0, r1
        ];
        for ((first, second), offset) in wides {
            assert_eq!(wide(first, second), offset, "{first:04x} {second:04x}");
        }
        let narrows = [
            (0xe7fe, Some(-4)),
            (0xd0fe, Some(-4)),
            (0xe002, Some(4)),
            (0xde00, None),
            (0xdf00, None),
            (0xbf00, None),
            (0xb120, Some(8)),
            (0xbb28, Some(74)),
        ];
        for (code, offset) in narrows {
            assert_eq!(narrow(code), offset, "{code:04x}");
        }
    }

    #[test]
    fn loops_are_decoded_as_the_assembler_encodes_them() {
        // By `llvm-mc -triple thumbv8.1m.main -mattr=+mve,+lob -show-encoding`.
        let table = [
            ((0xf00f, 0xc00b), Some(-20)), // le lr, #-20
            ((0xf01f, 0xc80b), Some(-22)), // letp lr, #-22
            ((0xf043, 0xc00b), Some(20)),  // wls lr, r3, #20
            ((0xf003, 0xc80b), Some(22)),  // wlstp.8 lr, r3, #22
            ((0xf041, 0xe001), None),      // dls lr, r1
        ];
        for ((first, second), offset) in table {
            assert_eq!((of_loop(first, second), wide(first, second)), (offset, None), "{first:04x} {second:04x}");
        }
    }
}
