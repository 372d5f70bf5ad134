//! Worst case of the stack in inference, over the call graph.
//!
//! ```text
//! main ──► the function of the program that computes ──► Session::infer (inlined, or a call) ──► … ──► the deepest kernel
//! └─────────── above ───────────┘└──────────────────────────── depth ────────────────────────────────────────────┘
//! ```
//! Calls of the program's own beside inference (its log, its console) are not followed. Interrupts come on top.

use crate::frame::{Call, Frame, frame};
use crate::program::{Origin, Program, is_ours};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::rc::Rc;

/// An entry point of inference, where a program calls it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Entry {
    /// The function of the core.
    pub name: String,
    /// The function of the program that calls it, or into which it was inlined.
    pub caller: String,
    /// Bytes of the caller's own callers.
    pub above: u64,
    /// Bytes of the caller and of all below it.
    pub depth: u64,
    /// The functions on the deepest path, with the bytes of the stack that each has in use.
    pub path: Vec<(String, u64)>,
}

/// Entry points of a program.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Stack {
    /// The entry points, by their names.
    pub entries: Vec<Entry>,
}

impl Stack {
    /// The deepest entry point, from the stack's beginning.
    pub fn deepest(&self) -> Option<&Entry> {
        self.entries.iter().max_by_key(|entry| entry.above + entry.depth)
    }

    /// Most bytes that a function of the program, given by the last parts of its name, has in use with all below it.
    pub fn of(&self, caller: &str) -> Option<u64> {
        self.entries.iter().filter(|entry| entry.caller.ends_with(caller)).map(|entry| entry.depth).max()
    }

    /// Most bytes of stack that the program has in use during inference.
    pub fn total(&self) -> u64 {
        self.deepest().map_or(0, |entry| entry.above + entry.depth)
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "stack of inference, worst case: {} bytes; interrupts come on top", self.total())?;
        for entry in &self.entries {
            writeln!(f, "{:>7} {}, called by {}", entry.above + entry.depth, entry.name, entry.caller)?;
        }
        let Some(deepest) = self.deepest() else { return Ok(()) };
        writeln!(f, "the deepest path, below {} bytes of the callers:", deepest.above)?;
        deepest.path.iter().try_for_each(|(name, bytes)| writeln!(f, "{bytes:>7} {name}"))
    }
}

/// Functions that the core's pointers lead to: the innermost function of the core at the call, and its callees.
const POINTERS: [(&str, Pointees); 3] = [
    ("finish", Pointees::Closures { file: "/src/audio/fft.rs", library: "/microfft-" }),
    ("scores_by_chunks", Pointees::Named("thumbformer::arch::helium::attention::scores_")),
    ("sums_by", Pointees::Named("thumbformer::arch::helium::attention::sums")),
];

/// Functions that a pointer leads to.
enum Pointees {
    /// The closures of a file. A program without code of the library has but one that does nothing, which the compiler makes one with
    /// other empty functions.
    Closures { file: &'static str, library: &'static str },
    /// All whose names begin like this.
    Named(&'static str),
}

/// Finds the worst case of a program, an ELF file with symbols and debug information.
///
/// # Errors
/// With address and function: an indirect call, a recursion, or a frame of unknown size.
pub fn worst(path: &Path) -> Result<Stack> {
    let elf = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
    let program = Program::parse(path, &elf)?;
    let mut analysis =
        Analysis { program: &program, frames: BTreeMap::new(), open: BTreeSet::new(), worst: BTreeMap::new() };
    analysis.entries().with_context(|| format!("{}", path.display()))
}

/// Most bytes below a function's caller, and the callee that needs them.
type Deepest = (u64, Option<u64>);

struct Analysis<'p, 'd> {
    program: &'p Program<'d>,
    /// Frames by function; `None` while one is being followed.
    frames: BTreeMap<u64, Option<Rc<Frame>>>,
    /// Functions on the path that is being followed.
    open: BTreeSet<u64>,
    worst: BTreeMap<u64, Deepest>,
}

impl Analysis<'_, '_> {
    fn entries(&mut self) -> Result<Stack> {
        let program = self.program;
        let (mut callers, mut sites) = (BTreeMap::<u64, BTreeSet<u64>>::new(), BTreeMap::<u64, BTreeSet<u64>>::new());
        for &start in program.functions.keys() {
            for branch in program.branches(start)? {
                let Some(callee) = program.owner(branch.to) else { continue };
                callers.entry(callee).or_default().insert(start);
                let ours = is_ours(program.name(callee)) || program.is_inference(start, branch.from);
                if ours && !is_ours(program.name(start)) {
                    sites.entry(start).or_default().insert(branch.from);
                }
            }
        }
        let mut entries = BTreeMap::<String, Entry>::new();
        for (start, sites) in sites {
            let frame = self.frame(start)?;
            let above = self.above(start, &callers, &mut BTreeSet::new())?;
            for call in frame.calls.iter().filter(|call| sites.contains(&call.from)) {
                let (below, callee) = self.below(start, call)?;
                let mut path = vec![(program.name(start).to_string(), call.depth)];
                callee.into_iter().for_each(|callee| self.path(callee, &mut path));
                let entry = Entry {
                    name: self.entry_point(call),
                    caller: program.name(start).into(),
                    above,
                    depth: frame.depth.max(call.depth + below),
                    path,
                };
                let known = entries.get(&entry.name).map_or(0, |known| known.above + known.depth);
                if entry.above + entry.depth > known {
                    entries.insert(entry.name.clone(), entry);
                }
            }
        }
        ensure!(
            !entries.is_empty(),
            "the program calls no inference, or has no debug information: build it with debug = \"line-tables-only\""
        );
        Ok(Stack { entries: entries.into_values().collect() })
    }

