//! MPS2+ AN386 (Cortex-M4F) in QEMU: the story goes out over UART 0, the log over semihosting, SysTick counts instructions.
#![no_std]
#![no_main]

mod board;

use board::{LINE, Mps2};
use cortex_m_rt::{ExceptionFrame, entry, exception};
use defmt_semihosting as _;
use firmware::{Board, Demo, demo};
use panic_probe as _;
use thumbformer::text::Sampling;

thumbformer::model!(mod story = "../../../models/stories/stories-m4.tbf", max_seq = 256, ram <= 120 * 1024);

const _: () = assert!(firmware::has_backend(Mps2::BACKEND), "this board is for the backend `dsp`: build for thumbv7em");

#[entry]
fn main() -> ! {
    static mut STATE: story::State = story::State::new();
    let mut board = Mps2::take();
    if !board.counts_instructions() {
        defmt::error!("SysTick does not count instructions: run QEMU with -icount shift=6");
        semihosting::process::exit(1);
    }
    defmt::info!("flash: {=usize} bytes of model", story::IMAGE_BYTES);
    defmt::info!("RAM: {=usize} bytes of state for {=usize} tokens", size_of::<story::State>(), story::MAX_SEQ);
    let mut line = [0; LINE];
    let Some(settings) = board.settings(&mut line) else {
        defmt::error!("the command line has more than {=usize} bytes, or is not UTF-8: shorten the prompt", LINE);
        semihosting::process::exit(1);
    };
    let story = Demo {
        prompt: settings.prompt,
        steps: settings.steps,
        sampling: Sampling { temperature: 0.7, top_k: 0, top_p: 0.9 },
        seed: settings.seed,
        ignore_end: settings.ignore_end,
    };
    match demo(&mut board, &story::MODEL, STATE.memory(), &story) {
        Ok(()) => semihosting::process::exit(0),
        Err(error) => {
            defmt::error!("{}", error);
            semihosting::process::exit(1)
        }
    }
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    defmt::error!("hard fault at {=u32:#010x}", frame.pc());
    semihosting::process::exit(101)
}
