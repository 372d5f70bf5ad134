//! The end of a program that faulted, for all boards: a stack that overflowed is told from other faults.
//!
//! ```text
//! RAM:  nothing | stack ◄── grows down | variables
//!               _stack_end             _stack_start
//! ARMv8-M: the stack pointer would pass MSPLIM ──► UsageFault ───────────┐
//! others:  a store below RAM, or to the MPU's guard there ──► a fault ──┴─► assembly: stack pointer to _stack_start ──► Fault ──► log, end
//! ```
//! The guard is for what else may lie below RAM: on the emulated MPS2 stores there are lost, and reads are 0.
//! BusFault, MemManage and UsageFault are enabled where the core has them: a HardFault whose own frame cannot be stored would be lockup
//! by Arm's pseudocode (DDI 0553, `DerivedLateArrival`), while a fault of lower priority becomes a HardFault that is taken. So it does on the
//! emulated M3 that runs ARMv6-M's code, whose table has no vectors for these three.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicBool, Ordering};

/// SCB registers: CPUID, and CFSR where it exists.
const CPUID: *const u32 = 0xe000_ed00 as *const u32;
const CFSR: *const u32 = 0xe000_ed28 as *const u32;
/// Bits of CFSR: the stack pointer passed its limit, and a frame that could not be stored.
const STKOF: u32 = 1 << 20;
const STKERR: u32 = 1 << 12;
const MSTKERR: u32 = 1 << 4;
/// Bytes that one instruction stores below the stack pointer at most: 16 registers of the FPU.
const PUSH: u32 = 128;
/// Bytes of the frame without the FPU's registers, and the place of the program counter in it.
const FRAME: u32 = 32;
const PC: u32 = 24;

unsafe extern "C" {
    // Of memory.x: the ends of the stack's region.
    static _stack_end: u32;
    static _stack_start: u32;
}

/// A fault.
#[derive(Clone, Copy)]
pub struct Fault {
    /// Stack pointer after the core's entry: the address of its frame, if it could be stored.
    sp: u32,
    /// CFSR; 0 on ARMv6-M, which has none.
    cfsr: u32,
}

impl Fault {
    /// The fault that is being handled.
    pub fn new(sp: u32) -> Fault {
        // SAFETY: reads registers that exist; architecture 15 is that of the cores that have a CFSR (DDI 0403, B3.2.3).
        let cfsr = unsafe { if CPUID.read_volatile() >> 16 & 15 == 15 { CFSR.read_volatile() } else { 0 } };
        Fault { sp, cfsr }
    }

    /// Address of the instruction that faulted; `None` where its frame could not be stored.
    pub fn pc(&self) -> Option<u32> {
        let (end, start) = region();
        let stored = self.cfsr & (STKERR | MSTKERR) == 0 && self.sp.is_multiple_of(4);
        let inside = self.sp >= end && self.sp <= start - FRAME;
        // SAFETY: a word of the frame that the core stored, inside of the stack.
        (stored && inside).then(|| unsafe { ((self.sp + PC) as *const u32).read_volatile() })
    }

    /// Sign of an overflow of the stack; `None` of another fault.
    fn overflow(&self) -> Option<&'static str> {
        match self.cfsr {
            cfsr if cfsr & STKOF != 0 => Some("it passed MSPLIM"),
            // A store below RAM; the frame lies there too, or so near that one store would reach it.
            cfsr if cfsr & (STKERR | MSTKERR) != 0 => Some("no frame could be stored"),
            _ if self.sp < region().0 + PUSH => Some("it is at or below the end of its region"),
            _ => None,
        }
    }

    /// Says on the log what happened. Nothing at a second fault, as the log itself may have been interrupted, or be what faults.
    pub fn report(&self) {
        static REPORTED: AtomicBool = AtomicBool::new(false);
        if REPORTED.load(Ordering::Relaxed) {
            return;
        }
        REPORTED.store(true, Ordering::Relaxed);
        let Fault { sp, cfsr } = *self;
        match (self.overflow(), self.pc()) {
            (Some(sign), _) => {
                let (end, start) = region();
                defmt::error!(
                    "the stack overflowed: its pointer was {=u32:#010x}, {=str}; its region {=u32:#010x}..{=u32:#010x} has {=u32} bytes; \
                     CFSR {=u32:#010x}; next: give the program more stack, in tools/board-manifest/src/memory.rs, or in your memory.x",
                    sp,
                    sign,
                    end,
                    start,
                    start - end,
                    cfsr
                );
            }
            (None, Some(pc)) => defmt::error!("hard fault at {=u32:#010x}, CFSR {=u32:#010x}", pc, cfsr),
            (None, None) => defmt::error!("hard fault, stack pointer {=u32:#010x}, CFSR {=u32:#010x}", sp, cfsr),
        }
    }
}

