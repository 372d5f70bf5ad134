//! Check of the assembly (feature `checkasm`), as dav1d's: every kernel called through a wrapper, by the backend's own code.
//!
//! ```text
//! cases   every method of the trait × lengths × random numbers and extremes ──► native == scalar?
//! arena   its buffers, between guard words, one of them at the end of the memory ──► whole?
//! wrapper every call of a kernel ──► registers, stack, FPSCR as the call found them?
//! ```
//! `cargo xtask checkasm` runs it on the emulated cores; the host's tests run the cases.

mod arena;
mod cases;
#[cfg(target_os = "none")]
mod toys;
#[cfg(target_os = "none")]
mod wrapper;

use super::scalar::Scalar;
use super::{
    Backend, Bias, GELU_TAIL, GELU_TANH_TAIL, GROUP, Int4, Multiplier, Native, Packing, SILU_TAIL, Tail, power_of_two,
    signed_bytes_mut, word_q8, words_q4,
};
use arena::Arena;
use cases::{Case, Random, Setting};
use core::fmt;
#[cfg(target_os = "none")]
pub use wrapper::{fault, kernels, wrapped};

/// Lengths of each case.
pub const LENGTHS: usize = SYSTEMATIC + 5;
/// Lengths from 0 on; the others are at random, up to [`LONGEST`].
const SYSTEMATIC: usize = 71;
const LONGEST: u32 = 128;

/// Error of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Results are not those of `scalar`.
    Result,
    /// Bytes around a buffer were written.
    Guard,
    /// A register of r4 to r11 is not restored.
    Register(usize),
    /// A register of s16 to s31 is not restored.
    Float(usize),
    /// The stack pointer is not restored.
    StackPointer,
    /// Control bits of FPSCR are changed.
    Fpscr,
    /// Predication is left on.
    Vpr,
    /// Something beyond the stack's arguments, or a kilobyte below them, was written.
    Stack,
    /// The instruction at this address read or wrote outside of the memory, or is none.
    Fault(usize),
    /// The memory for the buffers is too small.
    Room,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Result => f.write_str("results are not those of scalar"),
            Kind::Guard => f.write_str("bytes around a buffer were written"),
            Kind::Register(number) => write!(f, "r{number} is not restored"),
            Kind::Float(number) => write!(f, "s{number} is not restored"),
            Kind::StackPointer => f.write_str("the stack pointer is not restored"),
            Kind::Fpscr => f.write_str("control bits of FPSCR are changed"),
            Kind::Vpr => f.write_str("predication is left on"),
            Kind::Stack => f.write_str("the stack was written above the arguments or too far below"),
            Kind::Fault(pc) => write!(f, "fault at {pc:#x}"),
            Kind::Room => f.write_str("the memory for its buffers is too small"),
        }
    }
}

/// An error that was found.
pub struct Finding {
    /// Method of the backend's trait, or a broken kernel.
    pub method: &'static str,
    /// Length of its vectors, or rows or columns of its matrix.
    pub length: usize,
    /// Index of the buffer at the memory's end.
    pub at_end: usize,
    /// Seed of the run.
    pub seed: u32,
    /// Address of the last kernel that was called, or of the one that is to blame; 0 on the host.
    pub kernel: usize,
    /// The error.
    pub kind: Kind,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { method, length, at_end, seed, kind, .. } = self;
        write!(f, "{method} of length {length}, buffer {at_end} at the end, seed {seed}: {kind}")
    }
}

/// Methods of the backend's trait that are called.
pub fn methods() -> usize {
    cases::all::<Native>().count()
}

/// Runs all cases of this build's backend once; returns their number. `memory`: 48 Ki words, `spare`: 32 Ki.
pub fn run(memory: &mut [u32], spare: &mut [u32], seed: u32, report: &mut impl FnMut(&Finding)) -> u32 {
    run_for::<Native>(memory, spare, seed, report)
}

/// [`run`] for any backend.
pub(super) fn run_for<B: Backend>(
    memory: &mut [u32],
    spare: &mut [u32],
    seed: u32,
    report: &mut impl FnMut(&Finding),
) -> u32 {
    let end = memory.len() / 2;
    let mut setting =
        Setting { random: Random::new(seed), arena: Arena::new(memory, end), spare: Arena::new(spare, 0) };
    let mut count = 0;
    for case in cases::all::<B>() {
        for index in 0..LENGTHS {
            let further = SYSTEMATIC as u32 + setting.random.below(LONGEST - SYSTEMATIC as u32);
            let length = if index < SYSTEMATIC { index } else { further as usize };
            let at_end = setting.random.below(case.buffers as u32) as usize;
            if let Err((kernel, kind)) = run_case(&mut setting, &case, length, at_end) {
                report(&Finding { method: case.method, length, at_end, seed, kernel, kind });
            }
            count += 1;
        }
    }
    count
}

/// Runs a case; the first thing that is wrong with it, and the kernel.
fn run_case(setting: &mut Setting<'_>, case: &Case, length: usize, at_end: usize) -> Result<(), (usize, Kind)> {
    setting.arena.begin(at_end);
    setting.spare.begin(usize::MAX);
    let equal = (case.run)(setting, length);
    let (last, found) = state();
    let kind = if let Some((kernel, kind)) = found {
        return Err((kernel, kind));
    } else if !setting.arena.is_sound() || !setting.spare.is_sound() {
        Kind::Guard
    } else if setting.arena.is_full() || setting.spare.is_full() {
        Kind::Room
    } else if !equal {
        Kind::Result
    } else {
        return Ok(());
    };
    Err((last, kind))
}

/// The last kernel that was called, and what the wrapper has found.
fn state() -> (usize, Option<(usize, Kind)>) {
    #[cfg(target_os = "none")]
    return (wrapper::last_kernel(), wrapper::found());
    #[cfg(not(target_os = "none"))]
    (0, None)
}

/// Broken kernels, each for a kind of error.
#[cfg(target_os = "none")]
pub const TOYS: usize = toys::ALL.len();

/// Calls the broken kernels; returns the number of those that went unnoticed, and hands out their names.
#[cfg(target_os = "none")]
pub fn toys(memory: &mut [u32], spare: &mut [u32], mut missed: impl FnMut(&'static str)) -> usize {
    let end = memory.len() / 2;
    let mut setting = Setting { random: Random::new(1), arena: Arena::new(memory, end), spare: Arena::new(spare, 0) };
    let unnoticed = toys::ALL.iter().filter(|toy| {
        // Once elsewhere, once at the end.
        let found = [usize::MAX, 0].map(|at_end| run_case(&mut setting, &toy.case, 5, at_end).err());
        let is_missed = !found.into_iter().flatten().any(|(_, kind)| (toy.expected)(kind));
        if is_missed {
            missed(toy.case.method);
        }
        is_missed
    });
    unnoticed.count()
}

/// True if a word at this address can be read.
#[cfg(target_os = "none")]
pub fn is_mapped(address: usize) -> bool {
    toys::read_word(address);
    wrapper::found().is_none()
}

/// True if the cores of this build fault at unaligned addresses, which emulated ones are to be told.
pub const TRAPS_UNALIGNED: bool = cfg!(all(thumbformer_backend = "nosimd", not(thumbformer_long_multiply)));
