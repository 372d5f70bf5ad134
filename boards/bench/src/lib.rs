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
    // An instruction takes 64 ns under `-icount shift=6`; these are the clocks of SysTick.
    let clock_hz = match env!("THUMBFORMER_MACHINE").as_bytes() {
        b"an505" => 20_000_000,
        b"an547" => 32_000_000,
        _ => 25_000_000,
    };
    let Some(peripherals) = cortex_m::Peripherals::take() else { semihosting::process::exit(3) };
    let mut counter = SysTick::instructions(peripherals.SYST, 1_000_000_000 / 64, clock_hz);
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