/// The ends of the stack's region.
fn region() -> (u32, u32) {
    ((&raw const _stack_end) as u32, (&raw const _stack_start) as u32)
}

/// The handler of all faults, which calls a function `fn(Fault) -> !` on an empty stack; and their enabling before `main`.
#[macro_export]
macro_rules! fault_handler {
    ($end:path) => {
        /// Every fault: none of the stack is touched before its pointer is back at its beginning, as nothing ever returns.
        ///
        /// # Safety
        /// Called by the core alone.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        unsafe extern "C" fn HardFault() -> ! {
            core::arch::naked_asm!(
                ".global MemoryManagement",
                ".type MemoryManagement, %function",
                ".thumb_set MemoryManagement, HardFault",
                ".global BusFault",
                ".type BusFault, %function",
                ".thumb_set BusFault, HardFault",
                ".global UsageFault",
                ".type UsageFault, %function",
                ".thumb_set UsageFault, HardFault",
                "mov r0, sp",
                "ldr r1, =_stack_start",
                "mov sp, r1",
                $crate::drop_lazy_state!(),
                "bl {caught}",
                "udf #0",
                ".pool",
                caught = sym caught,
            )
        }

        extern "C" fn caught(sp: u32) -> ! {
            $end($crate::fault::Fault::new(sp))
        }

        /// Enables MemManage, BusFault and UsageFault on the cores that have them (architecture 15 in CPUID): SHCSR, bits 16 to 18; and sets
        /// the guard up.
        ///
        /// # Safety
        /// Called by cortex-m-rt's reset handler alone, before there are variables.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        unsafe extern "C" fn __pre_init() {
            core::arch::naked_asm!(
                "ldr r0, =0xe000ed00",
                "ldr r1, [r0]",
                "lsls r1, r1, #12",
                "lsrs r1, r1, #28",
                "cmp r1, #15",
                "bne 2f",
                "ldr r1, [r0, #0x24]",
                "movs r2, #7",
                "lsls r2, r2, #16",
                "orrs r1, r2",
                "str r1, [r0, #0x24]",
                "2:",
                $crate::guard!(),
                "bx lr",
                ".pool",
            )
        }
    };
}

/// Instructions that forget the FPU's registers of the program that faulted (FPCCR, bit 0): the core would store them into its frame at the
/// first float instruction, below RAM if the stack overflowed.
#[cfg(target_abi = "eabihf")]
#[macro_export]
#[doc(hidden)]
macro_rules! drop_lazy_state {
    () => {
        "ldr r1, =0xe000ef34
         ldr r2, [r1]
         lsrs r2, r2, #1
         lsls r2, r2, #1
         str r2, [r1]"
    };
}

/// Instructions that have the MPU forbid the 64 KiB below the stack: region 0 without access, all else as without MPU (DDI 0403, B3.5).
/// Nothing where the core has no MPU. r0 is the address of CPUID.
#[cfg(not(armv8m))]
#[macro_export]
#[doc(hidden)]
macro_rules! guard {
    () => {
        "adds r0, #0x80
         ldr r1, [r0, #0x10]
         cmp r1, #0
         beq 3f
         ldr r1, =_stack_end - 0x10000 + 0x10
         str r1, [r0, #0x1c]
         ldr r1, =0x1000001f
         str r1, [r0, #0x20]
         movs r1, #5
         str r1, [r0, #0x14]
         dsb
         isb
         3:"
    };
}

/// None where MSPLIM is the stack's end.
#[cfg(armv8m)]
#[macro_export]
#[doc(hidden)]
macro_rules! guard {
    () => {
        ""
    };
}

/// None without an FPU.
#[cfg(not(target_abi = "eabihf"))]
#[macro_export]
#[doc(hidden)]
macro_rules! drop_lazy_state {
    () => {
        ""
    };
}
