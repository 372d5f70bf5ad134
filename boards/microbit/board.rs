//! BBC micro:bit v1: a Cortex-M0 at 16 MHz with 16 KiB of RAM, the smallest board here.
//!
//! ```text
//! crystal 16 MHz ──► core, flash without wait states
//!         ├──► TIMER0: the counter, as this M0 has no SysTick
//!         └──► UART, P0.24 and P0.25 ──► the interface chip's virtual COM port: text, 115200 baud
//! ```
//! Sections are those of Nordic's nRF51 Series Reference Manual v3.0.
#![no_std]

use firmware::{Board, LINE};
use nrf_pac::{CLOCK, GPIO, TIMER0, UART0, timer, uart};
use thumbformer::cycles::CycleCounter;

const CLOCK_HZ: u32 = 16_000_000;

/// P0.24 and P0.25 (micro:bit v1.5 schematic: TGT_TX, TGT_RX).
const TX_PIN: u32 = 24;
const RX_PIN: u32 = 25;

/// What a look at the receiver takes at least: nobody is taken to send any more after a second of looking.
const LOOK_CYCLES: u32 = 8;

/// The board.
pub type ThisBoard = Microbit;

/// A board whose clocks and serial port are set up.
pub struct Microbit {
    counter: Timer,
}

impl Board for Microbit {
    const NAME: &'static str = "microbit";
    const BACKEND: &'static str = "nosimd";
    type Counter = Timer;

    fn take() -> Microbit {
        start_crystal();
        open_serial_port();
        Microbit { counter: Timer::start() }
    }

    fn counter(&mut self) -> &mut Timer {
        &mut self.counter
    }

    fn clock_hz(&self) -> u32 {
        CLOCK_HZ
    }

    fn print(&mut self, text: &[u8]) {
        for &byte in text {
            UART0.events_txdrdy().write_value(0);
            UART0.txd().write(|w| w.set_txd(byte));
            while UART0.events_txdrdy().read() == 0 {}
        }
    }

    fn receive(&mut self) -> Option<u8> {
        let arrived = (0..CLOCK_HZ / LOOK_CYCLES).any(|_| UART0.events_rxdrdy().read() != 0);
        arrived.then(|| {
            // In this order: a byte that arrives in between sets the event again.
            UART0.events_rxdrdy().write_value(0);
            UART0.rxd().read().rxd()
        })
    }

    fn arguments<'line>(&self, line: &'line mut [u8; LINE]) -> Option<&'line str> {
        if self.counter.emulated { probe::arguments(line) } else { Some("") }
    }

    fn exit(&mut self, code: u8) -> ! {
        probe::exit(code)
    }
}

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

/// From the internal oscillator, which may be 5 % off, to the crystal (13.1.1); the core's clock stays 16 MHz.
fn start_crystal() {
    CLOCK.events_hfclkstarted().write_value(0);
    CLOCK.tasks_hfclkstart().write_value(1);
    // A crystal that never starts leaves the internal oscillator running: text may be garbled then, results are not.
    let _started = (0..100_000).any(|_| CLOCK.events_hfclkstarted().read() != 0);
}

/// 115200 baud (29.10.8), 8 bits, no parity, one stop bit as after reset (29.10.9).
fn open_serial_port() {
    // The pin idles high until the UART takes it over (29.2).
    GPIO.outset().write(|w| w.0 = 1 << TX_PIN);
    GPIO.dirset().write(|w| w.0 = 1 << TX_PIN);
    UART0.pseltxd().write_value(TX_PIN);
    UART0.pselrxd().write_value(RX_PIN);
    UART0.baudrate().write(|w| w.set_baudrate(uart::vals::Baudrate::Baud115200));
    UART0.enable().write(|w| w.set_enable(uart::vals::Enable::Enabled));
    UART0.tasks_starttx().write_value(1);
    UART0.tasks_startrx().write_value(1);
}
