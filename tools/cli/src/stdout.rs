//! Standard output without panics: a closed pipe ends the command quietly, a full disk is an error.
//!
//! ```text
//! writeln!(stdout(), …)? ──► error ──► exit(result) ──► closed pipe: nothing is said, status 141; else `error: …`, status 1
//! ```

use anyhow::Result;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Exit status of a command whose reader has gone, as a shell reports for a program that SIGPIPE ended. It is not a success: the
/// rest of the work was not done.
const CLOSED: u8 = 141;

/// Standard output whose errors name it.
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

/// Exit status of a command; prints its error. Buffered output is written first, as the runtime would ignore its errors.
pub fn exit(result: Result<()>) -> ExitCode {
    let result = result.and_then(|()| Ok(stdout().flush()?));
    let Err(error) = result else { return ExitCode::SUCCESS };
    if error.chain().any(|cause| cause.downcast_ref().is_some_and(is_closed)) {
        return ExitCode::from(CLOSED);
    }
    // When standard error is closed too, there is nowhere to report to.
    _ = writeln!(io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}

fn is_closed(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}
