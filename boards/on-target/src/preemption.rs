//! A second model in the timer's handler, which interrupts the first one after a random number of instructions, again and again.
//!
//! ```text
//! thread:  frame ──► push ─────┊────► outputs ──► CRC-32: the host's?
//! SysTick:               frames ──► infer ──► CRC-32: the host's?     or a small block, as before the first interrupt? the next time: random
//! ```

use crate::{ENDS, outputs_of, small};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering, compiler_fence};
use cortex_m::peripheral::{Peripherals, SYST, syst::SystClkSource};
use cortex_m_rt::exception;
use thumbformer::LogitsCrc;

/// Interruptions of inference, after which the timer stands still.
pub const ENOUGH: u32 = 1000;
/// True while the thread is inside an inference.
static INSIDE: AtomicBool = AtomicBool::new(false);
/// Interrupts that came inside an inference.
static PREEMPTIONS: AtomicU32 = AtomicU32::new(0);
/// The small block's result before the first interrupt.
static BLOCK_CRC32: AtomicU32 = AtomicU32::new(0);
/// Inferences of the handler whose bits were not the host's.
static WRONG: AtomicU32 = AtomicU32::new(0);

/// The timer, which interrupts until it is dropped.
pub struct Timer(SYST);

impl Timer {
    /// Starts the interrupts.
    pub fn start(mut timer: SYST) -> Timer {
        let undisturbed = block(&mut small::block::State::new());
        BLOCK_CRC32.store(undisturbed.unwrap_or_default(), Ordering::Relaxed);
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

/// CRC-32 of two streams that went through the small block.
fn block(state: &mut small::block::State) -> Option<u32> {
    let mut streams = [1.0, -1.0, 0.5, 0.25];
    small::block::MODEL.session(state.memory()).encode(&mut streams).ok()?;
    Some(LogitsCrc::new().update(&streams))
}

#[exception]
fn SysTick() {
    static mut WORDS: [u32; 1024] = [0; 1024];
    static mut BLOCK: small::block::State = small::block::State::new();
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
    // Mostly a short one, as a core without SIMD takes long for the others.
    let random = *RANDOM as usize;
    let is_right = if random % 16 == 0 {
        let end = &ENDS[random / 16 % ENDS.len()];
        outputs_of(end, WORDS) == Ok(end.crc32)
    } else {
        block(BLOCK) == Some(BLOCK_CRC32.load(Ordering::Relaxed))
    };
    if !is_right {
        count(&WRONG);
    }
    timer.set_reload(100 + (*RANDOM >> 8) % 2000);
    timer.clear_current();
    if PREEMPTIONS.load(Ordering::Relaxed) < ENOUGH {
        timer.enable_counter();
    }
}
