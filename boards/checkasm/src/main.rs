//! Every kernel of the core, called by way of the wrapper of `thumbformer::checkasm`.
//!
//! ```text
//! seed, rounds ──► cases ──► what is wrong, calls of each kernel ──► lines of JSON for `cargo xtask checkasm`
//! broken kernels ──────────► found or missed
//! ```
//! The buffers end where nothing can be read: ARMv7-M's MPU forbids the end of the RAM; where ARMv8-M is emulated, there is a hole behind
//! the RAM.
#![no_std]
#![no_main]

use core::arch::naked_asm;
use semihosting as _;
use thumbformer::checkasm;

/// Words for what `scalar` gets.
const SPARE: usize = 32 * 1024;
/// First address behind the RAM; bytes before it that the variables leave to the buffers, and those that the MPU forbids.
const RAM_END: usize = number(env!("RAM_END"));
const BUFFERS: usize = number(env!("BUFFERS"));
const BEHIND: usize = number(env!("BEHIND"));

const fn number(text: &str) -> usize {
    let (mut number, mut i) = (0, 0);
    while i < text.len() {
        number = 10 * number + (text.as_bytes()[i] - b'0') as usize;
        i += 1;
    }
    number
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut SPARE_WORDS: [u32; SPARE] = [0; SPARE];
    let (seed, rounds) = arguments();
    trap_unaligned();
    let end = end_of_memory();
    // SAFETY: `build.rs` keeps it free; behind the RAM it is memory that the program does not have.
    let memory = unsafe { core::slice::from_raw_parts_mut((end - BUFFERS) as *mut u32, BUFFERS / 4) };
    semihosting::println!(
        r#"{{"toys":{},"missed":{}}}"#,
        checkasm::TOYS,
        checkasm::toys(memory, SPARE_WORDS, |toy| {
            semihosting::println!(r#"{{"text":"{} was missed"}}"#, toy);
        })
    );
    let (mut cases, mut findings) = (0, 0);
    for seed in (seed..).take(rounds) {
        cases += checkasm::run(memory, SPARE_WORDS, seed, &mut |finding| {
            findings += 1;
            if findings <= 20 {
                semihosting::println!(r#"{{"address":{},"text":"{}"}}"#, finding.kernel, finding);
            }
        });
    }
    for (address, calls) in checkasm::kernels() {
        semihosting::println!(r#"{{"address":{},"calls":{}}}"#, address, calls);
    }
    semihosting::println!(
        r#"{{"methods":{},"lengths":{},"cases":{},"findings":{},"end":{}}}"#,
        checkasm::methods(),
        checkasm::LENGTHS,
        cases,
        findings,
        end
    );
    semihosting::process::exit(0)
}

/// Seed and rounds, from the words of the command line after the program's name.
fn arguments() -> (u32, usize) {
    let mut raw = [core::mem::MaybeUninit::uninit(); 128];
    let line = semihosting::sys::arm_compat::sys_get_cmdline_uninit(&mut raw);
    let line = line.ok().and_then(|line| core::str::from_utf8(line).ok()).unwrap_or("");
    let mut words = line.trim_end_matches('\0').split(' ').skip(1).filter_map(|word| word.parse().ok());
    (words.next().unwrap_or(1), words.next().unwrap_or(1) as usize)
}

/// Lets the emulated M3 fault at unaligned addresses as an M0+ does.
fn trap_unaligned() {
    if cfg!(target_arch = "arm") && checkasm::TRAPS_UNALIGNED {
        let control = 0xe000_ed14 as *mut u32;
        // SAFETY: the register CCR, which has a bit for it and is nobody else's.
        unsafe { control.write_volatile(control.read_volatile() | 1 << 3) };
    }
}

/// The first address of what cannot be read.
#[cfg(not(armv8m))]
fn end_of_memory() -> usize {
    let end = RAM_END - BEHIND;
    let (control, base, attributes) = (0xe000_ed94 as *mut u32, 0xe000_ed9c as *mut u32, 0xe000_eda0 as *mut u32);
    // SAFETY: the registers MPU_CTRL, MPU_RBAR, MPU_RASR of ARMv7-M: region 0 without access, never executed; all else as without MPU.
    unsafe {
        base.write_volatile(end as u32 | 1 << 4);
        attributes.write_volatile(1 << 28 | (BEHIND.ilog2() - 1) << 1 | 1);
        control.write_volatile(1 << 2 | 1);
    }
    end
}

/// The first address of what cannot be read.
#[cfg(armv8m)]
fn end_of_memory() -> usize {
    let mut end = RAM_END;
    while checkasm::is_mapped(end) {
        end += BEHIND;
    }
    end
}

/// Hands the frame of a fault to `caught`.
///
/// # Safety
/// Called by the core alone, with a sound frame on the stack.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn HardFault() {
    naked_asm!("mov r0, sp", "push {{r4, lr}}", "bl {caught}", "pop {{r4, pc}}", caught = sym caught)
}

extern "C" fn caught(frame: &mut [u32; 8]) {
    if !checkasm::fault(frame) {
        semihosting::println!(r#"{{"text":"fault at {:#x}, outside of a kernel"}}"#, frame[6]);
        semihosting::process::exit(1)
    }
}
