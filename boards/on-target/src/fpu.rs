//! The FPU in every mode that other code may have left it in, on the main thread and in an interrupt handler.
//!
//! ```text
//! thread:  FPSCR  = mode ──► operations round as they should ──► inference: the host's bits, or an error and nothing changed
//! handler: FPDSCR = mode ──► PendSV, whose FPSCR is FPDSCR ──► the same
//! ```

use crate::{CRC32, ENDS, FRAMES, ODD, ODD_CRC32, answers, outputs_of, small, stream};
use core::arch::asm;
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::peripheral::{FPU, SCB};
use cortex_m_rt::exception;
use thumbformer::{Error, LogitsCrc};

/// FPSCR's bits of rounding (22 and 23), flush-to-zero (24) and default NaN (25).
const MODE: u32 = 0xf << 22;

/// All modes.
pub fn modes() -> impl Iterator<Item = u32> {
    (0..16).map(|bits| bits << 22)
}

/// Calls a function with this mode in FPSCR, and restores what was there.
pub fn with(mode: u32, mut f: impl FnMut()) {
    extern "C" fn call<F: FnMut()>(f: &mut F) {
        f();
    }
    fn pointer<F: FnMut()>(_: &F) -> extern "C" fn(&mut F) {
        call::<F>
    }
    let function = pointer(&f);
    let fpscr: u32;
    // SAFETY: reads a register.
    unsafe { asm!("vmrs {}, fpscr", out(reg) fpscr, options(nomem, nostack, preserves_flags)) };
    // SAFETY: calls a function by the rules of C, with its argument in r0; FPSCR is as before at the end. The compiler's code in between
    // does not expect another mode, but only the results of its float operations depend on it.
    unsafe {
        asm!(
            "vmsr fpscr, {mode}",
            "blx {function}",
            "vmsr fpscr, r4",
            mode = in(reg) fpscr & !MODE | mode,
            function = in(reg) function,
            inlateout("r0") &raw mut f => _,
            in("r4") fpscr,
            // As `clobber_abi("C")`, which lists registers that no such FPU has.
            out("r1") _, out("r2") _, out("r3") _, out("r12") _, out("lr") _,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
            out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _, out("s15") _,
        );
    }
}

/// Operations on floats whose results, together, tell every mode from every other.
#[inline(never)]
fn operations() -> [u32; 5] {
    const LITTLE: f32 = 1e-9;
    let (one, little) = (black_box(1.0_f32), black_box(LITTLE));
    let (smallest, nan) = (black_box(f32::MIN_POSITIVE), black_box(f32::from_bits(0x7fc0_1234)));
    [one + little, -one - little, one - little, smallest * black_box(0.5), nan + one].map(f32::to_bits)
}

/// Results of [`operations`] by IEEE 754 and Arm's manual.
fn expected(mode: u32) -> [u32; 5] {
    const ONE: u32 = 1.0_f32.to_bits();
    const MINUS_ONE: u32 = (-1.0_f32).to_bits();
    let is = |direction: u32| u32::from(mode >> 22 & 3 == direction);
    let (up, down, to_zero) = (is(1), is(2), is(3));
    let subnormal = if mode >> 24 & 1 == 1 { 0 } else { 0x0040_0000 };
    let nan = if mode >> 25 & 1 == 1 { 0x7fc0_0000 } else { 0x7fc0_1234 };
    [ONE + up, MINUS_ONE + down, ONE - down - to_zero, subnormal, nan]
}

/// Holds inference in the mode that the FPU has now to the host's bits, or to an error that changes nothing.
pub fn judge(mode: u32, state: &mut stream::State) {
    assert_eq!(operations(), expected(mode));
    let rounding = mode >> 22 & 3;
    let refused = Error::RoundingMode { found: rounding };
    let or_refused = |crc32: u32| if rounding == 0 { Ok(crc32) } else { Err(refused) };
    assert_eq!(answers(state, FRAMES).map(|(crc32, _)| crc32), or_refused(CRC32));
    assert_eq!(answers(state, ODD).map(|(crc32, _)| crc32), or_refused(ODD_CRC32));
    let mut words = [0; 1024];
    for end in ENDS {
        assert_eq!(outputs_of(end, &mut words), or_refused(end.crc32));
    }
    let (mut block, streams) = (small::block::State::new(), [1.0, -1.0, 0.5, 0.25]);
    let mut encoded = streams;
    let result = small::block::MODEL.session(block.memory()).encode(&mut encoded);
    assert_eq!((result, encoded == streams), if rounding == 0 { (Ok(()), false) } else { (Err(refused), true) });

    // A sequence goes on after the error as if the call had not been.
    let mut session = stream::MODEL.session(state.memory());
    let mut crc = LogitsCrc::new();
    for (index, frame) in FRAMES.chunks_exact(stream::MODEL.dims().n_features).enumerate() {
        if rounding != 0 {
            assert_eq!(session.push(frame).err(), Some(refused));
            assert_eq!(session.position(), index);
        }
        with(0, || _ = crc.update(session.push(frame).unwrap_or_default()));
    }
    assert_eq!(crc.total(), CRC32);
}

/// The mode that PendSV's handler expects.
static OF_HANDLER: AtomicU32 = AtomicU32::new(0);
/// Modes in which the handler has run.
static HANDLED: AtomicU32 = AtomicU32::new(0);

/// Holds inference in an interrupt handler to the same, with this mode in FPDSCR; returns the number of modes so far.
pub fn judge_in_handler(mode: u32) -> u32 {
    OF_HANDLER.store(mode, Ordering::Relaxed);
    // SAFETY: the register has the first FPSCR of interrupt handlers, and none of them has begun.
    unsafe { (*FPU::PTR).fpdscr.write(mode) };
    SCB::set_pendsv();
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
    HANDLED.load(Ordering::Relaxed)
}

#[exception]
fn PendSV() {
    static mut STATE: stream::State = stream::State::new();
    judge(OF_HANDLER.load(Ordering::Relaxed), STATE);
    HANDLED.store(HANDLED.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}
