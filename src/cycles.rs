//! What a cycle counter is.

/// A counter that runs while code runs: cycles on hardware, executed instructions in an emulator.
pub trait CycleCounter {
    /// The current count; it may wrap.
    fn now(&mut self) -> u32;

    /// What was counted since `start`, a value of [`now`](CycleCounter::now).
    fn since(&mut self, start: u32) -> u32 {
        self.now().wrapping_sub(start)
    }
}
