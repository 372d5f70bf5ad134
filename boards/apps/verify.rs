//! Golden inputs on the board: the host's bits, the float model nearby, the heap untouched.
#![no_std]
#![no_main]

use board::Here;
use embedded_alloc::LlffHeap as Heap;
use firmware::{Board, Witness};

// Models and inputs that the build script chose: `SUBJECTS`, `WORDS`, `ear()`, `HEAP_BYTES`.
include!(concat!(env!("OUT_DIR"), "/verify.rs"));

/// For the float model alone: the witness that inference allocates nothing.
#[global_allocator]
static HEAP: Heap = Heap::empty();

/// The heap, and the float model where there is room for it.
struct OnDevice;

impl Witness for OnDevice {
    fn heap_used(&self) -> usize {
        HEAP.used()
    }

    fn reference(&mut self, _model: &str, _input: &str, _outputs: &[f32]) -> Option<u32> {
        None
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut MEMORY: [u32; WORDS] = [0; WORDS];
    static mut FRAMES: [f32; CLIP] = [0.0; CLIP];
    firmware::verify(Here::take(), SUBJECTS, MEMORY, ear(FRAMES), OnDevice)
}
