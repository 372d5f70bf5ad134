//! UART, counter and command line of the emulated board.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use firmware::Board;
use thumbformer::cycles::CycleCounter;
use volatile_register::{RO, RW};

/// CMSDK APB UART (Arm DDI 0479D, table 4-5), the registers that sending needs.
#[repr(C)]
struct Uart {
    data: RW<u32>,
    /// Bit 0: the transmit buffer is full.
    state: RO<u32>,
    /// Bit 0: transmit enable.
    control: RW<u32>,
    interrupt: RW<u32>,
    /// Divider of the clock, at least 16.
    baud_divider: RW<u32>,
}

/// SysTick under `-icount shift=6`: an instruction takes 64 ns of virtual time, a tick of the 25 MHz clock 40 ns, so 8 ticks
/// are 5 instructions. 24 bits of ticks are 10 million instructions.
pub struct Instructions(SYST);

const RELOAD: u32 = 0x00ff_ffff;

impl CycleCounter for Instructions {
    fn now(&mut self) -> u32 {
        RELOAD - SYST::get_current()
    }

    fn since(&mut self, start: u32) -> u32 {
        let ticks = self.now().wrapping_sub(start) & RELOAD;
        (u64::from(ticks) * 5 / 8) as u32
    }
}

/// What the emulator's command line asks for (`-semihosting-config arg=…`).
pub struct Settings<'line> {
    /// Most steps.
    pub steps: usize,
    /// What determines the draws.
    pub seed: u64,
    /// Whether to go on after the end token.
    pub ignore_end: bool,
    /// How the story begins.
    pub prompt: &'line str,
}

/// Longest command line, in bytes.
pub const LINE: usize = 256;

/// The board.
pub struct Mps2 {
    uart: &'static Uart,
    counter: Instructions,
}

impl Mps2 {
    /// Sets UART and counter up; to be called once.
    pub fn take() -> Mps2 {
        // SAFETY: UART 0 of the AN386 lies at this address (Arm DAI 0386, table 3-2), the type has its register layout, and
        // nothing else in this program makes a reference to it.
        let uart = unsafe { &*(0x4000_4000 as *const Uart) };
        let Some(mut peripherals) = cortex_m::Peripherals::take() else { panic!("the board was taken before") };
        // SAFETY: the values are those of the manual: a divider of 16, transmit enabled, no interrupt.
        unsafe {
            uart.baud_divider.write(16);
            uart.control.write(1);
        }
        peripherals.SYST.set_clock_source(SystClkSource::Core);
        peripherals.SYST.set_reload(RELOAD);
        peripherals.SYST.clear_current();
        peripherals.SYST.enable_counter();
        Mps2 { uart, counter: Instructions(peripherals.SYST) }
    }

    /// Whether the counter counts instructions: a loop of known length is counted in this very run.
    pub fn counts_instructions(&mut self) -> bool {
        const TURNS: u32 = 50_000;
        let start = self.counter.now();
        // `delay(n)` is a loop in assembly of `n + 1` turns, each a subtraction and a branch.
        cortex_m::asm::delay(TURNS - 1);
        let counted = self.counter.since(start);
        defmt::info!("counter: a loop of {=u32} instructions was counted as {=u32}", 2 * TURNS, counted);
        // What remains is the reading of the counter itself.
        counted.checked_sub(2 * TURNS).is_some_and(|overhead| overhead < 32)
    }

    /// What the command line asks for: `steps=N seed=N ignore-end prompt=TEXT TO THE END OF THE LINE`.
    ///
    /// `None` when it is longer than the buffer or not UTF-8: telling another story would be worse.
    pub fn settings<'line>(&self, line: &'line mut [u8; LINE]) -> Option<Settings<'line>> {
        let mut settings = Settings { steps: 250, seed: 14, ignore_end: false, prompt: "Once upon a time, there was" };
        let line = command_line(line)?;
        let (words, prompt) = line.split_once(" prompt=").unwrap_or((line, settings.prompt));
        settings.prompt = prompt;
        for word in words.split(' ') {
            match word.split_once('=') {
                Some(("steps", value)) => settings.steps = value.parse().unwrap_or(settings.steps),
                Some(("seed", value)) => settings.seed = value.parse().unwrap_or(settings.seed),
                _ => settings.ignore_end |= word == "ignore-end",
            }
        }
        Some(settings)
    }
}

impl Board for Mps2 {
    const NAME: &'static str = "qemu-mps2-an386";
    const BACKEND: &'static str = "dsp";
    const UNIT: &'static str = "instructions";

    fn print(&mut self, text: &[u8]) {
        for &byte in text {
            while self.uart.state.read() & 1 != 0 {}
            // SAFETY: any byte may be sent.
            unsafe { self.uart.data.write(byte.into()) };
        }
    }

    fn counter(&mut self) -> &mut impl CycleCounter {
        &mut self.counter
    }
}

/// The emulator's command line; `None` when it is longer than the buffer or not UTF-8.
fn command_line(buffer: &mut [u8; LINE]) -> Option<&str> {
    let mut raw = [core::mem::MaybeUninit::uninit(); LINE];
    let line = semihosting::sys::arm_compat::sys_get_cmdline_uninit(&mut raw).map(|line| &*line).ok()?;
    let copy = buffer.get_mut(..line.len())?;
    copy.copy_from_slice(line);
    // Bytes, as trimming a string would bring the text of its panics into the firmware.
    let end = copy.iter().position(|&byte| byte == 0).unwrap_or(copy.len());
    core::str::from_utf8(copy.get(..end)?).ok()
}
