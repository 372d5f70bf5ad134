//! ST Nucleo-N657X0-Q: a Cortex-M55 with Helium. The chip has no flash: program and weights are loaded into its RAM.
//!
//! ```text
//! debugger ──► AXI SRAM ──► caches ──► 600 MHz core
//! HSI 64 MHz ──► PLL1, 1200 MHz ──► IC1: core, IC2: buses at 400 MHz, IC6, IC11
//!    ├── the PLL does not lock: the core stays at 64 MHz, and says so
//!    └──► USART1, PE5 and PE6 ──► ST-LINK's virtual COM port: text, 115200 baud
//! ```
//! The core is in its secure state, as the boot ROM leaves it. Registers are those of ST's RM0486, chapter 14 (RCC).
#![no_std]

use chips::stm32::{Port, connect};
use chips::{Chip, OnChip, Peripherals};
use firmware::counter::Dwt;
use stm32_metapac::rcc::vals::{
    Cpusw, Cpusws, Hpre, Icint, Icsel, Plldivm, Pllmodssdis, Pllpdiv, Pllsel, Ppre, Syssw, Syssws, Uart16910sel,
};
use stm32_metapac::{GPIOE, RCC, USART1};

const HSI_HZ: u32 = 64_000_000;

/// CCR.LOB: loops (`le`) and branches are remembered (Arm DDI 0553B, CCR).
const LOOP_AND_BRANCH_CACHE: u32 = 1 << 19;

/// PLL1's index in arrays of registers.
const PLL1: usize = 0;

/// Dividers of 1200 MHz by their number: core, buses, NPU and its RAM; the last two must run for the buses to switch.
const DIVIDERS: [(usize, u8); 4] = [(1, 2), (2, 3), (6, 4), (11, 3)];

chips::board!(NucleoN657x0, counter: Dwt, port: Port, start: start);

fn start(mut core: Peripherals) -> OnChip<NucleoN657x0> {
    // SAFETY: this bit changes how fast loops run, not what they do.
    unsafe { core.SCB.ccr.modify(|ccr| ccr | LOOP_AND_BRANCH_CACHE) };
    core.SCB.enable_icache();
    core.SCB.enable_dcache(&mut core.CPUID);
    let clock_hz = if full_speed() { NucleoN657x0::CLOCK_HZ } else { HSI_HZ };
    OnChip { counter: Dwt::start(&mut core.DCB, &mut core.DWT), port: open_serial_port(), clock_hz }
}

/// 64 MHz / 4 · 75 = 1200 MHz from PLL1, a half of it for the core; false when core and PLL stay at HSI.
fn full_speed() -> bool {
    // The boot ROM may have left either on a PLL.
    RCC.cfgr().modify(|w| {
        w.set_cpusw(Cpusw::HSI);
        w.set_syssw(Syssw::HSI);
    });
    let on_hsi = || RCC.cfgr().read().cpusws() == Cpusws::HSI && RCC.cfgr().read().syssws() == Syssws::HSI;
    if !soon(on_hsi) || !start_pll() {
        return false;
    }
    RCC.cfgr2().modify(|w| {
        w.set_hpre(Hpre::DIV2);
        w.set_ppre1(Ppre::DIV1);
        w.set_ppre2(Ppre::DIV1);
    });
    for (number, divider) in DIVIDERS {
        RCC.iccfgr(number - 1).write(|w| {
            w.set_icsel(Icsel::PLL1);
            w.set_icint(Icint::from_bits(divider - 1));
        });
        RCC.divensr().write(|w| w.0 = 1 << (number - 1));
    }
    RCC.cfgr().modify(|w| {
        w.set_cpusw(Cpusw::IC1);
        w.set_syssw(Syssw::IC2);
    });
    soon(|| RCC.cfgr().read().cpusws() == Cpusws::IC1 && RCC.cfgr().read().syssws() == Syssws::IC2)
}

/// Stops PLL1, sets it up and starts it; false when it does not lock.
fn start_pll() -> bool {
    RCC.ccr().write(|w| w.set_pllonc(PLL1, true));
    if !soon(|| !RCC.sr().read().pllrdy(PLL1)) {
        return false;
    }
    RCC.pllcfgr1(PLL1).modify(|w| {
        w.set_pllbyp(false);
        w.set_pllsel(Pllsel::HSI);
        w.set_plldivm(Plldivm::from_bits(4));
        w.set_plldivn(75);
    });
    RCC.pllcfgr2(PLL1).modify(|w| w.set_plldivnfrac(0));
    RCC.pllcfgr3(PLL1).modify(|w| {
        // No spread spectrum, no fraction.
        w.set_pllmodssdis(Pllmodssdis::FRACTIONAL_DIVIDE);
        w.set_pllmodssrst(true);
        w.set_pllmoddsen(false);
        w.set_pllpdiv1(Pllpdiv::DIV1);
        w.set_pllpdiv2(Pllpdiv::DIV1);
        w.set_pllpdiven(true);
    });
    RCC.csr().write(|w| w.set_pllons(PLL1, true));
    soon(|| RCC.sr().read().pllrdy(PLL1))
}

/// A condition within some milliseconds of the 64 MHz clock: longer than a PLL ever takes.
fn soon(condition: impl Fn() -> bool) -> bool {
    chips::soon(100_000, condition)
}

/// PE5 and PE6 to USART1 (alternate function 7: DS14791); its clock is HSI, whatever the buses have.
fn open_serial_port() -> Port {
    RCC.ahb4ensr().write(|w| w.set_gpioeens(true));
    RCC.apb2ensr().write(|w| w.set_usart1ens(true));
    RCC.ccipr13().modify(|w| w.set_usart1sel(Uart16910sel::HSI_DIV));
    // A peripheral's clock comes some cycles after its enable bit; reading back takes as long.
    let _ = RCC.apb2enr().read();
    connect(GPIOE, [5, 6], 7);
    Port::open(USART1, HSI_HZ)
}
