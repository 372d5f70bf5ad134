//! The wrapper through which kernels are called: it fills every register that a call keeps, calls, and compares.
//!
//! ```text
//! call!(kernel(…)) ──► wrapper ── registers to SAVED, patterns, stack of its own ──► kernel ──► registers to SAVED ──► compare
//!                                                                                     └─ fault ──► caught ────────┘
//! ```
//! The caller's registers do not go to the stack, where the kernel's arguments lie. The kernel runs on a stack of its own, with guard
//! words on both ends.

use super::Kind;
use core::arch::naked_asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// Memory that assembly and Rust share. One core, and no interrupt but a fault: nobody else looks while one of them does.
#[repr(transparent)]
struct Shared<T>(UnsafeCell<T>);

// SAFETY: see the type.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    const fn new(value: T) -> Shared<T> {
        Shared(UnsafeCell::new(value))
    }

    /// The value, for a moment.
    fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: see the type; no `look` below takes a second reference to the same value.
        look(unsafe { &mut *self.0.get() })
    }
}

/// Registers that a call keeps. The wrapper reads the fields by their offsets: keep the order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Registers {
    /// Offset 0: r4 to r11.
    core: [u32; 8],
    /// Offset 32.
    lr: u32,
    /// Offset 36.
    sp: u32,
    /// Offset 40: d8 to d15.
    floats: [u32; 16],
    /// Offset 104.
    fpscr: u32,
    /// Offset 108.
    vpr: u32,
    /// Offset 112: r0 and r1, the result.
    results: [u32; 2],
}

impl Registers {
    const ZERO: Registers =
        Registers { core: [0; 8], lr: 0, sp: 0, floats: [0; 16], fpscr: 0, vpr: 0, results: [0; 2] };
}

/// The caller's registers, then those that the kernel left; 120 bytes each.
static SAVED: Shared<[Registers; 2]> = Shared::new([Registers::ZERO; 2]);

/// Contents of r4 to r11 during a call.
static CORE: [u32; 8] =
    [0x4444_a5a5, 0x5555_a5a4, 0x6666_a5a7, 0x7777_a5a6, 0x8888_a5a1, 0x9999_a5a0, 0xaaaa_a5a3, 0xbbbb_a5a2];

/// Contents of d0 to d15 during a call; those up to d7 are the kernel's to change, and it must not rely on them.
static FLOATS: [u32; 32] = {
    let mut words = [0; 32];
    let mut i = 0;
    while i < 32 {
        words[i] = 0x7fa5_0000 + 0x0101 * i as u32;
        i += 1;
    }
    words
};

/// Address of the kernel that is to be called.
static KERNEL: AtomicUsize = AtomicUsize::new(0);

const GUARD: u32 = 0x6a5d_ace1;
const GUARDS: usize = 8;
const STACK_WORDS: usize = 256;
/// Words of arguments on the stack; no kernel has more.
const ARGUMENTS: usize = 4;

/// The kernel's stack: guard words, room, arguments, guard words.
#[repr(C, align(8))]
struct Stack {
    below: [u32; GUARDS],
    room: [u32; STACK_WORDS],
    arguments: [u32; ARGUMENTS],
    above: [u32; GUARDS],
}

static STACK: Shared<Stack> = Shared::new(Stack {
    below: [GUARD; GUARDS],
    room: [0; STACK_WORDS],
    arguments: [0; ARGUMENTS],
    above: [GUARD; GUARDS],
});

/// Offset of the arguments, which the stack pointer holds when a kernel begins.
const ARGUMENTS_AT: usize = 4 * (GUARDS + STACK_WORDS);

/// FPSCR's control bits: AHP, DN, FZ, RMode, FZ16, LTPSIZE. The others are results.
const CONTROL: u32 = 0x07cf_0000;
/// VPR's masks: not 0 in a block of predicated instructions, and never outside of it.
const MASKS: u32 = 0x00ff_0000;

/// True from a kernel's call to its return.
static RUNS: AtomicBool = AtomicBool::new(false);
/// Address of the instruction that faulted; 0: none.
static FAULT: AtomicUsize = AtomicUsize::new(0);

/// Registers of the FPU and of Helium, where there are any.
#[cfg(thumbformer_fpu)]
macro_rules! floats {
    ($($line:expr),*) => { concat!($($line, "\n"),*) };
}
#[cfg(not(thumbformer_fpu))]
macro_rules! floats {
    ($($line:expr),*) => {
        ""
    };
}
#[cfg(thumbformer_backend = "helium")]
macro_rules! vectors {
    ($($line:expr),*) => { concat!($($line, "\n"),*) };
}
#[cfg(not(thumbformer_backend = "helium"))]
macro_rules! vectors {
    ($($line:expr),*) => {
        ""
    };
}

