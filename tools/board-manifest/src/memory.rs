//! Memory that a program takes beside its models, as it is planned before anything is compiled.
//!
//! ```text
//! RAM:    | stack | variables of the program's own | states of models, rooms for inputs | free |
//! flash:  | code, constants | images, inputs | free |
//! ```

use crate::manifest::{Application, Board};

/// Bytes of flash that a program takes beside images and inputs; `cargo xtask board size` prints what it really is. The benchmark has
/// every kernel, and its matrices.
pub(crate) const fn code(application: Application) -> usize {
    match application {
        Application::Bench => 240 * 1024,
        _ => 112 * 1024,
    }
}

/// Bytes of a program's stack: the region that the linker gives it, the only place of these figures. `cargo xtask test boards` holds
/// the worst case of inference, from the machine code, and the depth that is painted in emulation to it. Frames differ by the kind of
/// kernels, which the packing names.
pub fn stack(board: &Board, application: Application) -> usize {
    match (application, board.pack.as_str()) {
        (Application::Generate, _) => 11 * 1024,
        (Application::Classify, "m4" | "m55") => 12 * 1024,
        (Application::Classify | Application::Verify, _) => 9728,
        (Application::Bench, _) => 22 * 1024,
    }
}

/// Bytes of the stack of `verify` where it computes the float network too, which goes deeper than the engine.
pub const FLOAT_STACK: usize = 12 * 1024;

/// Bytes of a program's variables beside its models' state: log, console, the empty heap of `verify`; of the benchmark its
/// matrices.
const fn own(application: Application) -> usize {
    match application {
        Application::Bench => 10 * 1024,
        _ => 1024,
    }
}

/// Bytes of RAM that an application needs beside its models' state.
pub fn beside(board: &Board, application: Application) -> usize {
    stack(board, application) + own(application)
}
