//! Golden inputs on the board: the host's bits, the float model nearby, the heap untouched.
#![no_std]
#![no_main]

use board::ThisBoard;
use firmware::Board;
use reference_on_device::Heap;

// Models and inputs that the build script chose, and the float network where there is room: `MODELS`, `WORDS`, `ears()`,
// `HEAP_BYTES`, `float_check()`.
include!(concat!(env!("OUT_DIR"), "/verify.rs"));

/// For the float network alone: the float_check that inference allocates nothing.
#[global_allocator]
static HEAP: Heap = Heap::empty();

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut MEMORY: [u32; WORDS] = [0; WORDS];
    static mut FRAMES: [f32; NUMBERS] = [0.0; NUMBERS];
    static mut BUFFERS: AudioBuffers = AudioBuffers::new();
    // SAFETY: once, before anything is allocated, and the memory is the macro's own.
    unsafe {
        reference_on_device::init!(HEAP, HEAP_BYTES);
    }
    firmware::verify(ThisBoard::take(), MODELS, MEMORY, ears(BUFFERS).as_mut(), FRAMES, float_check(&HEAP))
}
