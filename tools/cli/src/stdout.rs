//! Standard output that never panics: a closed pipe ends the command quietly, a full disk is an error.
//!
//! ```text
//! writeln!(stdout(), …)? ──► error ──► exit(result) ──► closed pipe: nothing is said, status 141; else `error: …`, status 1
//! ```

use anyhow::Result;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Status of a command whose reader has gone: what a shell reports of a program that SIGPIPE ended. It is no success, as the rest of
/// the work was not done.
const CLOSED: u8 = 141;

/// Standard output; an error names it.
pub struct Stdout(io::Stdout);

/// Standard output of this process.
pub fn stdout() -> Stdout {
    Stdout(io::stdout())
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(named)
    }
}

fn named(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("standard output cannot be written: {error}"))
}

/// The exit status of a command, whose error is printed; what is still buffered is written first, as the runtime would ignore its errors.
pub fn exit(result: Result<()>) -> ExitCode {
    let result = result.and_then(|()| Ok(stdout().flush()?));
    let Err(error) = result else { return ExitCode::SUCCESS };
    if error.chain().any(|cause| cause.downcast_ref().is_some_and(is_closed)) {
        return ExitCode::from(CLOSED);
    }
    // Nobody is left to be told when standard error is closed too.
    _ = writeln!(io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}

fn is_closed(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}
