//! ST Nucleo-F411RE: a Cortex-M4F whose flash is three wait states away at full speed, behind ST's ART accelerator.
//!
//! ```text
//! HSI 16 MHz ──► PLL ──► 100 MHz core, 50 MHz APB1 ──► USART2, PA2 and PA3 ──► ST-LINK's virtual COM port: text
//!    └── the PLL does not lock: the core stays at 16 MHz, and says so
//! ```
//! Sections are those of ST's RM0383.
#![no_std]

use chips::stm32::{Port, connect};
use chips::stm32f4::{HSI_HZ, Speed};
use chips::{Chip, OnChip, Peripherals};
use firmware::counter::Dwt;
use stm32_metapac::pwr::vals::Vos;
use stm32_metapac::rcc::vals::{Pllq, Ppre};
use stm32_metapac::{GPIOA, PWR, RCC, USART2};

chips::board!(NucleoF411re, counter: Dwt, port: Port, start: start);

fn start(mut core: Peripherals) -> OnChip<NucleoF411re> {
    let clock_hz = if full_speed() { NucleoF411re::CLOCK_HZ } else { HSI_HZ };
    let usart_hz = if clock_hz == HSI_HZ { HSI_HZ } else { clock_hz / 2 };
    // UM1724, 6.8: the ST-LINK listens at PA2 and PA3.
    OnChip { counter: Dwt::start(&mut core.DCB, &mut core.DWT), port: usart2(usart_hz), clock_hz }
}

/// APB1 at 50 MHz (6.3.3); false when the core stays at HSI.
fn full_speed() -> bool {
    RCC.apb1enr().modify(|w| w.set_pwren(true));
    // Above 84 MHz the regulator must be in scale 1; it gets there once the PLL runs (5.4.1).
    PWR.cr1().modify(|w| w.set_vos(Vos::SCALE1));
    let wait_states = firmware::decimal(env!("BOARD_WAIT_STATES"));
    let clock_hz = NucleoF411re::CLOCK_HZ;
    let speed = Speed { clock_hz, wait_states, pllq: Pllq::DIV5, apb1: Ppre::DIV2, apb2: Ppre::DIV1 };
    speed.reach(|| PWR.csr1().read().vosrdy())
}

/// USART2 on PA2 and PA3 (alternate function 7: DS10314, table 9).
fn usart2(clock_hz: u32) -> Port {
    RCC.ahb1enr().modify(|w| w.set_gpioaen(true));
    RCC.apb1enr().modify(|w| w.set_usart2en(true));
    // A peripheral's clock comes two cycles after its enable bit (errata ES0287); reading back takes as long.
    let _ = RCC.apb1enr().read();
    connect(GPIOA, [2, 3], 7);
    Port::open(USART2, clock_hz)
}
