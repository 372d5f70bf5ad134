//! Check of the release firmware's machine code: inference cannot panic and allocates nothing.
//!
//! Every direct branch is decoded and becomes an edge of the call graph. A function is bad when a function of
//! `core::panicking`, or an allocator, can be reached from it. Then neither a function of `thumbformer::`, nor a piece of one that was inlined
//! elsewhere (the debug information tells), may call a bad function.

use crate::cores::Core;
use crate::figures::{self, Figures};
use crate::firmware::Board;
use crate::setup;
use crate::stack;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::path::Path;
use thumbformer_machine_code::{Branch, Program, is_ours};

/// Extent of a check.
pub struct Report {
    /// Functions of `thumbformer::` in the firmware.
    pub functions: usize,
    /// Calls and jumps from them, and from inlined pieces of them.
    pub calls: usize,
    /// Functions of other crates from which a panic or an allocator can be reached.
    pub bad_elsewhere: usize,
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
/// With every call from inference to a panic or an allocator; and with every symbol of an allocator, unless the program computes the
/// float network, too, which allocates.
pub fn check(elf: &Path) -> Result<Report> {
    let bytes = std::fs::read(elf).with_context(|| format!("{}", elf.display()))?;
    let program = Program::parse(elf, &bytes)?;
    let functions = &program.functions;
    let mut faults = Vec::new();
    if !stack::has_float(&bytes)? {
        let allocators = functions.values().filter(|function| is_allocator(&function.name));
        faults.extend(allocators.map(|function| format!("the firmware holds an allocator: {}", function.name)));
    }
    let mut edges: Vec<(u64, Branch)> = Vec::new();
    for &start in functions.keys() {
        edges.extend(program.branches(start)?.into_iter().map(|branch| (start, branch)));
    }
    let is_panic = |start: &u64| {
        let name = program.name(*start);
        name.starts_with("core::panicking::") || is_allocator(name)
    };
    let mut bad: BTreeSet<u64> = functions.keys().copied().filter(is_panic).collect();
    // The smallest programs have none at all.
    let other = functions.values().find(|function| function.name.contains("panic")).filter(|_| bad.is_empty());
    ensure!(other.is_none(), "no function of core::panicking, but {other:?}: the check would find nothing");
    loop {
        let reached = |branch: &Branch| program.owner(branch.to).is_some_and(|callee| bad.contains(&callee));
        let found: Vec<u64> = edges.iter().filter(|(_, branch)| reached(branch)).map(|(caller, _)| *caller).collect();
        let before = bad.len();
        bad.extend(found);
        if bad.len() == before {
            break;
        }
    }
    let mut calls = 0;
    for (start, branch) in &edges {
        let caller = functions.get(start).context("a branch outside of every function")?;
        let inlined = program.inlined(branch.from);
        if !program.is_inference(*start, branch.from) {
            continue;
        }
        calls += 1;
        let callee = program.owner(branch.to).filter(|callee| bad.contains(callee));
        // Where our own function is called, the fault is reported at its root, inside of that function.
        let callee = callee.and_then(|callee| functions.get(&callee)).filter(|callee| !is_ours(&callee.name));
        if let Some(callee) = callee {
            let names: Vec<&str> = inlined.iter().map(|(name, _)| name.as_str()).collect();
            let chain = if inlined.is_empty() { caller.name.clone() } else { names.join(", in ") };
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

/// True for a demangled name of a function that takes memory from a heap.
fn is_allocator(name: &str) -> bool {
    let name = name.trim_start_matches("__rustc::");
    ["__rust_alloc", "__rust_realloc", "__rg_alloc", "__rg_realloc", "__rdl_alloc", "malloc", "realloc", "calloc"]
        .into_iter()
        .any(|allocator| name.strip_suffix("_zeroed").unwrap_or(name) == allocator)
}

#[cfg(test)]
mod tests {
    use super::is_allocator;

    #[test]
    fn an_allocator_is_found_by_the_names_that_the_compiler_gives_it() {
        for name in ["__rustc::__rust_alloc", "__rust_alloc_zeroed", "__rustc::__rg_realloc", "malloc"] {
            assert!(is_allocator(name), "{name}");
        }
        assert!(!is_allocator("__rustc::__rust_no_alloc_shim_is_unstable_v2") && !is_allocator("thumbformer::alloc"));
    }
}
