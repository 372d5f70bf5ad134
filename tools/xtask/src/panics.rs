//! Check of the release firmware's machine code: inference cannot panic and allocates nothing.
//!
//! Every direct branch is decoded and becomes an edge of the call graph. A function is bad when a function of
//! `core::panicking` can be reached from it. Then neither a function of `thumbformer::`, nor a piece of one that was inlined
//! elsewhere (the debug information tells), may call a bad function.

use crate::cores::Core;
use crate::figures::{self, Figures};
use crate::firmware::Board;
use crate::setup;
use crate::thumb::{self, Instruction};
use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Extent of a check.
pub struct Report {
    /// Functions of `thumbformer::` in the firmware.
    pub functions: usize,
    /// Calls and jumps from them, and from inlined pieces of them.
    pub calls: usize,
    /// Functions of other crates from which a panic can be reached.
    pub bad_elsewhere: usize,
}

struct Function {
    name: String,
    end: u64,
}

/// A direct branch from one address to another.
struct Branch {
    from: u64,
    to: u64,
}

/// Checks the demonstration, parsing at run time, the encoder block and the audio front end.
///
/// # Errors
/// As [`check`], and with the compiler's output.
pub fn check_programs(board: &Board) -> Result<String> {
    let toolchain = setup::ensure(&board.target)?;
    let mut verdicts = Vec::new();
    // The compiler checked the demonstration's model; the example parses one on the device.
    // The encoder block has paths that no language model takes.
    let bench = Core::M4.board()?;
    let encoder = bench.build_program(&setup::ensure(&bench.target)?, "encoder")?;
    for (what, elf) in [
        (DEMO, board.build_program(&toolchain, "generate")?),
        ("parsing at run time", board.build_example(&toolchain, "runtime")?),
        ("encoder block", encoder),
        ("audio front end", bench.build_program(&setup::ensure(&bench.target)?, "audio")?),
    ] {
        let report = check(&elf).with_context(|| format!("{}", elf.display()))?;
        if what == DEMO {
            figures::compare(&figures(&report))?;
        }
        verdicts.push(format!(
            "{what}: {} functions of inference make {} calls, none of them to a panic ({} functions of other crates can)",
            report.functions, report.calls, report.bad_elsewhere
        ));
    }
    Ok(verdicts.join("; "))
}

/// Name of the demonstration in verdicts.
const DEMO: &str = "demo";

/// Figures of the demonstration.
pub fn figures(demo: &Report) -> Figures {
    figures::of([("demo calls", demo.calls as u64)])
}

/// Reads a firmware's ELF file.
///
/// # Errors
/// With every call from inference to a panic, and every symbol of an allocator.
pub fn check(elf: &Path) -> Result<Report> {
    let bytes = std::fs::read(elf).with_context(|| format!("{}", elf.display()))?;
    let file = object::File::parse(&*bytes)?;
    let functions = functions(&file);
    let mut faults = Vec::new();
    for function in functions.values() {
        if ["__rust_alloc", "__rg_alloc", "__rustc::__rust_alloc", "malloc"].contains(&function.name.as_str()) {
            faults.push(format!("the firmware holds an allocator: {}", function.name));
        }
    }
    let mut edges: Vec<(u64, Branch)> = Vec::new();
    for (&start, function) in &functions {
        for branch in branches(&file, start, function.end)? {
            if !(start..function.end).contains(&branch.to) {
                edges.push((start, branch));
            }
        }
    }
    let owner = |address: u64| functions.range(..=address).next_back().map(|(&start, _)| start);
    let is_panic = |start: &u64| functions.get(start).is_some_and(|f| f.name.starts_with("core::panicking::"));
    let mut bad: BTreeSet<u64> = functions.keys().copied().filter(is_panic).collect();
    ensure!(!bad.is_empty(), "no function of core::panicking in the firmware: the check would find nothing");
    loop {
        let reached = |branch: &Branch| owner(branch.to).is_some_and(|callee| bad.contains(&callee));
        let found: Vec<u64> = edges.iter().filter(|(_, branch)| reached(branch)).map(|(caller, _)| *caller).collect();
        let before = bad.len();
        bad.extend(found);
        if bad.len() == before {
            break;
        }
    }
    let debug = addr2line::Loader::new(elf).map_err(|error| anyhow::anyhow!("{error}")).context("debug information")?;
    let mut calls = 0;
    for (caller, branch) in &edges {
        let caller = functions.get(caller).context("a branch outside of every function")?;
        let inlined = inlined(&debug, branch.from);
        let ours = is_ours(&caller.name) || inlined.iter().any(|name| is_ours(name));
        if !ours {
            continue;
        }
        calls += 1;
        let callee = owner(branch.to).filter(|callee| bad.contains(callee));
        // Where our own function is called, the fault is reported at its root, inside of that function.
        let callee = callee.and_then(|callee| functions.get(&callee)).filter(|callee| !is_ours(&callee.name));
        if let Some(callee) = callee {
            let chain = if inlined.is_empty() { caller.name.clone() } else { inlined.join(", in ") };
            faults.push(format!("{:#x}: {chain} calls {}", branch.from, callee.name));
        }
    }
    if !faults.is_empty() {
        bail!("{} faults:\n{}", faults.len(), faults.join("\n"));
    }
    let ours = functions.values().filter(|function| is_ours(&function.name)).count();
    ensure!(
        ours > 0 && calls > 0,
        "{ours} functions and {calls} calls of inference: the check found nothing to look at"
    );
    Ok(Report { functions: ours, calls, bad_elsewhere: bad.iter().filter(|start| !is_panic(start)).count() })
}

