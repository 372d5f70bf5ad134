//! Machine code of Cortex-M programs: functions, calls, and the worst case of the stack.
//!
//! ```text
//! ELF ──► Program: functions ──► instructions ──► branches ─┬─► calls of inference, for the check of panics
//!                                            └──► frames ───┴─► Stack: the deepest path of inference
//! ```

mod branch;
mod frame;
mod program;
mod registers;
mod stack;
pub mod thumb;

pub use branch::Branch;
pub use program::{Function, Origin, Program, is_ours};
pub use stack::{Entry, Stack, worst};
