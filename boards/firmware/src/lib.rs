//! Everything that a board does, but for its pins and clocks.
//!
//! ```text
//!            ┌──────── Board: console, counter, exit ────────┐
//! generate   prompt ──► Session ──► sampler ──► the story, on the console as it comes
//! classify   stored recordings, or numbers that arrive on the console ──► Session ──► labels
//! bench      kernels and models ──► cycles, by part
//! verify     golden inputs ──► CRC-32 of the outputs, against the host's; the float reference; the heap
//!            └──► a line of JSON for every result: on the console, and in the log (defmt)
//! fault      an overflow of the stack, or another fault ──► the log
//! ```
//! A line of JSON is what `cargo xtask` reads; the log is for people, and all that a debugger shows.
#![no_std]
#![deny(unsafe_code)]

mod bench;
mod classify;
pub mod counter;
pub mod fault;
mod generate;
mod kernels;
mod line;
mod numbers;
mod stack;
mod test_model;
mod verify;

pub use bench::{Bench, bench};
pub use classify::classify;
pub use generate::generate;
pub use kernels::{Case, Row, Workspace, kernels};
pub use line::Line;
pub use stack::Stack;
pub use test_model::{Input, InputBuffers, Signal, TestModel};
pub use verify::{FloatCheck, verify};

use thumbformer::Error;
use thumbformer::cycles::CycleCounter;

/// Longest command line, in bytes.
pub const LINE: usize = 256;

/// True if the program has the code for streams of sound.
pub const SOUND_STREAMS: bool = cfg!(feature = "sound-streams");
/// True if the program has the code for clips of sound that arrive and are heard as a whole.
pub const WHOLE_CLIPS: bool = cfg!(feature = "whole-clips");

/// Properties in which boards differ.
pub trait Board: Sized {
    /// The board's name, as in its folder.
    const NAME: &'static str;
    /// The backend that this board is built for; a mismatch stops the build.
    const BACKEND: &'static str;
    /// Counter: [`counter::Dwt`], [`counter::SysTick`] or a timer of the board's own.
    type Counter: CycleCounter;

    /// Sets clocks, caches, console and counter up; to be called once.
    fn take() -> Self;

    /// The counter.
    fn counter(&mut self) -> &mut Self::Counter;

    /// Hertz of the core.
    fn clock_hz(&self) -> u32;

    /// Sends text by the board's serial port.
    fn print(&mut self, text: &[u8]);

    /// The next byte that arrived by the serial port; `None` when nobody sends.
    fn receive(&mut self) -> Option<u8> {
        None
    }

    /// Request of an emulator's command line.
    ///
    /// `None` when it is longer than the buffer or not UTF-8: doing something else would be worse.
    fn arguments<'line>(&self, line: &'line mut [u8; LINE]) -> Option<&'line str> {
        let _ = line;
        Some("")
    }

    /// Ends the program; debuggers and emulators see the code.
    fn exit(&mut self, code: u8) -> !;
}

/// Codes of [`Board::exit`], beside 0.
mod code {
    /// The engine or the board refused something; the log says what.
    pub const FAILED: u8 = 1;
    /// A result is not what it has to be.
    pub const WRONG: u8 = 2;
}

/// `NAME`, `BACKEND` and `CLOCK_HZ` of the calling crate's manifest, as its build script hands them over.
#[macro_export]
macro_rules! manifest {
    () => {
        const NAME: &'static str = env!("CARGO_PKG_NAME");
        const BACKEND: &'static str = env!("BOARD_BACKEND");
        const CLOCK_HZ: u32 = $crate::decimal(env!("BOARD_CLOCK_HZ"));
    };
}

/// A number of a board's manifest, which its build script hands over as text.
pub const fn decimal(text: &str) -> u32 {
    match u32::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("a decimal number of 32 bits"),
    }
}

/// True if a board's backend is the one that it was built with; for a `const` assertion.
pub const fn has_backend(expected: &str) -> bool {
    let (found, expected) = (thumbformer::BACKEND.as_bytes(), expected.as_bytes());
    let mut same = found.len() == expected.len();
    let mut i = 0;
    while same && i < found.len() {
        same = found[i] == expected[i];
        i += 1;
    }
    same
}

/// Says what runs where, and whether the counter moves; paints the stack. Every application begins like this.
fn begin<B: Board>(board: &mut B, application: &str) -> counter::Meter {
    const { assert!(has_backend(B::BACKEND), "this board is for another backend: look at its target and its target-cpu") }
    let painted = Stack::paint().is_some();
    let clock = board.clock_hz();
    defmt::info!("{=str}: {=str}, backend {=str}, {=u32} Hz", B::NAME, application, thumbformer::BACKEND, clock);
    let meter = counter::Meter::check(board.counter());
    match meter {
        counter::Meter::Counts { unit, turn_thousandths } => {
            defmt::info!(
                "counter: {=str}; a turn of a loop of two instructions takes {=u32} / 1000",
                unit,
                turn_thousandths
            );
            if unit == "instructions" && !(1995..2005).contains(&turn_thousandths) {
                defmt::error!("the counter does not count instructions: run QEMU with -icount shift=6");
                board.exit(code::FAILED);
            }
        }
        counter::Meter::Stands => {
            defmt::warn!("the cycle counter does not move (an emulator has none): nothing is counted")
        }
    }
    if !painted {
        defmt::warn!("the stack pointer is not in the stack's region: its depth is not measured");
    }
    meter
}

/// Sends a result to the console and to the log.
fn report<B: Board>(board: &mut B, line: &Line) {
    defmt::println!("{=str}", line.as_str());
    board.print(line.as_str().as_bytes());
    board.print(b"\n");
}

/// Ends an application, and reports the most bytes of stack that it had in use, of [`begin`]'s paint.
fn end<B: Board>(mut board: B, result: Result<bool, Error>) -> ! {
    if let Some(bytes) = stack::used_by_program() {
        report(&mut board, &Line::new("stack").text("board", B::NAME).number("bytes", bytes as u64).end());
    }
    let code = match result {
        Ok(true) => 0,
        Ok(false) => code::WRONG,
        Err(error) => {
            defmt::error!("{}", error);
            code::FAILED
        }
    };
    board.exit(code)
}
