//! Code shared by the chips of one family, and by all boards with a debug probe.
//!
//! ```text
//! a board: pins, figures ──► Chip::start: clocks, counter, serial port ──► OnChip, a firmware::Board
//! stm32f4, stm32, rp, nrf ──► clocks and serial ports by family
//! ```
#![no_std]

#[cfg(feature = "nrf")]
pub mod nrf;
#[cfg(any(feature = "rp2040", feature = "rp235x"))]
pub mod rp;
#[cfg(any(feature = "stm32f4", feature = "stm32h7", feature = "stm32n6"))]
pub mod stm32;
#[cfg(feature = "stm32f4")]
pub mod stm32f4;

pub use cortex_m::Peripherals;
pub use firmware::manifest;
use firmware::{Board, LINE};
use thumbformer::cycles::CycleCounter;

/// Bits a second of every serial port: 8N1.
pub const BAUD: u32 = 115_200;

/// Cycles that a look at the receiver takes at least: nobody is taken to send any more after a second of looking.
const LOOK_CYCLES: u32 = 8;

/// A serial port that is open.
pub trait SerialPort {
    /// Sends a byte, once there is room for it.
    fn send(&mut self, byte: u8);

    /// The byte that arrived, if one has.
    fn received(&mut self) -> Option<u8>;

    /// Waits until the last byte has left.
    fn flush(&mut self) {}
}

/// A chip, wired as on its board.
pub trait Chip: Sized {
    /// Name: the folder's.
    const NAME: &'static str;
    /// Backend that the firmware must have.
    const BACKEND: &'static str;
    /// Hertz of the core at full speed.
    const CLOCK_HZ: u32;
    /// Cycle counter.
    type Counter: CycleCounter;
    /// Serial port.
    type Port: SerialPort;

    /// Sets supply, clocks, caches, counter and serial port up.
    fn start(core: Peripherals) -> OnChip<Self>;

    /// `true` when an emulator runs the program, which then has a command line.
    fn is_emulated(counter: &Self::Counter) -> bool {
        let _ = counter;
        false
    }
}

/// The board of the calling crate: its name, counter and serial port, and the function that sets them up.
#[macro_export]
macro_rules! board {
    ($chip:ident, counter: $counter:ty, port: $port:ty, start: $start:path $(, is_emulated: $is_emulated:path)?) => {
        /// The chip on this board.
        pub struct $chip;

        /// The board.
        pub type ThisBoard = $crate::OnChip<$chip>;

        impl $crate::Chip for $chip {
            $crate::manifest!();
            type Counter = $counter;
            type Port = $port;

            fn start(core: $crate::Peripherals) -> $crate::OnChip<Self> {
                $start(core)
            }
            $(
                fn is_emulated(counter: &$counter) -> bool {
                    $is_emulated(counter)
                }
            )?
        }
    };
}

/// A board that is set up.
pub struct OnChip<C: Chip> {
    /// Cycle counter.
    pub counter: C::Counter,
    /// Serial port.
    pub port: C::Port,
    /// Hertz of the core.
    pub clock_hz: u32,
}

impl<C: Chip> Board for OnChip<C> {
    const NAME: &'static str = C::NAME;
    const BACKEND: &'static str = C::BACKEND;
    type Counter = C::Counter;

    fn take() -> Self {
        let Some(core) = Peripherals::take() else { panic!("the board was taken before") };
        C::start(core)
    }

    fn counter(&mut self) -> &mut C::Counter {
        &mut self.counter
    }

    fn clock_hz(&self) -> u32 {
        self.clock_hz
    }

    fn print(&mut self, text: &[u8]) {
        text.iter().for_each(|&byte| self.port.send(byte));
    }

    fn receive(&mut self) -> Option<u8> {
        (0..self.clock_hz / LOOK_CYCLES).find_map(|_| self.port.received())
    }

    fn arguments<'line>(&self, line: &'line mut [u8; LINE]) -> Option<&'line str> {
        if C::is_emulated(&self.counter) { probe::arguments(line) } else { Some("") }
    }

    fn exit(&mut self, code: u8) -> ! {
        self.port.flush();
        probe::exit(code)
    }
}

/// A condition that comes true within so many looks, or false: no wait for hardware is without an end.
pub fn soon(looks: u32, condition: impl Fn() -> bool) -> bool {
    (0..looks).any(|_| condition())
}
