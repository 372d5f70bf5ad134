//! Kernels that are broken on purpose, one for each kind of error: the check of the check.

use super::Kind;
use super::cases::{Case, Setting};
use super::wrapper::extension;
use core::arch::naked_asm;

/// A case and the kind of error that is to be found in it.
pub(super) struct Toy {
    pub(super) case: Case,
    pub(super) expected: fn(Kind) -> bool,
}

/// Declares broken kernels: a function of some bytes and their number.
macro_rules! toys {
    ($($(#[$cfg:meta])? $name:ident: $expected:pat => $($line:literal),+;)*) => {
        pub(super) const ALL: &[Toy] = &[$($(#[$cfg])? {
            /// A broken kernel.
            ///
            /// # Safety
            /// None: it is broken.
            #[unsafe(naked)]
            unsafe extern "C" fn $name(bytes: *mut i8, count: usize) {
                naked_asm!(extension!(), $($line,)+ "bx lr")
            }

            fn run(Setting { random, arena, .. }: &mut Setting<'_>, length: usize) -> bool {
                let bytes = random.room::<i8>(arena, 4 * length);
                // SAFETY: the memory behind the bytes is guard words, or a fault that is caught; the wrapper restores the registers.
                unsafe { call!($name(bytes.as_mut_ptr(), bytes.len())) };
                true
            }

            Toy {
                case: Case { method: stringify!($name), buffers: 1, run },
                expected: |kind| matches!(kind, $expected),
            }
        }),*];
    };
}

/// Reads a word.
///
/// # Safety
/// Faults where there is none.
#[unsafe(naked)]
unsafe extern "C" fn read(address: usize) {
    naked_asm!("ldr r0, [r0]", "bx lr")
}

/// Reads the word at an address; the wrapper notes a fault.
pub(super) fn read_word(address: usize) {
    // SAFETY: a fault is caught.
    unsafe { call!(read(address)) }
}

toys! {
    clobbers_r4: Kind::Register(4) => "movs r4, #0";
    clobbers_r7: Kind::Register(7) => "adds r7, #1";
    clobbers_r11: Kind::Register(11) => "mov r11, r0";
    leaves_a_word_on_the_stack: Kind::StackPointer => "sub sp, #8";
    #[cfg(all(thumbformer_backend = "nosimd", not(thumbformer_long_multiply)))]
    reads_a_word_at_an_odd_address: Kind::Fault(_) => "movs r2, #3", "orrs r0, r2", "ldr r2, [r0]";
    #[cfg(thumbformer_fpu)]
    clobbers_s16: Kind::Float(16) => "vmov s16, r0";
    #[cfg(thumbformer_fpu)]
    clobbers_s31: Kind::Float(31) => "vmov s31, r0";
    #[cfg(thumbformer_fpu)]
    flushes_to_zero: Kind::Fpscr => "vmrs r2, fpscr", "movs r3, #1", "lsls r3, r3, #24", "orrs r2, r3", "vmsr fpscr, r2";
    #[cfg(thumbformer_backend = "helium")]
    leaves_predication_on: Kind::Vpr => "mov r2, #0x880000", "vmsr vpr, r2";
    writes_above_its_arguments: Kind::Stack => "str r0, [sp, #20]";
    writes_a_byte_too_far: Kind::Guard | Kind::Fault(_) => "movs r2, #0", "strb r2, [r0, r1]";
    writes_a_byte_too_early: Kind::Guard => "subs r0, #1", "movs r2, #0", "strb r2, [r0]";
    reads_a_byte_too_far: Kind::Fault(_) => "ldrb r2, [r0, r1]";
}