    /// Name of the core's outermost function around a call, or of the callee.
    fn entry_point(&self, call: &Call) -> String {
        let inlined = self.program.inlined(call.from);
        let callee = call.to.map_or("?", |to| self.program.name(to));
        inlined.into_iter().rfind(|(_, origin)| *origin == Origin::Core).map_or_else(|| callee.into(), |(name, _)| name)
    }

    /// A function's frame.
    fn frame(&mut self, start: u64) -> Result<Rc<Frame>> {
        if let Some(Some(frame)) = self.frames.get(&start) {
            return Ok(Rc::clone(frame));
        }
        self.frames.insert(start, None);
        let program = self.program;
        let found = frame(program, start, &mut |callee| match self.frames.get(&callee) {
            _ if program.name(callee).starts_with("core::panicking::") => Ok(false),
            // On the way here: a function that calls itself may return.
            Some(None) => Ok(true),
            _ => Ok(self.frame(callee)?.returns),
        });
        if found.is_err() {
            self.frames.remove(&start);
        }
        let found = Rc::new(found?);
        self.frames.insert(start, Some(Rc::clone(&found)));
        Ok(found)
    }

    /// Most bytes that a function and all below it have in use.
    fn worst(&mut self, start: u64) -> Result<Deepest> {
        if let Some(&known) = self.worst.get(&start) {
            return Ok(known);
        }
        // The check of panics finds that inference does not come here; where a program's own code does, it ends.
        if self.program.name(start).starts_with("core::panicking::") {
            return Ok((0, None));
        }
        ensure!(self.open.insert(start), "{:#x}: {} calls itself", start, self.program.name(start));
        let frame = self.frame(start)?;
        let mut most = (frame.depth, None);
        for call in &frame.calls {
            let below = self.below(start, call);
            let (below, callee) = below.with_context(|| format!("called by {}", self.program.name(start)))?;
            most = most.max((call.depth + below, callee));
        }
        self.open.remove(&start);
        self.worst.insert(start, most);
        Ok(most)
    }

    /// Most bytes below a call, and the callee.
    fn below(&mut self, start: u64, call: &Call) -> Result<Deepest> {
        let program = self.program;
        let name = program.name(start);
        let callees = match call.to {
            Some(to) => Some(vec![to]),
            None => pointees(program, call),
        };
        let Some(callees) = callees else {
            bail!("{:#x} in {name}: an indirect call; inlined: {:?}", call.from, program.inlined(call.from))
        };
        let mut most = (0, None);
        for callee in callees {
            ensure!(
                program.functions.contains_key(&callee),
                "{:#x} in {name}: a call of {callee:#x}, where no function begins",
                call.from
            );
            most = most.max((self.worst(callee)?.0, Some(callee)));
        }
        Ok(most)
    }

    /// Most bytes that the callers of a function have in use when they call it.
    fn above(&mut self, start: u64, callers: &BTreeMap<u64, BTreeSet<u64>>, open: &mut BTreeSet<u64>) -> Result<u64> {
        ensure!(open.insert(start), "{} calls itself", self.program.name(start));
        let mut most = 0;
        for &caller in callers.get(&start).into_iter().flatten() {
            let frame = match self.frame(caller) {
                // Where the reset handler sets the stack pointer, the stack begins.
                Err(_) if self.program.name(caller) == "Reset" => continue,
                frame => frame?,
            };
            let depth = frame.calls.iter().filter(|call| call.to == Some(start)).map(|call| call.depth).max();
            most = most.max(depth.unwrap_or(frame.depth) + self.above(caller, callers, open)?);
        }
        open.remove(&start);
        Ok(most)
    }

    fn path(&self, start: u64, path: &mut Vec<(String, u64)>) {
        let Some(&(depth, next)) = self.worst.get(&start) else { return };
        let below = next.and_then(|next| self.worst.get(&next)).map_or(0, |below| below.0);
        path.push((self.program.name(start).into(), depth - below));
        if let Some(next) = next {
            self.path(next, path);
        }
    }
}

/// Functions that an indirect call may lead to, if it is one of [`POINTERS`].
fn pointees(program: &Program<'_>, call: &Call) -> Option<Vec<u64>> {
    let inlined = program.inlined(call.from);
    let caller = inlined.first().filter(|(_, origin)| *origin == Origin::Core).map_or("", |(name, _)| name);
    let (_, pointees) = POINTERS.iter().find(|(name, _)| *name == caller)?;
    let is_callee = |start: &u64| match pointees {
        Pointees::Closures { file, .. } => {
            let name = program.name(*start);
            let is_closure = name.contains("{{closure}}") || name.starts_with("core::ops::function::FnOnce::call_once");
            is_closure && program.has_code_of(*start, file)
        }
        Pointees::Named(beginning) => program.name(*start).starts_with(beginning),
    };
    let found: Vec<u64> = program.functions.keys().copied().filter(is_callee).collect();
    let is_empty = |library: &str| !program.functions.keys().any(|&start| program.has_code_of(start, library));
    let sound = match pointees {
        _ if !found.is_empty() => true,
        Pointees::Closures { library, .. } => is_empty(library),
        Pointees::Named(_) => false,
    };
    sound.then_some(found)
}