/// True for a demangled name of the core crate, also as a method: `<thumbformer::…>::…`. What `defmt` derives to log an error is its own
/// code, which firmware calls and inference does not.
fn is_ours(name: &str) -> bool {
    let is_logged = name.contains(" as defmt::") && name.ends_with("::_format_data");
    name.trim_start_matches(['<', '&']).starts_with("thumbformer::") && !is_logged
}

/// The names of the functions that an address belongs to, innermost first.
fn inlined(debug: &addr2line::Loader, address: u64) -> Vec<String> {
    let mut names = Vec::new();
    if let Ok(mut frames) = debug.find_frames(address) {
        while let Ok(Some(frame)) = frames.next() {
            let name =
                frame.function.as_ref().and_then(|function| function.demangle().ok().map(|name| name.into_owned()));
            names.extend(name);
        }
    }
    names
}

/// Functions by address.
fn functions(file: &object::File<'_>) -> BTreeMap<u64, Function> {
    let mut functions = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
        // The lowest bit marks Thumb code.
        let start = symbol.address() & !1;
        let name = format!("{:#}", rustc_demangle::demangle(symbol.name().unwrap_or("?")));
        functions.insert(start, Function { name, end: start + symbol.size() });
    }
    functions
}

/// The direct branches between two addresses.
fn branches(file: &object::File<'_>, start: u64, end: u64) -> Result<Vec<Branch>> {
    let mut found = Vec::new();
    for Instruction { address, first, second } in thumb::instructions(file, start, end)? {
        let offset = second.map_or_else(|| narrow_branch(first), |second| wide_branch(first, second));
        if let Some(offset) = offset {
            found.push(Branch { from: address, to: (address + 4).wrapping_add_signed(offset) });
        }
    }
    Ok(found)
}

/// B, conditional or not, of 16 bits: encodings T1 and T2 (Arm DDI 0403E, A7.7.12).
fn narrow_branch(code: u32) -> Option<i64> {
    let signed = |value: u32, bits: u32| i64::from((value << (32 - bits)).cast_signed() >> (32 - bits)) * 2;
    match code >> 12 {
        0b1101 if (code >> 8) & 0xf < 14 => Some(signed(code & 0xff, 8)),
        0b1110 if (code >> 11) & 1 == 0 => Some(signed(code & 0x7ff, 11)),
        _ => None,
    }
}

/// BL and B of 32 bits: encodings T1 of BL (A7.7.18), T3 and T4 of B.
fn wide_branch(first: u32, second: u32) -> Option<i64> {
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

#[cfg(test)]
mod tests {
    use super::{is_ours, narrow_branch, wide_branch};

    #[test]
    fn inference_is_the_core_s_own_code() {
        assert!(is_ours("thumbformer::session::Session::decode"));
        assert!(is_ours("<thumbformer::error::Error as core::fmt::Display>::fmt"));
        assert!(!is_ours("<thumbformer::error::Error as defmt::traits::Format>::_format_data"));
        assert!(!is_ours("firmware::generate"));
    }

    #[test]
    fn branches_are_decoded_as_the_assembler_encodes_them() {
        // (code, offset from pc), by `llvm-mc -triple thumbv7em -show-encoding`.
        let wide = [
            ((0xf000, 0xf800), Some(0)),           // bl #0
            ((0xf7ff, 0xfffe), Some(-4)),          // bl .
            ((0xf000, 0xf8fe), Some(508)),         // bl #508
            ((0xf100, 0xb800), Some(0x0010_0000)), // b.w #1048576
            ((0xf43f, 0xaffe), Some(-4)),          // beq.w .
            ((0xf3ef, 0x8010), None),              // mrs r0, primask
            ((0xfb90, 0xf0f1), None),              // sdiv r0, r0, r1
        ];
        for ((first, second), offset) in wide {
            assert_eq!(wide_branch(first, second), offset, "{first:04x} {second:04x}");
        }
        let narrow =
            [(0xe7fe, Some(-4)), (0xd0fe, Some(-4)), (0xe002, Some(4)), (0xde00, None), (0xdf00, None), (0xbf00, None)];
        for (code, offset) in narrow {
            assert_eq!(narrow_branch(code), offset, "{code:04x}");
        }
    }
}
