//! The worst depth of the stack, measured by paint.
//!
//! ```text
//! RAM:  paint paint paint ░░░░░░ used | frames of the callers | variables   (the stack grows to the left)
//!       _stack_end        ▲ lowest    ▲ base                  _stack_start
//!                           word that is no paint
//! ```
//! A word that inference writes with the paint's very value would be taken for unused; it would have to be the lowest one.
#![allow(unsafe_code)]

/// The value that unused words have.
const PAINT: u32 = 0xcccc_cccc;

unsafe extern "C" {
    // Of memory.x: the ends of the stack's region.
    static mut _stack_end: u32;
    static _stack_start: u32;
}

/// A painted stack.
#[derive(Clone, Copy)]
pub struct Stack {
    base: usize,
}

impl Stack {
    /// Paints what is free below the caller. `None` where the stack pointer is not above the end of the stack's region.
    #[inline(always)]
    pub fn paint() -> Option<Stack> {
        let base = cortex_m::register::msp::read() as usize;
        paint(base).then_some(Stack { base })
    }

    /// Most bytes that were in use at once below the caller of [`Stack::paint`] since then.
    pub fn used(&self) -> usize {
        self.base.saturating_sub(lowest(self.base))
    }
}

/// Most bytes of stack that the whole program has used so far, its beginning included, once the stack was painted. `None` where
/// [`Stack::paint`] could not.
pub(crate) fn used_by_program() -> Option<usize> {
    let start = (&raw const _stack_start) as usize;
    start.checked_sub(lowest(start)).filter(|_| (&raw const _stack_end as usize) < start)
}

/// Paints from the end of the stack's region to the stack pointer.
fn paint(base: usize) -> bool {
    let start = &raw mut _stack_end;
    if start as usize >= base {
        return false;
    }
    // SAFETY: every word from the end of the stack's region, which is aligned, to the stack pointer: nobody's memory but that of
    // interrupts, which leave it behind when they return. One block, so that no frame is pushed between the reading of the stack
    // pointer and the last word; ARMv6-M has all of its instructions.
    unsafe {
        core::arch::asm!(
            "mov {end}, sp",
            "2:",
            "cmp {word}, {end}",
            "bhs 3f",
            "str {paint}, [{word}]",
            "adds {word}, {word}, #4",
            "b 2b",
            "3:",
            end = out(reg) _,
            word = inout(reg) start => _,
            paint = in(reg) PAINT,
        );
    }
    true
}

/// Address of the lowest word that was written since it was painted.
fn lowest(base: usize) -> usize {
    let mut word = &raw const _stack_end;
    // SAFETY: RAM that exists, aligned, read word by word up to the stack's beginning.
    while (word as usize) < base && unsafe { word.read_volatile() } == PAINT {
        // SAFETY: at most one beyond the last word.
        word = unsafe { word.add(1) };
    }
    word as usize
}
