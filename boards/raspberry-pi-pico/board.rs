//! Raspberry Pi Pico: a Cortex-M0+ at 125 MHz (RP2040); program and weights stay in external flash, read through a
//! cache (XIP).
//!
//! ```text
//! boot ROM ──► BOOT2, here ──► flash is mapped ──► program
//! crystal 12 MHz ──► PLL ──► 125 MHz core, UART0 ──► GP0 and GP1, pins 1 and 2 ──► the Debug Probe's serial port: text
//!         └── crystal or PLL do not get ready: the core stays at its ring oscillator, some 6 MHz, and says so
//! ```
//! Sections are those of the RP2040 datasheet.
#![no_std]

use firmware::Board;
use firmware::counter::SysTick;
use rp_pac::clocks::vals::{ClkPeriCtrlAuxsrc, ClkRefCtrlSrc, ClkSysCtrlAuxsrc, ClkSysCtrlSrc};
use rp_pac::xosc::vals::{CtrlFreqRange, Enable};
use rp_pac::{CLOCKS, IO_BANK0, PADS_BANK0, PLL_SYS, RESETS, UART0, XOSC, resets};

/// What the boot ROM runs first: it sets up fast reads of the Pico's flash, a Winbond W25Q16JV (2.8.1).
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

const CRYSTAL_HZ: u32 = 12_000_000;
const FULL_HZ: u32 = 125_000_000;
/// The ring oscillator after the boot ROM (2.17); it is no precise one, so that text is garbled at that speed.
const RING_HZ: u32 = 6_500_000;
const BAUD: u32 = 115_200;

/// What a look at the receiver takes at least: nobody is taken to send any more after a second of looking.
const LOOK_CYCLES: u32 = 8;

/// Function 2 of GP0 and GP1: UART0 (2.19.2).
const UART: u8 = 2;

/// The board.
pub type ThisBoard = Pico;

/// A board whose clocks and serial port are set up.
pub struct Pico {
    counter: SysTick,
    clock_hz: u32,
}

impl Board for Pico {
    const NAME: &'static str = "raspberry-pi-pico";
    const BACKEND: &'static str = "nosimd";
    type Counter = SysTick;

    fn take() -> Pico {
        let Some(core) = cortex_m::Peripherals::take() else { panic!("the board was taken before") };
        let clock_hz = if full_speed() { FULL_HZ } else { RING_HZ };
        open_serial_port(clock_hz);
        Pico { counter: SysTick::cycles(core.SYST), clock_hz }
    }

    fn counter(&mut self) -> &mut SysTick {
        &mut self.counter
    }

    fn clock_hz(&self) -> u32 {
        self.clock_hz
    }

    fn print(&mut self, text: &[u8]) {
        for &byte in text {
            while UART0.uartfr().read().txff() {}
            UART0.uartdr().write(|w| w.set_data(byte));
        }
    }

    fn receive(&mut self) -> Option<u8> {
        let arrived = (0..self.clock_hz / LOOK_CYCLES).any(|_| !UART0.uartfr().read().rxfe());
        arrived.then(|| UART0.uartdr().read().data())
    }

    fn exit(&mut self, code: u8) -> ! {
        while UART0.uartfr().read().busy() {}
        probe::exit(code)
    }
}

/// From the ring oscillator to the crystal's PLL (2.15); false when the core stays where it is.
fn full_speed() -> bool {
    // A reset by the debugger leaves the clocks as they were: none may be changed while the core runs from it.
    CLOCKS.clk_sys_ctrl().modify(|w| w.set_src(ClkSysCtrlSrc::CLK_REF));
    CLOCKS.clk_ref_ctrl().modify(|w| w.set_src(ClkRefCtrlSrc::ROSC_CLKSRC_PH));
    let on_ring = || CLOCKS.clk_sys_selected().read() == 1 && CLOCKS.clk_ref_selected().read() == 1;
    if !soon(on_ring) || !start_crystal() || !start_pll() {
        return false;
    }
    CLOCKS.clk_ref_ctrl().modify(|w| w.set_src(ClkRefCtrlSrc::XOSC_CLKSRC));
    CLOCKS.clk_sys_ctrl().modify(|w| w.set_auxsrc(ClkSysCtrlAuxsrc::CLKSRC_PLL_SYS));
    CLOCKS.clk_sys_ctrl().modify(|w| w.set_src(ClkSysCtrlSrc::CLKSRC_CLK_SYS_AUX));
    // One bit for each source: the second is the PLL.
    soon(|| CLOCKS.clk_sys_selected().read() == 2)
}

