//! What the benchmark programs share: the counter.
//!
//! ```text
//! SysTick under -icount ──► counter() ──► instructions of a call
//! ```
#![no_std]
#![deny(unsafe_code)]

use firmware::counter::{Meter, SysTick};

/// Starts the counter; ends the program with code 2 when it does not count instructions.
pub fn counter() -> SysTick {
    // An instruction takes 64 ns under `-icount shift=6`; SysTick runs at the core's clock.
    let clock_hz = const { firmware::decimal(env!("BOARD_CLOCK_HZ")) };
    let Some(peripherals) = cortex_m::Peripherals::take() else { semihosting::process::exit(3) };
    let mut counter = SysTick::instructions(peripherals.SYST, 1_000_000_000 / 64, clock_hz.into());
    match Meter::check(&mut counter) {
        Meter::Counts { turn_thousandths: 1995..2005, .. } => counter,
        Meter::Counts { turn_thousandths, .. } => {
            semihosting::println!("SysTick counts {} / 1000 for a loop of 2 instructions", turn_thousandths);
            semihosting::process::exit(2)
        }
        Meter::Stands => {
            semihosting::println!("SysTick does not count");
            semihosting::process::exit(2)
        }
    }
}
