//! STM32F4: the flash's accelerator and the way from the internal oscillator to full speed.
//!
//! ```text
//! HSI 16 MHz ──► / 8 · N / 2: N MHz ──► core; APB1, APB2 by their dividers
//!    └── voltage or PLL do not get ready: the core stays at 16 MHz
//! ```

use crate::soon;
use stm32_metapac::flash::vals::Latency;
use stm32_metapac::rcc::vals::{Pllm, Plln, Pllp, Pllq, Pllsrc, Ppre, Sw};
use stm32_metapac::{FLASH, RCC};

/// The internal oscillator, within 1 % at room temperature, which serves a serial port.
pub const HSI_HZ: u32 = 16_000_000;

/// Looks that wait for the PLL: it locks in 300 µs (DS8626, table 36; DS10314, table 41), at 16 MHz 4800 cycles.
const LOOKS: u32 = 10_000;

/// Figures of a chip's full speed.
pub struct Speed {
    /// Hertz of the core, whole megahertz.
    pub clock_hz: u32,
    /// Wait states of the flash at this clock, 2.7 to 3.6 V.
    pub wait_states: u32,
    /// For USB and SDIO, which nothing here uses; 0 and 1 are not allowed.
    pub pllq: Pllq,
    /// Divider of APB1.
    pub apb1: Ppre,
    /// Divider of APB2.
    pub apb2: Ppre,
}

impl Speed {
    /// Prefetch, instruction and data cache of the flash and its wait states (FLASH_ACR), then the PLL; false when the core stays at
    /// HSI. `has_voltage` is asked once the PLL runs.
    pub fn reach(&self, has_voltage: impl Fn() -> bool) -> bool {
        let latency = Latency::from_bits(self.wait_states as u8);
        FLASH.acr().write(|w| {
            w.set_latency(latency);
            w.set_prften(true);
            w.set_icen(true);
            w.set_dcen(true);
        });
        RCC.pllcfgr().write(|w| {
            w.set_pllsrc(Pllsrc::HSI);
            w.set_pllm(Pllm::DIV8);
            w.set_plln(Plln::from_bits((self.clock_hz / 1_000_000) as u16));
            w.set_pllp(Pllp::DIV2);
            w.set_pllq(self.pllq);
        });
        RCC.cr().modify(|w| w.set_pllon(true));
        let locked = soon(LOOKS, || RCC.cr().read().pllrdy()) && soon(LOOKS, has_voltage);
        if !locked || !soon(LOOKS, || FLASH.acr().read().latency() == latency) {
            return false;
        }
        RCC.cfgr().modify(|w| {
            w.set_ppre1(self.apb1);
            w.set_ppre2(self.apb2);
            w.set_sw(Sw::PLL1_P);
        });
        soon(LOOKS, || RCC.cfgr().read().sws() == Sw::PLL1_P)
    }
}