/// The crystal takes a millisecond, counted in 256 of its own cycles (2.16.3).
fn start_crystal() -> bool {
    XOSC.startup().write(|w| w.set_delay((CRYSTAL_HZ / 1000).div_ceil(256) as u16));
    XOSC.ctrl().write(|w| {
        w.set_freq_range(CtrlFreqRange::_1_15MHZ);
        w.set_enable(Enable::ENABLE);
    });
    soon(|| XOSC.status().read().stable())
}

/// 12 MHz · 125 / 6 / 2 = 125 MHz (2.18.2).
fn start_pll() -> bool {
    RESETS.reset().modify(|w| w.set_pll_sys(true));
    if !wake(|w| w.set_pll_sys(false), resets::regs::Peripherals::pll_sys) {
        return false;
    }
    PLL_SYS.cs().write(|w| w.set_refdiv(1));
    PLL_SYS.fbdiv_int().write(|w| w.set_fbdiv_int(125));
    PLL_SYS.pwr().modify(|w| {
        w.set_pd(false);
        w.set_vcopd(false);
    });
    if !soon(|| PLL_SYS.cs().read().lock()) {
        return false;
    }
    PLL_SYS.prim().write(|w| {
        w.set_postdiv1(6);
        w.set_postdiv2(2);
    });
    PLL_SYS.pwr().modify(|w| w.set_postdivpd(false));
    true
}

/// Takes a part of the chip out of reset; false when it stays there.
fn wake(
    part: impl FnOnce(&mut resets::regs::Peripherals),
    is_done: impl Fn(&resets::regs::Peripherals) -> bool,
) -> bool {
    RESETS.reset().modify(part);
    soon(|| is_done(&RESETS.reset_done().read()))
}

/// Whether a condition comes true in a while: at the ring oscillator's speed tens of milliseconds.
fn soon(condition: impl Fn() -> bool) -> bool {
    (0..100_000).any(|_| condition())
}

/// GP0 and GP1 to UART0, 8 bits, no parity, one stop bit, buffers of 32 bytes (4.2.7).
fn open_serial_port(clock_hz: u32) {
    CLOCKS.clk_peri_ctrl().write(|w| {
        w.set_auxsrc(ClkPeriCtrlAuxsrc::CLK_SYS);
        w.set_enable(true);
    });
    let _woken = wake(|w| w.set_io_bank0(false), resets::regs::Peripherals::io_bank0)
        && wake(|w| w.set_pads_bank0(false), resets::regs::Peripherals::pads_bank0)
        && wake(|w| w.set_uart0(false), resets::regs::Peripherals::uart0);
    // The divider in 64ths of a sixteenth of the clock, rounded.
    let divider = (8 * clock_hz / BAUD).div_ceil(2);
    UART0.uartibrd().write(|w| w.set_baud_divint((divider / 64) as u16));
    UART0.uartfbrd().write(|w| w.set_baud_divfrac((divider % 64) as u8));
    UART0.uartlcr_h().write(|w| {
        w.set_wlen(3);
        w.set_fen(true);
    });
    UART0.uartcr().write(|w| {
        w.set_uarten(true);
        w.set_txe(true);
        w.set_rxe(true);
    });
    for pin in [0, 1] {
        PADS_BANK0.gpio(pin).modify(|w| w.set_ie(true));
        IO_BANK0.gpio(pin).ctrl().write(|w| w.set_funcsel(UART));
    }
}
