//! A second model in the timer's handler, which interrupts the first one after a random number of instructions, again and again.
//!
//! ```text
//! thread:  frame ──► push ─────┊────► outputs ──► CRC-32: the host's?
//! SysTick:               frames ──► infer ──► CRC-32: the host's?     the next time: random
//! ```

use crate::{ENDS, outputs_of};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering, compiler_fence};
use cortex_m::peripheral::{Peripherals, SYST, syst::SystClkSource};
use cortex_m_rt::exception;

/// True while the thread is inside an inference.
static INSIDE: AtomicBool = AtomicBool::new(false);
/// Interrupts that came inside an inference.
static PREEMPTIONS: AtomicU32 = AtomicU32::new(0);
/// Inferences of the handler whose bits were not the host's.
static WRONG: AtomicU32 = AtomicU32::new(0);

/// The timer, which interrupts until it is dropped.
pub struct Timer(SYST);

impl Timer {
    /// Starts the interrupts.
    pub fn start(mut timer: SYST) -> Timer {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(1000);
        timer.clear_current();
        timer.enable_interrupt();
        timer.enable_counter();
        Timer(timer)
    }

    /// Marks an inference, whose interruptions count.
    pub fn inside<R>(&self, inference: impl FnOnce() -> R) -> R {
        INSIDE.store(true, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        let result = inference();
        compiler_fence(Ordering::SeqCst);
        INSIDE.store(false, Ordering::Relaxed);
        result
    }

    /// Interruptions of an inference, and inferences of the handler with other bits than the host's.
    pub fn counts(&self) -> (u32, u32) {
        (PREEMPTIONS.load(Ordering::Relaxed), WRONG.load(Ordering::Relaxed))
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.disable_interrupt();
        self.0.disable_counter();
    }
}

#[exception]
fn SysTick() {
    static mut WORDS: [u32; 1024] = [0; 1024];
    static mut RANDOM: u32 = 0x2545_f491;
    // SAFETY: the thread has handed the timer over, and does not touch it while it interrupts.
    let mut timer = unsafe { Peripherals::steal() }.SYST;
    // It stands still meanwhile, or it would interrupt again before the thread has gone on.
    timer.disable_counter();
    let count = |counter: &AtomicU32| counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    if INSIDE.load(Ordering::Relaxed) {
        count(&PREEMPTIONS);
    }
    // Xorshift (Marsaglia 2003).
    *RANDOM ^= *RANDOM << 13;
    *RANDOM ^= *RANDOM >> 17;
    *RANDOM ^= *RANDOM << 5;
    let end = &ENDS[*RANDOM as usize % ENDS.len()];
    if outputs_of(end, WORDS) != Ok(end.crc32) {
        count(&WRONG);
    }
    timer.set_reload(100 + (*RANDOM >> 8) % 2000);
    timer.clear_current();
    timer.enable_counter();
}
