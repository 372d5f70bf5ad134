//! RP2040 and RP2350: what the boot ROM looks for, the way to full speed, UART0 on GP0 and GP1.
//!
//! ```text
//! crystal 12 MHz ──► PLL: 1500 MHz / POSTDIV1 / 2 ──► core, UART0
//!         └── crystal or PLL do not get ready: the core stays at its ring oscillator
//! ```
//! Sections are those of the RP2040's datasheet, then of the RP2350's.

use crate::{BAUD, SerialPort, soon};
use rp_pac::clocks::vals::{ClkPeriCtrlAuxsrc, ClkRefCtrlSrc, ClkSysCtrlAuxsrc, ClkSysCtrlSrc};
use rp_pac::xosc::vals::{CtrlFreqRange, Enable};
use rp_pac::{CLOCKS, IO_BANK0, PADS_BANK0, PLL_SYS, RESETS, UART0, XOSC, resets};

/// Second stage of the RP2040's boot, which its ROM runs first: it sets up fast reads of the Pico's flash, a Winbond W25Q16JV (2.8.1).
#[cfg(feature = "rp2040")]
// SAFETY: the ROM alone reads this section, which the board's linker script puts where it looks.
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

/// Image definition, which the RP2350's boot ROM looks for (5.9.5, the smallest image definition for Arm): the block's first mark, a
/// secure executable for Arm and RP2350, the end of the items, no further block, the block's last mark.
#[cfg(feature = "rp235x")]
// SAFETY: the ROM alone reads this section, which the board's linker script puts where it looks.
#[unsafe(link_section = ".start_block")]
#[used]
static IMAGE: [u32; 5] = [0xffff_ded3, 0x1021_0142, 0x0000_01ff, 0, 0xab12_3579];

const CRYSTAL_HZ: u32 = 12_000_000;

/// The PLL's oscillator: 12 MHz · 125 (2.18.2; 8.6.3).
const PLL_HZ: u32 = 125 * CRYSTAL_HZ;

/// Looks that wait: at the ring oscillator's speed tens of milliseconds.
const LOOKS: u32 = 100_000;

/// Function 2 of GP0 and GP1: UART0 (2.19.2; 9.4).
const UART: u8 = 2;

/// From the ring oscillator to the crystal's PLL (2.15; 8.1); false when the core stays where it is.
pub fn full_speed(clock_hz: u32) -> bool {
    // A reset by the debugger leaves the clocks as they were: none may be changed while the core runs from it.
    CLOCKS.clk_sys_ctrl().modify(|w| w.set_src(ClkSysCtrlSrc::CLK_REF));
    CLOCKS.clk_ref_ctrl().modify(|w| w.set_src(ClkRefCtrlSrc::ROSC_CLKSRC_PH));
    if !soon(LOOKS, || selected() == (1, 1)) || !start_crystal() || !start_pll(clock_hz) {
        return false;
    }
    CLOCKS.clk_ref_ctrl().modify(|w| w.set_src(ClkRefCtrlSrc::XOSC_CLKSRC));
    CLOCKS.clk_sys_ctrl().modify(|w| w.set_auxsrc(ClkSysCtrlAuxsrc::CLKSRC_PLL_SYS));
    CLOCKS.clk_sys_ctrl().modify(|w| w.set_src(ClkSysCtrlSrc::CLKSRC_CLK_SYS_AUX));
    // The second source is the PLL.
    soon(LOOKS, || selected().0 == 2)
}

/// Sources of the core's and the reference clock, one bit for each.
fn selected() -> (u32, u32) {
    let (system, reference) = (CLOCKS.clk_sys_selected().read(), CLOCKS.clk_ref_selected().read());
    #[cfg(feature = "rp2040")]
    return (system, reference);
    #[cfg(not(feature = "rp2040"))]
    return (system.0, reference.0);
}

/// The crystal takes a millisecond, counted in 256 of its own cycles (2.16.3; 8.2.4).
fn start_crystal() -> bool {
    XOSC.startup().write(|w| w.set_delay((CRYSTAL_HZ / 1000).div_ceil(256) as u16));
    XOSC.ctrl().write(|w| {
        w.set_freq_range(CtrlFreqRange::_1_15MHZ);
        w.set_enable(Enable::ENABLE);
    });
    soon(LOOKS, || XOSC.status().read().stable())
}

/// The PLL's dividers for a clock; false when it does not lock.
fn start_pll(clock_hz: u32) -> bool {
    RESETS.reset().modify(|w| w.set_pll_sys(true));
    if !wake(|w| w.set_pll_sys(false), resets::regs::Peripherals::pll_sys) {
        return false;
    }
    PLL_SYS.cs().write(|w| w.set_refdiv(1));
    PLL_SYS.fbdiv_int().write(|w| w.set_fbdiv_int((PLL_HZ / CRYSTAL_HZ) as u16));
    PLL_SYS.pwr().modify(|w| {
        w.set_pd(false);
        w.set_vcopd(false);
    });
    if !soon(LOOKS, || PLL_SYS.cs().read().lock()) {
        return false;
    }
    PLL_SYS.prim().write(|w| {
        w.set_postdiv1((PLL_HZ / 2 / clock_hz) as u8);
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
    soon(LOOKS, || is_done(&RESETS.reset_done().read()))
}

/// UART0, open.
pub struct Port(());

impl Port {
    /// GP0 and GP1 to UART0, 8 bits, no parity, one stop bit, buffers of 32 bytes (4.2.7; 12.1.7).
    pub fn open(clock_hz: u32) -> Port {
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
            PADS_BANK0.gpio(pin).modify(|w| {
                w.set_ie(true);
                // After reset a pad of the RP2350 is isolated (9.7).
                #[cfg(feature = "rp235x")]
                w.set_iso(false);
            });
            IO_BANK0.gpio(pin).ctrl().write(|w| w.set_funcsel(UART));
        }
        Port(())
    }
}

impl SerialPort for Port {
    fn send(&mut self, byte: u8) {
        while UART0.uartfr().read().txff() {}
        UART0.uartdr().write(|w| w.set_data(byte));
    }

    fn received(&mut self) -> Option<u8> {
        (!UART0.uartfr().read().rxfe()).then(|| UART0.uartdr().read().data())
    }

    fn flush(&mut self) {
        while UART0.uartfr().read().busy() {}
    }
}
