//! What both benchmark programs need: the counter, and the matrices that the build script made.
//!
//! ```text
//! SysTick under -icount ──► Counter ──► instructions of a call
//! ```
#![no_std]
#![deny(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use thumbformer::Packing;

/// A matrix of random integers in -127..=127.
pub struct Matrix {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// Row-major.
    pub integers: &'static [i8],
    /// As this core's kernels want them.
    pub packed: &'static [u32],
    /// One for each row.
    pub multipliers: &'static [i16],
    /// Integers in -7..=7, row-major.
    pub int4: &'static [i8],
    /// One for each row and group of columns.
    pub group_scales: &'static [u8],
    /// The int4 matrix as this core's kernels want it.
    pub int4_packed: &'static [u32],
}

include!(concat!(env!("OUT_DIR"), "/cases.rs"));

/// SysTick under `-icount shift=6`, where an instruction takes 64 ns of virtual time.
pub struct Counter(());

const RELOAD: u32 = 0x00ff_ffff;

/// How often the counter has run out: once in about ten million instructions.
static OVERFLOWS: AtomicU32 = AtomicU32::new(0);

#[cortex_m_rt::exception]
fn SysTick() {
    OVERFLOWS.store(OVERFLOWS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

impl Counter {
    /// Starts the counter; ends the program with code 2 when it does not count instructions.
    pub fn start() -> Counter {
        if let Some(mut peripherals) = cortex_m::Peripherals::take() {
            peripherals.SYST.set_clock_source(SystClkSource::Core);
            peripherals.SYST.set_reload(RELOAD);
            peripherals.SYST.clear_current();
            peripherals.SYST.enable_interrupt();
            peripherals.SYST.enable_counter();
        }
        let counter = Counter(());
        // `delay(n)` is a loop in assembly of `n + 1` turns, each a subtraction and a branch.
        const TURNS: u32 = 50_000;
        let counted = counter.measure(|| cortex_m::asm::delay(TURNS - 1));
        if !(2 * TURNS - 2..2 * TURNS + 8).contains(&counted) {
            semihosting::println!("SysTick counts {} for a loop of {} instructions", counted, 2 * TURNS);
            semihosting::process::exit(2);
        }
        counter
    }

    /// Ticks of SysTick so far, in instructions.
    pub fn instructions(&self, ticks: u64) -> u32 {
        // 64 ns are so many ticks at 25, 20 and 32 MHz.
        let (numerator, denominator) = match env!("THUMBFORMER_MACHINE").as_bytes() {
            b"an505" => (25, 32),
            b"an547" => (125, 256),
            _ => (5, 8),
        };
        (ticks * numerator).div_ceil(denominator) as u32
    }

    /// Ticks since the start.
    pub fn now(&self) -> u64 {
        loop {
            let overflows = OVERFLOWS.load(Ordering::Relaxed);
            let current = SYST::get_current();
            // Not while the counter ran out between the two.
            if OVERFLOWS.load(Ordering::Relaxed) == overflows {
                return u64::from(overflows) * (u64::from(RELOAD) + 1) + u64::from(RELOAD - current);
            }
        }
    }

    /// Instructions of one call: of two, less those of one, so that the reading itself does not count.
    pub fn measure(&self, mut call: impl FnMut()) -> u32 {
        let start = self.now();
        call();
        let middle = self.now();
        call();
        call();
        let end = self.now();
        self.instructions((end - middle).saturating_sub(middle - start))
    }
}
