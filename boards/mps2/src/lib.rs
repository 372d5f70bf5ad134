//! Arm's MPS2+ and MPS3 boards as QEMU emulates them: the console is UART 0, the log goes by semihosting, SysTick counts instructions.
//!
//! ```text
//! Machine: a name, an address, a clock ──► Mps2<Machine>, a Board
//! QEMU -icount shift=6: an instruction is 64 ns of virtual time ──► ticks of SysTick ──► instructions
//! ```
#![no_std]

use core::marker::PhantomData;
use firmware::counter::SysTick;
use firmware::fault::Fault;
pub use firmware::manifest;
use firmware::{Board, LINE};
use volatile_register::{RO, RW};
use {defmt_semihosting as _, panic_probe as _};

/// Facts that differ between these boards.
pub trait Machine {
    /// Name: its folder's.
    const NAME: &'static str;
    /// Backend that its firmware must have.
    const BACKEND: &'static str;
    /// Address of UART 0.
    const UART: usize;
    /// Hertz of the core, and of SysTick.
    const CLOCK_HZ: u32;
}

/// The board of the calling crate, from the address of its UART 0; all else is in its manifest.
#[macro_export]
macro_rules! board {
    (uart: $uart:literal) => {
        /// The machine.
        pub struct Machine;

        impl $crate::Machine for Machine {
            $crate::manifest!();
            const UART: usize = $uart;
        }

        /// The board.
        pub type ThisBoard = $crate::Mps2<Machine>;
    };
}

/// CMSDK APB UART (Arm DDI 0479D, table 4-5), as far as it is used.
#[repr(C)]
struct Uart {
    data: RW<u32>,
    /// Bit 0: the transmit buffer is full; bit 1: the receive buffer is.
    state: RO<u32>,
    /// Bit 0: transmit enable; bit 1: receive enable.
    control: RW<u32>,
    interrupt: RW<u32>,
    /// Divider of the clock, at least 16.
    baud_divider: RW<u32>,
}

/// Nanoseconds of virtual time that an instruction takes under `-icount shift=6`.
const NANOSECONDS: u64 = 64;

/// Number of reads of an empty receive buffer after which nobody sends any more: a second of virtual time and more.
const LOOKS: u32 = 2_000_000;

/// A board.
pub struct Mps2<M> {
    uart: &'static Uart,
    counter: SysTick,
    machine: PhantomData<M>,
}

impl<M: Machine> Board for Mps2<M> {
    const NAME: &'static str = M::NAME;
    const BACKEND: &'static str = M::BACKEND;
    type Counter = SysTick;

    fn take() -> Self {
        // SAFETY: UART 0 lies at this address (see the machine's manual), the type has its register layout, and nothing else in the
        // program makes a reference to it.
        let uart = unsafe { &*(M::UART as *const Uart) };
        let Some(peripherals) = cortex_m::Peripherals::take() else { panic!("the board was taken before") };
        // SAFETY: the values are those of the manual: a divider of 16, both directions enabled, no interrupt.
        unsafe {
            uart.baud_divider.write(16);
            uart.control.write(3);
        }
        let counter = SysTick::instructions(peripherals.SYST, 1_000_000_000 / NANOSECONDS, M::CLOCK_HZ.into());
        Mps2 { uart, counter, machine: PhantomData }
    }

    fn counter(&mut self) -> &mut SysTick {
        &mut self.counter
    }

    fn clock_hz(&self) -> u32 {
        M::CLOCK_HZ
    }

    fn print(&mut self, text: &[u8]) {
        for &byte in text {
            while self.uart.state.read() & 1 != 0 {}
            // SAFETY: any byte may be sent.
            unsafe { self.uart.data.write(byte.into()) };
        }
    }

    fn receive(&mut self) -> Option<u8> {
        let arrived = (0..LOOKS).any(|_| self.uart.state.read() & 2 != 0);
        arrived.then(|| self.uart.data.read() as u8)
    }

    fn arguments<'line>(&self, line: &'line mut [u8; LINE]) -> Option<&'line str> {
        let mut raw = [core::mem::MaybeUninit::uninit(); LINE];
        let found = semihosting::sys::arm_compat::sys_get_cmdline_uninit(&mut raw).map(|line| &*line).ok()?;
        let copy = line.get_mut(..found.len())?;
        copy.copy_from_slice(found);
        // Bytes, as trimming a string would bring the text of its panics into the firmware.
        let end = copy.iter().position(|&byte| byte == 0).unwrap_or(copy.len());
        core::str::from_utf8(copy.get(..end)?).ok()
    }

    fn exit(&mut self, code: u8) -> ! {
        semihosting::process::exit(code.into())
    }
}

firmware::fault_handler!(end);

/// The end of a program that faulted, with the exit code of a Rust program that panicked on the host.
fn end(fault: Fault) -> ! {
    fault.report();
    semihosting::process::exit(101)
}
