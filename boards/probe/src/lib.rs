//! Shared code of boards that are flashed and watched through a debug probe.
//!
//! ```text
//! defmt::info!, panic! ──► RTT, a buffer in RAM ──► probe-rs prints it
//! exit(code), a fault ───► semihosting ───────────► probe-rs (or QEMU) ends with the code
//!                               └─ nobody listens: the core parks
//! ```
#![no_std]

use defmt_rtt as _;
use firmware::LINE;
use firmware::fault::Fault;
use panic_probe as _;

/// Exit code after a fault or a panic, as of a Rust program on the host.
const FAULT: i32 = 101;

/// `bkpt 0xab`, the instruction of every semihosting call on M-profile cores (Arm, Semihosting for AArch32, 4.1).
const SEMIHOSTING_CALL: u16 = 0xbeab;

/// Ends the program with a code, for the debugger or the emulator to see; without either the core parks.
pub fn exit(code: u8) -> ! {
    semihosting::process::exit(code.into())
}

/// The command line of the emulator, which must be there; `None` when the line is longer than the buffer or not UTF-8.
pub fn arguments(line: &mut [u8; LINE]) -> Option<&str> {
    let mut raw = [core::mem::MaybeUninit::uninit(); LINE];
    let found = semihosting::sys::arm_compat::sys_get_cmdline_uninit(&mut raw).map(|line| &*line).ok()?;
    let copy = line.get_mut(..found.len())?;
    copy.copy_from_slice(found);
    // Bytes, as trimming a string would bring the text of its panics into the firmware.
    let end = copy.iter().position(|&byte| byte == 0).unwrap_or(copy.len());
    core::str::from_utf8(copy.get(..end)?).ok()
}

firmware::fault_handler!(end);

/// Every fault ends here, panics too (`panic-probe` raises one), and semihosting calls that no debugger took.
fn end(fault: Fault) -> ! {
    // SAFETY: only an address that instructions were just fetched from is read; a halfword is aligned there.
    let call = |pc: u32| is_code(pc) && unsafe { core::ptr::read_volatile(pc as *const u16) } == SEMIHOSTING_CALL;
    if !fault.pc().is_some_and(call) {
        fault.report();
        // Without a debugger this locks the core up (a fault inside the handler of faults), which is an end as well.
        semihosting::process::exit(FAULT);
    }
    loop {
        cortex_m::asm::wfe();
    }
}

/// True if the address can be one of an instruction of this program: a jump into the void must not fault once more.
fn is_code(address: u32) -> bool {
    unsafe extern "C" {
        static __stext: u8;
        static __etext: u8;
    }
    let text = (&raw const __stext) as u32..(&raw const __etext) as u32;
    address.is_multiple_of(2) && text.contains(&address)
}
