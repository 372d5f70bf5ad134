//! Runs firmware in QEMU and reads what it says.
//!
//! ```text
//! QEMU ─┬─ stdout: semihosting, defmt frames ──► decoder (strings from the ELF) ──► log lines ──► steps
//!       └─ stderr: UART, the story ────────────► on_story, as it comes
//! ```

use crate::firmware::Board;
use anyhow::{Context, Result, bail};
use defmt_decoder::{DecodeError, Table};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// After this the emulated machine is taken to hang.
const PATIENCE: Duration = Duration::from_secs(300);

/// One computed vector of logits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The token that was drawn from the logits.
    pub token: u16,
    /// CRC-32 of the logits.
    pub crc32: u32,
}

/// What a run of the firmware gave.
pub struct Run {
    /// Every step, in order.
    pub steps: Vec<Step>,
    /// Instructions of every step.
    pub instructions: Vec<u64>,
    /// The log but for the lines of the steps.
    pub log: Vec<String>,
    /// What came over the UART.
    pub story: Vec<u8>,
    /// The firmware's exit code.
    pub exit: i32,
}

/// Runs firmware with a command line until it ends; `on_story` gets the UART's bytes as they come.
///
/// # Errors
/// When QEMU cannot be started or does not end, or when the log cannot be decoded.
pub fn run(board: &Board, elf: &Path, arguments: &[String], on_story: impl FnMut(&[u8]) + Send) -> Result<Run> {
    let bytes = std::fs::read(elf).with_context(|| format!("{}", elf.display()))?;
    let table = Table::parse(&bytes)?.with_context(|| format!("{}: no defmt strings", elf.display()))?;
    let output = emulate(board, elf, arguments, on_story)?;
    let mut run =
        Run { steps: Vec::new(), instructions: Vec::new(), log: Vec::new(), story: output.uart, exit: output.exit };
    for line in decode(&table, &output.console)? {
        match parse_step(&line) {
            Some((step, instructions)) => {
                run.steps.push(step);
                run.instructions.push(instructions);
            }
            None => run.log.push(line),
        }
    }
    Ok(run)
}

/// What a machine put out.
pub struct Output {
    /// By semihosting.
    pub console: Vec<u8>,
    /// By its UART.
    pub uart: Vec<u8>,
    /// The program's exit code.
    pub exit: i32,
}

/// Runs any program until it ends.
///
/// # Errors
/// When QEMU cannot be started, does not end or crashes.
pub fn emulate(board: &Board, elf: &Path, arguments: &[String], on_uart: impl FnMut(&[u8]) + Send) -> Result<Output> {
    emulate_with(board, elf, arguments, None, on_uart)
}

/// [`emulate`], with a file whose bytes arrive on the board's serial port.
///
/// # Errors
/// As [`emulate`].
pub fn emulate_with(
    board: &Board,
    elf: &Path,
    arguments: &[String],
    serial: Option<&Path>,
    mut on_uart: impl FnMut(&[u8]) + Send,
) -> Result<Output> {
    let mut child = start(board, elf, arguments, serial)?;
    let mut console_pipe = child.stdout.take().context("QEMU has no standard output")?;
    let mut uart_pipe = child.stderr.take().context("QEMU has no standard error")?;
    let (uart, console, status) = std::thread::scope(|scope| {
        let uart = scope.spawn(move || {
            let (mut uart, mut buffer) = (Vec::new(), [0; 256]);
            while let Ok(count @ 1..) = uart_pipe.read(&mut buffer) {
                on_uart(&buffer[..count]);
                uart.extend(&buffer[..count]);
            }
            uart
        });
        let console = scope.spawn(move || {
            let mut console = Vec::new();
            console_pipe.read_to_end(&mut console).map(|_| console)
        });
        let status = wait(&mut child);
        (uart.join(), console.join(), status)
    });
    let (Ok(uart), Ok(console)) = (uart, console) else { bail!("a reader of QEMU's output panicked") };
    let status = status?;
    let Some(exit) = status.code() else { bail!("QEMU was ended by a signal: {status}") };
    Ok(Output { console: console?, uart, exit })
}

fn start(board: &Board, elf: &Path, arguments: &[String], serial: Option<&Path>) -> Result<Child> {
    let machine = board.machine.as_deref();
    let machine =
        machine.with_context(|| format!("{} is a real board, no emulator has it: `cargo xtask flash`", board.name))?;
    let input =
        serial.map_or(String::new(), |file| format!(",input-path={}", file.display().to_string().replace(',', ",,")));
    // In QEMU's options a comma is written twice.
    let words: Vec<String> = arguments.iter().map(|word| format!(",arg={}", word.replace(',', ",,"))).collect();
    let mut command = Command::new("qemu-system-arm");
    command
        .args(["-M", machine, "-display", "none", "-monitor", "none"])
        // 64 ns of virtual time an instruction: the guest's timer counts instructions, the same in every run.
        .args(["-icount", "shift=6"])
        .args(["-chardev", &format!("file,id=uart,path=/dev/stderr{input}"), "-serial", "chardev:uart"])
        .args(["-semihosting-config", &format!("enable=on,target=native,arg={}{}", board.name, words.concat())])
        .arg("-kernel")
        .arg(elf)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().context("qemu-system-arm could not be started: run `cargo xtask setup`")
}

fn wait(child: &mut Child) -> Result<std::process::ExitStatus> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begin.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            bail!("the emulated machine did not end within {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn decode(table: &Table, frames: &[u8]) -> Result<Vec<String>> {
    let mut decoder = table.new_stream_decoder();
    decoder.received(frames);
    let mut lines = Vec::new();
    loop {
        match decoder.decode() {
            Ok(frame) => lines.push(frame.display_message().to_string()),
            Err(DecodeError::UnexpectedEof) => return Ok(lines),
            Err(DecodeError::Malformed) => bail!("a frame of the log is damaged, after the line {:?}", lines.last()),
        }
    }
}

/// `step 1 token 258 crc32 89abcdef instructions 3141592`.
fn parse_step(line: &str) -> Option<(Step, u64)> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["step", _, "token", token, "crc32", crc32, _, instructions] = words[..] else { return None };
    let crc32 = u32::from_str_radix(crc32, 16).ok()?;
    Some((Step { token: token.parse().ok()?, crc32 }, instructions.parse().ok()?))
}
