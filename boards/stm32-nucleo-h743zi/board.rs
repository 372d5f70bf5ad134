//! ST Nucleo-H743ZI (and -H743ZI2): a Cortex-M7F, its flash behind caches, its variables in tightly coupled memory.
//!
//! ```text
//! HSI 64 MHz ──► PLL1 ──► 480 MHz core; chips of revision Y: 400 MHz
//!    ├── voltage or PLL do not get ready: the core stays at 64 MHz, and says so
//!    └──► USART3, PD8 and PD9 ──► ST-LINK's virtual COM port: text, 115200 baud
//! ```
//! HSI is within 1 % at room temperature, which serves a serial port. Sections are those of ST's RM0433.
#![no_std]

use chips::stm32::{Port, connect};
use chips::{Chip, OnChip, Peripherals};
use firmware::counter::Dwt;
use stm32_metapac::pwr::vals::Vos;
use stm32_metapac::rcc::vals::{Hpre, Plldiv, Pllm, Plln, Pllrge, Pllsrc, Pllvcosel, Ppre, Sw, Usart234578sel};
use stm32_metapac::{DBGMCU, FLASH, GPIOD, PWR, RCC, SYSCFG, USART3};

const HSI_HZ: u32 = 64_000_000;

/// DBGMCU_IDC, 60.5.8: the first revision that runs at 480 MHz.
const REVISION_V: u16 = 0x2003;

chips::board!(NucleoH743zi, counter: Dwt, port: Port, start: start);

fn start(mut core: Peripherals) -> OnChip<NucleoH743zi> {
    core.SCB.enable_icache();
    core.SCB.enable_dcache(&mut core.CPUID);
    let full_hz = if DBGMCU.idc().read().rev_id() >= REVISION_V { NucleoH743zi::CLOCK_HZ } else { 400_000_000 };
    let clock_hz = if raise_voltage(full_hz) && full_speed(full_hz) { full_hz } else { HSI_HZ };
    OnChip { counter: Dwt::start(&mut core.DCB, &mut core.DWT), port: open_serial_port(), clock_hz }
}

/// The regulator's scale 1 for 400 MHz, and scale 0, its overdrive, for 480 MHz (6.6.2); false when it fails.
fn raise_voltage(core_hz: u32) -> bool {
    // The supply must be confirmed once before the voltage may change (6.8.4): the internal regulator, as after reset.
    PWR.cr3().modify(|w| {
        w.set_scuen(true);
        w.set_ldoen(true);
        w.set_bypass(false);
    });
    if !soon(|| PWR.csr1().read().actvosrdy()) {
        return false;
    }
    PWR.d3cr().modify(|w| w.set_vos(Vos::SCALE1));
    if !soon(|| PWR.d3cr().read().vosrdy()) || core_hz <= 400_000_000 {
        return PWR.d3cr().read().vosrdy();
    }
    RCC.apb4enr().modify(|w| w.set_syscfgen(true));
    let _ = RCC.apb4enr().read();
    SYSCFG.pwrcr().modify(|w| w.set_oden(1));
    soon(|| PWR.d3cr().read().vosrdy())
}

/// 64 MHz / 4 · 60 / 2 = 480 MHz, or · 50 for 400 (8.7.10 to 8.7.12); buses at half, APBs at a quarter (8.7.6 to
/// 8.7.8); false when the PLL does not lock.
fn full_speed(core_hz: u32) -> bool {
    RCC.pllckselr().modify(|w| {
        w.set_pllsrc(Pllsrc::HSI);
        w.set_divm(0, Pllm::DIV4);
    });
    RCC.pllcfgr().modify(|w| {
        w.set_pllvcosel(0, Pllvcosel::WIDE_VCO);
        w.set_pllrge(0, Pllrge::RANGE8);
        w.set_divpen(0, true);
    });
    RCC.plldivr(0).modify(|w| {
        w.set_plln(if core_hz == 480_000_000 { Plln::MUL60 } else { Plln::MUL50 });
        w.set_pllp(Plldiv::DIV2);
    });
    RCC.cr().modify(|w| w.set_pllon(0, true));
    // 4.3.8, table 17; the same serves 200 MHz at VOS1, which would need two.
    FLASH.acr().write(|w| {
        w.set_latency(4);
        w.set_wrhighfreq(2);
    });
    if !soon(|| RCC.cr().read().pllrdy(0)) || !soon(|| FLASH.acr().read().latency() == 4) {
        return false;
    }
    divide_buses();
    RCC.cfgr().modify(|w| w.set_sw(Sw::PLL1_P));
    soon(|| RCC.cfgr().read().sws() == Sw::PLL1_P)
}

fn divide_buses() {
    RCC.d1cfgr().modify(|w| {
        w.set_d1cpre(Hpre::DIV1);
        w.set_hpre(Hpre::DIV2);
        w.set_d1ppre(Ppre::DIV2);
    });
    RCC.d2cfgr().modify(|w| {
        w.set_d2ppre1(Ppre::DIV2);
        w.set_d2ppre2(Ppre::DIV2);
    });
    RCC.d3cfgr().modify(|w| w.set_d3ppre(Ppre::DIV2));
}

/// A condition within a few milliseconds of the 64 MHz clock: longer than voltage and PLL ever take.
fn soon(condition: impl Fn() -> bool) -> bool {
    chips::soon(100_000, condition)
}

/// PD8 and PD9 to USART3 (alternate function 7: DS12110, table 12); its clock is HSI, whatever the buses have (8.7.20). UM2407, 6.9: the
/// ST-LINK listens there.
fn open_serial_port() -> Port {
    RCC.ahb4enr().modify(|w| w.set_gpioden(true));
    RCC.apb1lenr().modify(|w| w.set_usart3en(true));
    RCC.d2ccip2r().modify(|w| w.set_usart234578sel(Usart234578sel::HSI));
    // A peripheral's clock comes two cycles after its enable bit (8.5.11); reading back takes as long.
    let _ = RCC.apb1lenr().read();
    connect(GPIOD, [8, 9], 7);
    Port::open(USART3, HSI_HZ)
}
