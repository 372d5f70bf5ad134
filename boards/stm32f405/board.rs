//! STM32F405: a Cortex-M4F whose flash is five wait states away at full speed, behind ST's ART accelerator.
//!
//! ```text
//! HSI 16 MHz ──► PLL ──► 168 MHz core, 84 MHz APB2 ──► USART1 on PA9, PA10: text, 115200 baud
//!    └── the PLL does not lock: the core stays at 16 MHz, and says so
//! ```
//! No crystal is used, as it differs between boards with this chip. Sections are those of ST's RM0090.
#![no_std]

use chips::stm32::{Port, connect};
use chips::stm32f4::{HSI_HZ, Speed};
use chips::{Chip, OnChip, Peripherals};
use firmware::counter::Dwt;
use stm32_metapac::rcc::vals::{Pllq, Ppre};
use stm32_metapac::{GPIOA, RCC, USART1};

/// APB1 at 42 and APB2 at 84 MHz (7.3.3); the regulator's scale 1, which this speed needs, is the F405's reset value (5.4.1).
const SPEED: Speed = Speed {
    clock_hz: Stm32f405::CLOCK_HZ,
    wait_states: firmware::decimal(env!("BOARD_WAIT_STATES")),
    pllq: Pllq::DIV7,
    apb1: Ppre::DIV4,
    apb2: Ppre::DIV2,
};

chips::board!(Stm32f405, counter: Dwt, port: Port, start: start, is_emulated: is_emulated);

fn start(mut core: Peripherals) -> OnChip<Stm32f405> {
    let full = SPEED.reach(|| true);
    let (clock_hz, usart_hz) = if full { (Stm32f405::CLOCK_HZ, Stm32f405::CLOCK_HZ / 2) } else { (HSI_HZ, HSI_HZ) };
    OnChip { counter: Dwt::start(&mut core.DCB, &mut core.DWT), port: open_serial_port(usart_hz), clock_hz }
}

/// QEMU's machine has no clock control, its registers read 0; in a chip HSI at least is on (RCC_CR, 7.3.1).
fn is_emulated(_: &Dwt) -> bool {
    RCC.cr().read().0 == 0
}

/// USART1 on PA9 and PA10 (alternate function 7: DS8626, table 9).
fn open_serial_port(clock_hz: u32) -> Port {
    RCC.ahb1enr().modify(|w| w.set_gpioaen(true));
    RCC.apb2enr().modify(|w| w.set_usart1en(true));
    // A peripheral's clock comes two cycles after its enable bit (errata ES0182, 2.2.13); reading back takes as long.
    let _ = RCC.apb2enr().read();
    connect(GPIOA, [9, 10], 7);
    Port::open(USART1, clock_hz)
}
