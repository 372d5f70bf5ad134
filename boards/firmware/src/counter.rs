//! The cycle counters that Cortex-M cores have.
//!
//! ```text
//! DWT.CYCCNT   M3 and up, where the core was made with it   cycles; a debugger need not be there
//! SysTick      24 bits, the only one of M0 and M0+          cycles, or in emulation instructions
//! ```
//! Neither is trusted: [`Meter::check`] counts a loop of known length first.

use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
#[cfg(not(armv6m))]
use cortex_m::peripheral::{DCB, DWT};
use thumbformer::cycles::CycleCounter;

/// The Data Watchpoint and Trace unit's cycle counter (Arm DDI 0403E, C1.8.3), extended to 64 bits: it wraps after seconds, and has
/// to be looked at more often than that.
#[cfg(not(armv6m))]
pub struct Dwt {
    last: u32,
    before: u64,
}

#[cfg(not(armv6m))]
impl Dwt {
    /// Starts it, with or without a debugger: tracing is enabled, and the M7's lock opened (Arm DDI 0489F, 8.5: DWT_LAR).
    pub fn start(dcb: &mut DCB, dwt: &mut DWT) -> Dwt {
        dcb.enable_trace();
        DWT::unlock();
        dwt.set_cycle_count(0);
        dwt.enable_cycle_counter();
        Dwt { last: DWT::cycle_count(), before: 0 }
    }
}

#[cfg(not(armv6m))]
impl CycleCounter for Dwt {
    fn now(&mut self) -> u64 {
        let count = DWT::cycle_count();
        if count < self.last {
            self.before += 1 << 32;
        }
        self.last = count;
        self.before + u64::from(count)
    }

    fn unit(&self) -> &'static str {
        "cycles"
    }
}

/// SysTick, extended by its exception: ticks are cycles, or a ratio of instructions.
pub struct SysTick {
    unit: &'static str,
    /// Units in a number of ticks: `ticks * numerator / denominator`.
    ratio: (u64, u64),
}

/// 24 bits (Arm DDI 0403E, B3.3.4).
const RELOAD: u32 = 0x00ff_ffff;

/// Number of times that the counter has run out.
static OVERFLOWS: AtomicU32 = AtomicU32::new(0);

#[cortex_m_rt::exception]
fn SysTick() {
    OVERFLOWS.store(OVERFLOWS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

impl SysTick {
    /// Starts it with the core's clock.
    pub fn cycles(systick: SYST) -> SysTick {
        Self::start(systick, "cycles", (1, 1))
    }

    /// Starts it in an emulator in which virtual time follows instructions: `numerator` of them are `denominator` ticks.
    pub fn instructions(systick: SYST, numerator: u64, denominator: u64) -> SysTick {
        Self::start(systick, "instructions", (numerator, denominator))
    }

    fn start(mut systick: SYST, unit: &'static str, ratio: (u64, u64)) -> SysTick {
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(RELOAD);
        systick.clear_current();
        systick.enable_interrupt();
        systick.enable_counter();
        SysTick { unit, ratio }
    }
}

impl CycleCounter for SysTick {
    fn now(&mut self) -> u64 {
        loop {
            let overflows = OVERFLOWS.load(Ordering::Relaxed);
            let current = SYST::get_current();
            // Not while the counter ran out between the two.
            if OVERFLOWS.load(Ordering::Relaxed) == overflows {
                return u64::from(overflows) * (u64::from(RELOAD) + 1) + u64::from(RELOAD - current);
            }
        }
    }

    fn unit(&self) -> &'static str {
        self.unit
    }

    fn units(&self, ticks: u64) -> u64 {
        (ticks * self.ratio.0).div_ceil(self.ratio.1)
    }
}

/// Counter's unit and range.
#[derive(Clone, Copy)]
pub enum Meter {
    /// It moves.
    Counts {
        /// Unit that it counts.
        unit: &'static str,
        /// Thousandths of a unit that a turn of two instructions takes: 2000 where instructions are counted.
        turn_thousandths: u32,
    },
    /// It does not move: its figures would all be zero, and are never shown.
    Stands,
}

/// Turns of the loop that is counted.
const TURNS: u32 = 50_000;

impl Meter {
    /// Counts a loop of known length.
    pub fn check(counter: &mut impl CycleCounter) -> Meter {
        let start = counter.now();
        // `delay(n)` is a loop in assembly of `n + 1` turns, each a subtraction and a branch.
        cortex_m::asm::delay(TURNS - 1);
        match counter.since(start) {
            0 => Meter::Stands,
            counted => {
                Meter::Counts { unit: counter.unit(), turn_thousandths: (counted * 1000 / u64::from(TURNS)) as u32 }
            }
        }
    }

    /// The counter's name for its unit; `"none"` where nothing counts.
    pub fn unit(self) -> &'static str {
        match self {
            Meter::Counts { unit, .. } => unit,
            Meter::Stands => "none",
        }
    }

    /// A count, unless the counter stands.
    pub fn trusted(self, count: u64) -> Option<u64> {
        matches!(self, Meter::Counts { .. }).then_some(count)
    }
}
