//! The float network on the device, beside the engine: the only code of the boards that has a heap.
//!
//! ```text
//! golden frames ─┬─► engine, int8, no heap ───────────► outputs ─┐
//!                └─► Reference, f64, all of it on the heap ──────┴─► signal to error, hundredths of a decibel
//! ```
//! The network stays on the heap from one input to the next: an inference that touched the heap would change its size, or the
//! network's next result.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

pub use alloc::string::String;
pub use alloc::vec;
pub use embedded_alloc::{LlffHeap as Heap, init};
pub use thumbformer_checkpoint as checkpoint;

use checkpoint::{Checkpoint, Weights};
use firmware::{FloatCheck, Signal};
use thumbformer_reference::Reference;

/// A heap and one model's float network on it.
pub struct OnDevice {
    heap: &'static Heap,
    model: &'static str,
    checkpoint: fn() -> Checkpoint,
    network: Option<Reference>,
}

/// A heap that nothing uses, where there is no room for a float network.
pub struct HeapAlone(pub &'static Heap);

impl OnDevice {
    /// The network of `model`, which is built when the first of its inputs has gone through the engine.
    pub fn new(heap: &'static Heap, model: &'static str, checkpoint: fn() -> Checkpoint) -> OnDevice {
        OnDevice { heap, model, checkpoint, network: None }
    }

    /// Takes the network off the heap, which is empty then.
    fn release(&mut self) {
        self.network = None;
        assert_eq!(self.heap.used(), 0, "the float network left something on the heap");
    }
}

impl FloatCheck for OnDevice {
    fn heap_used(&self) -> usize {
        self.heap.used()
    }

    fn reference(&mut self, model: &str, signal: Signal<'_>, outputs: &[f32]) -> Option<u32> {
        let Signal::Frames(frames) = signal else {
            self.release();
            return None;
        };
        if model != self.model {
            self.release();
            return None;
        }
        // The checkpoint goes when the network is built.
        let network = self.network.get_or_insert_with(|| Reference::new(&(self.checkpoint)()));
        let before = self.heap.used();
        let sqnr = network.compare_frames(frames, outputs).map(|sqnr| sqnr.decibel_hundredths());
        assert_eq!(self.heap.used(), before, "an inference of the float network left something on the heap");
        match sqnr {
            Ok(sqnr) => Some(sqnr),
            Err(error) => {
                defmt::error!("{=str}: the float network: {}", model, defmt::Display2Format(&error));
                Some(0)
            }
        }
    }
}

impl FloatCheck for HeapAlone {
    fn heap_used(&self) -> usize {
        self.0.used()
    }

    fn reference(&mut self, _model: &str, _signal: Signal<'_>, _outputs: &[f32]) -> Option<u32> {
        None
    }
}

/// A tensor's values from constants.
pub fn weights(shape: &[usize], data: &[f32]) -> Weights {
    Weights { name: String::new(), shape: shape.into(), data: data.into() }
}
