//! Check of the benchmark's machine code: the inner loops consist of the instructions that make them fast.
//!
//! ```text
//! ELF ──► SMLAD in the M4's matrix loop; VMLAVA inside of loops that LE closes, on the M55
//! opt-level "s" ──► the same model, measured ──► at most a quarter more instructions
//! ```
//! Encodings are those of the Armv8-M Architecture Reference Manual (Arm DDI 0553B).

use crate::bench;
use crate::cores::Core;
use crate::setup;
use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection, ObjectSymbol};
use thumbformer_machine_code::thumb::{self, Instruction};

/// Instructions of a whole program, or of the function whose name contains `name`.
fn code(elf: &[u8], name: Option<&str>) -> Result<Vec<Instruction>> {
    let file = object::File::parse(elf)?;
    let Some(name) = name else {
        let text = file.section_by_name(".text").context("no section .text")?;
        return thumb::instructions(&file, text.address(), text.address() + text.size());
    };
    let symbol = file
        .symbols()
        .filter(|symbol| symbol.size() > 0)
        .find(|symbol| symbol.name().is_ok_and(|mangled| rustc_demangle::demangle(mangled).to_string().contains(name)));
    let symbol = symbol.with_context(|| format!("no function {name}"))?;
    let start = symbol.address() & !1;
    thumb::instructions(&file, start, start + symbol.size())
}

/// True for a 32-bit instruction of a kind.
fn is(instruction: &Instruction, kind: impl Fn(u32, u32) -> bool) -> bool {
    instruction.second.is_some_and(|second| kind(instruction.first, second))
}

/// Maximum number of instructions of a kind in any loop that `LE` closes.
fn most_in_a_loop(code: &[Instruction], kind: impl Fn(u32, u32) -> bool) -> usize {
    let loops = code.iter().filter_map(|end| Some((end.address, loop_end(end.first, end.second?)?)));
    let counts = loops.map(|(end, back)| {
        let start = (end + 4).saturating_sub(back);
        code.iter().filter(|inside| (start..end).contains(&inside.address) && is(inside, &kind)).count()
    });
    counts.max().unwrap_or(0)
}

/// SMLAD, T1: `1111 1011 0010 nnnn aaaa dddd 0000 mmmm`, `aaaa` not 1111 (that is SMUAD).
fn smlad(first: u32, second: u32) -> bool {
    first & 0xfff0 == 0xfb20 && second & 0x00f0 == 0 && second >> 12 != 0xf
}

/// VMLAVA.S8: `1110 1110 1111 nnn0 aaa0 1111 0010 mmm0`.
fn vmlava_s8(first: u32, second: u32) -> bool {
    first & 0xfff1 == 0xeef0 && second & 0x1ff1 == 0x0f20
}

/// VMLAVA.S16: the same with 1110 in the middle; the lowest bit of the first half is the size.
fn vmlava_s16(first: u32, second: u32) -> bool {
    first & 0xfff1 == 0xeef0 && second & 0x1ff1 == 0x0e20
}

/// Distance of the jump back of LE or LETP: `1111 0000 00t0 1111 1100 i jjjjjjjjjj 1`, the distance is `j:i:0`.
fn loop_end(first: u32, second: u32) -> Option<u64> {
    let is_loop_end = first & 0xffef == 0xf00f && second & 0xf001 == 0xc001;
    is_loop_end.then(|| u64::from((second >> 1 & 0x3ff) << 2 | (second >> 11 & 1) << 1))
}

/// Checks the loops of the M4 and the M55, and both at `opt-level = "s"`.
///
/// # Errors
/// With the loop that lost its instructions, or the kernel that became slower.
pub fn check() -> Result<String> {
    let elf = |core: Core| -> Result<Vec<u8>> {
        let board = core.board()?;
        Ok(std::fs::read(board.build_program(&setup::ensure(&board.target)?, "kernels")?)?)
    };
    let m4 = code(&elf(Core::M4)?, Some("dsp::loops::row_pairs"))?;
    let m4 = m4.iter().filter(|instruction| is(instruction, smlad)).count();
    ensure!(m4 == 64, "the M4's matrix loop has {m4} SMLAD, expected 64: two products each for 4 rows by 32 columns");
    let helium = code(&elf(Core::M55)?, None)?;
    let (bytes, halves) = (most_in_a_loop(&helium, vmlava_s8), most_in_a_loop(&helium, vmlava_s16));
    ensure!(bytes >= 4, "no loop of the M55 closed by LE has 4 VMLAVA.S8, at most {bytes}: see `helium::matrix`");
    ensure!(halves >= 4, "no loop of the M55 closed by LE has 4 VMLAVA.S16, at most {halves}: see `helium::attention`");
    let mut worst = 0.0_f64;
    for core in [Core::M4, Core::M55] {
        let fast = bench::model(core)?;
        let small = bench::model_with(core, &[("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")])?;
        for (fast, small) in fast.iter().zip(&small) {
            let more = f64::from(small.instructions) / f64::from(fast.instructions) - 1.0;
            worst = worst.max(more);
        }
    }
    ensure!(
        worst <= 0.25,
        "a token takes {:.0} % more instructions at opt-level \"s\", at most 25 % are allowed",
        100.0 * worst
    );
    Ok(format!(
        "{m4} SMLAD in the M4's matrix loop, {bytes} VMLAVA.S8 and {halves} VMLAVA.S16 in loops of the M55; a token \
         takes at most {:.0} % more at opt-level \"s\"",
        100.0 * worst
    ))
}

#[cfg(test)]
mod tests {
    use super::{loop_end, smlad, vmlava_s8, vmlava_s16};

    #[test]
    fn instructions_are_decoded_as_the_assembler_encodes_them() {
        // By `llvm-mc -triple thumbv8.1m.main -mattr=+mve,+dsp -show-encoding`.
        let table = [
            ((0xfb28, 0x5502), "smlad"),      // smlad r5, r8, r2, r5
            ((0xfb2a, 0xfb04), ""),           // smuad r11, r10, r4
            ((0xeef2, 0x0f20), "vmlava.s8"),  // vmlava.s8 r0, q1, q0
            ((0xeef2, 0xcf20), "vmlava.s8"),  // vmlava.s8 r12, q1, q0
            ((0xeef4, 0x8e22), "vmlava.s16"), // vmlava.s16 r8, q2, q1
            ((0xfef5, 0x0e26), ""),           // vmlava.u32 r0, q2, q3
        ];
        for ((first, second), expected) in table {
            let found = [(smlad(first, second), "smlad"), (vmlava_s8(first, second), "vmlava.s8")];
            let found = found.into_iter().chain([(vmlava_s16(first, second), "vmlava.s16")]);
            let names: String = found.filter(|(is, _)| *is).map(|(_, name)| name).collect();
            assert_eq!(names, expected, "{first:04x} {second:04x}");
        }
        assert_eq!(loop_end(0xf00f, 0xc00b), Some(20)); // le lr, #-20
        assert_eq!(loop_end(0xf00f, 0xc80b), Some(22)); // le lr, #-22
        assert_eq!(loop_end(0xf041, 0xe001), None); // dls lr, r1
    }
}
