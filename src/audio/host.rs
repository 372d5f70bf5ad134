//! The memory of the front end on the heap, for tools: its length is known at run time.

use super::fft::{Transform, transform};
use super::front_end::FrontEnd;
use super::memory::Memory;
use std::vec::Vec;

/// [`Buffers`](super::Buffers) for any front end.
#[derive(Clone, Debug)]
pub struct HostBuffers {
    ring: Vec<i16>,
    work: Vec<f32>,
    frame: Vec<f32>,
    transform: Transform,
}

impl HostBuffers {
    /// Memory for a front end.
    pub fn new(front_end: &FrontEnd<'_>) -> Self {
        let (fft, bands) = (front_end.fft(), front_end.bands());
        let transform = match fft {
            64 => transform::<64>(),
            128 => transform::<128>(),
            256 => transform::<256>(),
            512 => transform::<512>(),
            1024 => transform::<1024>(),
            _ => transform::<2048>(),
        };
        HostBuffers { ring: std::vec![0; fft], work: std::vec![0.0; fft], frame: std::vec![0.0; bands], transform }
    }

    /// The memory, lent for a while.
    pub fn memory(&mut self) -> Memory<'_> {
        Memory { ring: &mut self.ring, work: &mut self.work, frame: &mut self.frame, transform: self.transform }
    }
}
