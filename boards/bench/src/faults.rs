//! Flipped bits in image, state and stack during inference, for `cargo xtask faults`.
//!
//! ```text
//! number of a flip ──► target, place, bit, time ──► inference, and SysTick that flips ──► error, the same outputs, other outputs
//!                                                   HardFault, panic, no end ──► the program ends, and goes on with the next flip
//! ```
#![no_std]
#![no_main]

use core::ptr::{read_volatile, write_volatile};
use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::peripheral::{Peripherals, SYST, syst::SystClkSource};
use cortex_m_rt::{ExceptionFrame, exception};
use semihosting as _;
use thumbformer::{Error, LogitsCrc, Model};

include!(concat!(env!("OUT_DIR"), "/stream.rs"));

/// Frames of an inference.
const FRAMES: usize = 6;
/// Numbers of a frame.
const N_FEATURES: usize = stream::MODEL.dims().n_features;
/// Words of the image.
const WORDS: usize = stream::MODEL.image().bytes() / 4;
/// Times of an undisturbed inference after which the program counts as hung.
const PATIENCE: u32 = 8;
/// Exit code of a program that is not to go on, as a flip may have changed more than was computed.
const UNSOUND: i32 = 7;

/// Number of the flip, and its target.
static NUMBER: AtomicU32 = AtomicU32::new(0);
static TARGET: AtomicU32 = AtomicU32::new(0);
/// First byte and number of bytes of the target; of the stack only its end is known before.
static START: AtomicU32 = AtomicU32::new(0);
static BYTES: AtomicU32 = AtomicU32::new(0);
/// Random bits for place and bit.
static PLACE: AtomicU32 = AtomicU32::new(0);
/// Ticks from the flip to the end of patience; 0 after that.
static LEFT: AtomicU32 = AtomicU32::new(0);

/// Targets, in their order.
const TARGETS: [&str; 3] = ["image", "state", "stack"];
const STACK: u32 = 2;

