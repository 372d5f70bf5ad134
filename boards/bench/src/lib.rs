//! Counter of the benchmark programs.
//!
//! ```text
//! SysTick under -icount ──► counter() ──► instructions of a call
//! ```
#![no_std]
#![deny(unsafe_code)]

use firmware::Stack;
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

/// Runs an inference on a painted stack and ends the program: prints the most bytes of stack that it had in use and the CRC-32 of its
/// outputs, hexadecimal and without `core::fmt`, which would be a part of the sizes that are measured.
pub fn measure_stack<E>(inference: impl FnOnce() -> Result<u32, E>) -> ! {
    let Some(stack) = Stack::paint() else { semihosting::process::exit(3) };
    let Ok(crc32) = inference() else { semihosting::process::exit(4) };
    let used = stack.used() as u32;
    let digit =
        |number: u32, index: usize| b"0123456789abcdef".get((number >> (28 - 4 * index)) as usize & 15).copied();
    let line: [u8; 17] = core::array::from_fn(|index| {
        match index {
            0..8 => digit(used, index),
            8 => None,
            _ => digit(crc32, index.saturating_sub(9)),
        }
        .unwrap_or(b' ')
    });
    if let Ok(mut console) = semihosting::io::stdout() {
        let _ = semihosting::io::Write::write_all(&mut console, &line);
    }
    semihosting::process::exit(0)
}
