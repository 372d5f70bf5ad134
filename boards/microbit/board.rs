//! BBC micro:bit v1: a Cortex-M0 at 16 MHz with 16 KiB of RAM, the smallest board here.
//!
//! ```text
//! crystal 16 MHz ──► core, flash without wait states
//!         ├──► TIMER0: the counter, as this M0 has no SysTick
//!         └──► UART, P0.24 and P0.25 ──► the interface chip's virtual COM port: text, 115200 baud
//! ```
//! Sections are those of Nordic's nRF51 Series Reference Manual v3.0.
#![no_std]

use chips::nrf::{Port, start_crystal};
use chips::{Chip, OnChip, Peripherals};
use nrf_pac::{GPIO, TIMER0, UART0, timer};
use thumbformer::cycles::CycleCounter;

chips::board!(Microbit, counter: Timer, port: Port, start: start, is_emulated: is_emulated);

fn start(_: Peripherals) -> OnChip<Microbit> {
    // The internal oscillator may be 5 % off (13.1.1).
    start_crystal(100_000);
    let port = Port::open(GPIO, TX_PIN, || {
        UART0.pseltxd().write_value(TX_PIN.into());
        UART0.pselrxd().write_value(RX_PIN.into());
    });
    OnChip { counter: Timer::start(), port, clock_hz: Microbit::CLOCK_HZ }
}

fn is_emulated(counter: &Timer) -> bool {
    counter.emulated
}

/// P0.24 and P0.25 (micro:bit v1.5 schematic: TGT_TX, TGT_RX).
const TX_PIN: u8 = 24;
const RX_PIN: u8 = 25;

/// TIMER0 at the core's own 16 MHz, 32 bits wide (18.1): a tick is a cycle.
///
/// In QEMU under `-icount shift=6` an instruction takes 64 ns, which is 1.024 ticks; there instructions are counted.
pub struct Timer {
    last: u32,
    before: u64,
    emulated: bool,
}

impl Timer {
    fn start() -> Timer {
        TIMER0.tasks_stop().write_value(1);
        TIMER0.bitmode().write(|w| w.set_bitmode(timer::vals::Bitmode::_32bit));
        TIMER0.prescaler().write(|w| w.set_prescaler(0));
        TIMER0.tasks_clear().write_value(1);
        TIMER0.tasks_start().write_value(1);
        let mut timer = Timer { last: 0, before: 0, emulated: false };
        timer.emulated = timer.is_emulated();
        timer
    }

    /// A turn of this loop, a subtraction and a taken branch, takes 4 cycles of an M0 (Arm DDI 0432C, table 3-1).
    fn is_emulated(&mut self) -> bool {
        const TURNS: u32 = 1_000;
        let start = self.now();
        cortex_m::asm::delay(TURNS - 1);
        self.now() - start < u64::from(3 * TURNS)
    }
}

impl CycleCounter for Timer {
    fn now(&mut self) -> u64 {
        TIMER0.tasks_capture(0).write_value(1);
        let count = TIMER0.cc(0).read();
        if count < self.last {
            self.before += 1 << 32;
        }
        self.last = count;
        self.before + u64::from(count)
    }

    fn unit(&self) -> &'static str {
        if self.emulated { "instructions" } else { "cycles" }
    }

    fn units(&self, ticks: u64) -> u64 {
        if self.emulated { (ticks * 1000).div_ceil(1024) } else { ticks }
    }
}