/// Prints a flip's class.
fn print(class: &str) {
    let target = TARGETS.get(TARGET.load(Ordering::Relaxed) as usize).copied().unwrap_or("");
    semihosting::println!(r#"{{"flip":{},"target":"{}","class":"{}"}}"#, NUMBER.load(Ordering::Relaxed), target, class);
}

/// Random numbers from one (SplitMix, Steele et al. 2014, its 32-bit finalizer): the same for one flip in every run.
fn random(number: u32) -> u32 {
    let mut x = number.wrapping_mul(0x9e37_79b9);
    x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

/// Outputs of all frames.
#[inline(never)]
fn infer(model: &Model<'_>, state: &mut stream::State) -> Result<u32, Error> {
    let mut session = model.session(state.memory());
    let mut crc = LogitsCrc::new();
    for number in 0..FRAMES {
        let frame: [f32; N_FEATURES] =
            core::array::from_fn(|i| random((number * N_FEATURES + i) as u32) as f32 / 2_147_483_648.0 - 1.0);
        crc.update(session.push(&frame)?);
    }
    Ok(crc.total())
}

/// Starts the timer for so many ticks.
fn start(timer: &mut SYST, ticks: u32) {
    timer.set_reload(ticks.clamp(1, 0x00ff_ffff));
    timer.clear_current();
    timer.enable_counter();
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut IMAGE: [u32; WORDS] = [0; WORDS];
    static mut STATE: stream::State = stream::State::new();
    let (first, count) = arguments();
    let Some(peripherals) = Peripherals::take() else { semihosting::process::exit(3) };
    let mut timer = peripherals.SYST;
    timer.set_clock_source(SystClkSource::Core);
    // The undisturbed one, with its ticks.
    start(&mut timer, 0x00ff_ffff);
    let Ok(expected) = infer(&stream::MODEL, STATE) else { semihosting::process::exit(4) };
    let ticks = 0x00ff_ffff - SYST::get_current();
    timer.disable_counter();
    if timer.has_wrapped() {
        semihosting::process::exit(5)
    }
    timer.enable_interrupt();
    for number in first..first + count {
        IMAGE.copy_from_slice(stream::MODEL.image().words());
        *STATE = stream::State::new();
        let target = number % TARGETS.len() as u32;
        let (start_of, bytes) = match target {
            0 => (IMAGE.as_ptr() as u32, size_of_val(IMAGE)),
            1 => (core::ptr::from_mut(STATE) as u32, size_of::<stream::State>()),
            _ => (cortex_m::register::msp::read(), 0),
        };
        NUMBER.store(number, Ordering::Relaxed);
        TARGET.store(target, Ordering::Relaxed);
        START.store(start_of, Ordering::Relaxed);
        BYTES.store(bytes as u32, Ordering::Relaxed);
        PLACE.store(random(2 * number), Ordering::Relaxed);
        LEFT.store(PATIENCE * ticks, Ordering::Relaxed);
        let Ok(model) = Model::parse(IMAGE) else { semihosting::process::exit(6) };
        start(&mut timer, random(2 * number + 1) % ticks);
        let result = infer(&model, STATE);
        timer.disable_counter();
        let is_sound = loop_until_checked(&model);
        let class = match result {
            Err(_) => "error",
            Ok(found) if found == expected => "harmless",
            Ok(_) if !is_sound => "check",
            Ok(_) => "silent",
        };
        print(class);
        // A change of the stack may have changed anything.
        if target == STACK && class != "harmless" {
            semihosting::process::exit(UNSOUND)
        }
    }
    semihosting::process::exit(0)
}

/// One pass of the check of the image: false if it found a changed bit.
fn loop_until_checked(model: &Model<'_>) -> bool {
    let mut check = model.check();
    loop {
        match check.advance(1024) {
            Ok(false) => {}
            Ok(true) => return true,
            Err(_) => return false,
        }
    }
}

/// Flips a bit; the second time, ends the program, which hangs.
#[exception]
fn SysTick() {
    // SAFETY: the thread does not touch the timer while it counts.
    let mut timer = unsafe { Peripherals::steal() }.SYST;
    timer.disable_counter();
    let left = LEFT.load(Ordering::Relaxed);
    if left == 0 {
        print("hang");
        semihosting::process::exit(UNSOUND)
    }
    let (mut start_of, mut bytes) = (START.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    if TARGET.load(Ordering::Relaxed) == STACK {
        // From what is interrupted, its saved registers included, to `main`.
        let here = cortex_m::register::msp::read();
        (start_of, bytes) = (here, start_of.saturating_sub(here));
    }
    let random_bits = PLACE.load(Ordering::Relaxed);
    let word = (start_of & !3) + 4 * ((random_bits >> 5) % (bytes / 4).max(1));
    // SAFETY: a word of the program's own memory. That others have references to it is the purpose: so does a particle hit.
    unsafe {
        let word = word as *mut u32;
        write_volatile(word, read_volatile(word) ^ 1 << (random_bits % 32));
    }
    LEFT.store(0, Ordering::Relaxed);
    start(&mut timer, left);
}

/// A fault that the core finds.
///
/// # Safety
/// Called by the core alone.
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    print("fault");
    semihosting::process::exit(UNSOUND)
}

/// First flip and their number, from the words of the command line after the program's name.
fn arguments() -> (u32, u32) {
    let mut raw = [core::mem::MaybeUninit::uninit(); 128];
    let line = semihosting::sys::arm_compat::sys_get_cmdline_uninit(&mut raw);
    let line = line.ok().and_then(|line| core::str::from_utf8(line).ok()).unwrap_or("");
    let mut words = line.trim_end_matches('\0').split(' ').skip(1).filter_map(|word| word.parse().ok());
    (words.next().unwrap_or(0), words.next().unwrap_or(1))
}