/// Stores r5 to r11 into registers at r4; r5 is lost.
macro_rules! store_core {
    () => {
        "str r5, [r4, #4]
         str r6, [r4, #8]
         str r7, [r4, #12]
         mov r5, r8
         str r5, [r4, #16]
         mov r5, r9
         str r5, [r4, #20]
         mov r5, r10
         str r5, [r4, #24]
         mov r5, r11
         str r5, [r4, #28]"
    };
}

/// Loads r8 to r11 from registers at r4; r5 is lost.
macro_rules! load_upper {
    () => {
        "ldr r5, [r4, #16]
         mov r8, r5
         ldr r5, [r4, #20]
         mov r9, r5
         ldr r5, [r4, #24]
         mov r10, r5
         ldr r5, [r4, #28]
         mov r11, r5"
    };
}

/// Lets the assembler take the instructions of the core's registers.
#[cfg(thumbformer_backend = "helium")]
macro_rules! extension {
    () => {
        ".cpu cortex-m55"
    };
}
#[cfg(all(thumbformer_fpu, thumbformer_armv8m, not(thumbformer_backend = "helium")))]
macro_rules! extension {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(all(thumbformer_fpu, not(thumbformer_armv8m)))]
macro_rules! extension {
    () => {
        ".fpu fpv4-sp-d16"
    };
}
#[cfg(not(thumbformer_fpu))]
macro_rules! extension {
    () => {
        ""
    };
}
pub(super) use extension;

unsafe extern "C" {
    /// The place in [`wrapper`] where a kernel returns to.
    fn thumbformer_checkasm_returned();
}

/// Calls the kernel at [`KERNEL`] with the arguments that it was called with itself, and compares.
///
/// Instructions of ARMv6-M, but for those of the FPU: one wrapper for all cores.
///
/// # Safety
/// As of the kernel; it has at most [`ARGUMENTS`] words of arguments on the stack.
#[unsafe(naked)]
unsafe extern "C" fn wrapper() {
    naked_asm!(
        extension!(),
        // r0 to r3 have arguments, r12 nothing.
        "mov r12, r4",
        "ldr r4, ={saved}",
        store_core!(),
        "mov r5, lr",
        "str r5, [r4, #32]",
        "mov r5, sp",
        "str r5, [r4, #36]",
        "mov r5, r12",
        "str r5, [r4, #0]",
        floats!(
            "adds r4, #40",
            "vstmia r4!, {{d8-d15}}",
            "vmrs r5, fpscr",
            "str r5, [r4]",
            "ldr r4, ={floats}",
            "vldmia r4, {{d0-d15}}"
        ),
        // The arguments on the stack.
        "mov r4, sp",
        "ldr r5, ={stack}",
        "ldr r6, ={arguments_at}",
        "adds r5, r5, r6",
        "ldr r6, [r4, #0]",
        "str r6, [r5, #0]",
        "ldr r6, [r4, #4]",
        "str r6, [r5, #4]",
        "ldr r6, [r4, #8]",
        "str r6, [r5, #8]",
        "ldr r6, [r4, #12]",
        "str r6, [r5, #12]",
        "mov sp, r5",
        "ldr r4, ={core}",
        load_upper!(),
        "ldr r5, ={kernel}",
        "ldr r5, [r5]",
        "mov r12, r5",
        "ldr r5, [r4, #4]",
        "ldr r6, [r4, #8]",
        "ldr r7, [r4, #12]",
        "ldr r4, [r4, #0]",
        "blx r12",
        ".global thumbformer_checkasm_returned",
        ".type thumbformer_checkasm_returned, %function",
        ".thumb_func",
        "thumbformer_checkasm_returned:",
        "mov r12, r4",
        "ldr r4, ={saved}",
        "adds r4, #120",
        "str r0, [r4, #112]",
        "str r1, [r4, #116]",
        store_core!(),
        "mov r5, sp",
        "str r5, [r4, #36]",
        "mov r5, r12",
        "str r5, [r4, #0]",
        floats!("mov r5, r4", "adds r5, #40", "vmrs r6, fpscr", "str r6, [r5, #64]"),
        vectors!("vmrs r6, vpr", "str r6, [r5, #68]", "movs r6, #0", "vmsr vpr, r6"),
        floats!(
            "vstmia r5!, {{d8-d15}}",
            "subs r4, #80",
            "vldmia r4!, {{d8-d15}}",
            "ldr r5, [r4]",
            "vmsr fpscr, r5"
        ),
        "ldr r4, ={saved}",
        "ldr r5, [r4, #36]",
        "mov sp, r5",
        load_upper!(),
        "ldr r5, [r4, #4]",
        "ldr r6, [r4, #8]",
        "ldr r7, [r4, #12]",
        "ldr r4, [r4, #0]",
        "bl {compare}",
        "ldr r3, ={saved}",
        "ldr r2, [r3, #32]",
        "mov lr, r2",
        "adds r3, #232",
        "ldmia r3!, {{r0, r1}}",
        "bx lr",
        ".pool",
        // Where there is no FPU, nothing else uses it.
        "/* {floats} */",
        saved = sym SAVED,
        floats = sym FLOATS,
        stack = sym STACK,
        arguments_at = const ARGUMENTS_AT,
        core = sym CORE,
        kernel = sym KERNEL,
        compare = sym compare,
    )
}

/// The wrapper in the place of a kernel: the call that follows is the kernel's.
pub fn wrapped<F: Copy>(kernel: F) -> F {
    if size_of::<F>() != size_of::<usize>() {
        return kernel;
    }
    // SAFETY: the size is that of an address, and `F` is a pointer to a function by `call!`, which alone calls this.
    let address: usize = unsafe { core::mem::transmute_copy(&kernel) };
    KERNEL.store(address, Relaxed);
    FAULT.store(0, Relaxed);
    RUNS.store(true, Relaxed);
    let wrapper = wrapper as *const () as usize;
    // SAFETY: as above; the wrapper leaves all arguments and the result where the kernel's type says that they are.
    unsafe { core::mem::transmute_copy(&wrapper) }
}

/// Compares what a kernel left with what it had to leave. Called by the wrapper, on the caller's stack.
extern "C" fn compare() {
    RUNS.store(false, Relaxed);
    let kernel = KERNEL.load(Relaxed);
    let fault = FAULT.load(Relaxed);
    let saved = SAVED.with(|saved| *saved);
    let kind = if fault != 0 { Some(Kind::Fault(fault)) } else { difference(&saved) };
    let broken = STACK.with(|stack| {
        let sound = |guards: &[u32; GUARDS]| guards.iter().all(|&guard| guard == GUARD);
        let broken = !(sound(&stack.below) && sound(&stack.above));
        (stack.below, stack.above) = ([GUARD; GUARDS], [GUARD; GUARDS]);
        broken
    });
    let kind = kind.or(broken.then_some(Kind::Stack));
    CALLS.with(|calls| calls.count(kernel & !1, kind));
}

/// The first register that is not as the call found it.
fn difference([before, after]: &[Registers; 2]) -> Option<Kind> {
    let changed = |found: &[u32], expected: &[u32]| found.iter().zip(expected).position(|(a, b)| a != b);
    if let Some(index) = changed(&after.core, &CORE) {
        return Some(Kind::Register(index + 4));
    }
    if after.sp as usize != STACK.0.get() as usize + ARGUMENTS_AT {
        return Some(Kind::StackPointer);
    }
    if cfg!(thumbformer_fpu) {
        if let Some(index) = changed(&after.floats, FLOATS.get(16..).unwrap_or(&[])) {
            return Some(Kind::Float(index + 16));
        }
        if (before.fpscr ^ after.fpscr) & CONTROL != 0 {
            return Some(Kind::Fpscr);
        }
    }
    (after.vpr & MASKS != 0).then_some(Kind::Vpr)
}

/// Takes a fault: of a kernel it is noted, and the frame's place to go on becomes the end of the wrapper; `false`: of anything else.
///
/// `frame`: r0 to r3, r12, lr, pc, xPSR as the core put them on the stack.
pub fn fault(frame: &mut [u32; 8]) -> bool {
    let [.., pc, status] = frame;
    if !RUNS.load(Relaxed) {
        return false;
    }
    FAULT.store(*pc as usize, Relaxed);
    *pc = thumbformer_checkasm_returned as *const () as u32 & !1;
    // What an interrupted IT block or LDM would go on with.
    *status &= !0x0600_fc00;
    true
}

/// Most kernels of a backend, and the broken ones.
const MOST: usize = 96;

/// Calls of each kernel, by its address, and the first error since it was asked for, with the kernel.
struct Calls {
    kernels: [(usize, u32); MOST],
    found: Option<(usize, Kind)>,
}

static CALLS: Shared<Calls> = Shared::new(Calls { kernels: [(0, 0); MOST], found: None });

impl Calls {
    fn count(&mut self, address: usize, kind: Option<Kind>) {
        if let Some((known, calls)) = self.kernels.iter_mut().find(|(known, _)| [0, address].contains(known)) {
            (*known, *calls) = (address, *calls + 1);
        }
        self.found = self.found.or(kind.map(|kind| (address, kind)));
    }
}

/// Kernels that were called: addresses and numbers of calls.
pub fn kernels() -> impl Iterator<Item = (usize, u32)> {
    CALLS.with(|calls| calls.kernels).into_iter().take_while(|&(address, _)| address != 0)
}

/// The first error since the last question, and the kernel's address.
pub(super) fn found() -> Option<(usize, Kind)> {
    CALLS.with(|calls| calls.found.take())
}

/// Address of the last kernel that was called.
pub(super) fn last_kernel() -> usize {
    KERNEL.load(Relaxed) & !1
}
