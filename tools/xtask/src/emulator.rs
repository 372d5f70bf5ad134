//! The emulator: runs firmware in QEMU and reads its output.
//!
//! ```text
//! QEMU ─┬─ stdout: semihosting, defmt frames ──► decoder (strings from the ELF) ──► log lines ──► steps
//!       └─ stderr: UART, the story ────────────► on_story, as it comes
//! ```

use crate::firmware::Board;
use anyhow::{Context, Result, bail};
use defmt_decoder::{DecodeError, Table};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Timeout after which the emulated machine counts as hung.
const PATIENCE: Duration = Duration::from_secs(300);

/// One step: a computed vector of logits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The token that was drawn from the logits.
    pub token: u16,
    /// CRC-32 of the logits.
    pub crc32: u32,
}

/// The result of a run of the firmware.
pub struct Run {
    /// Every step, in order.
    pub steps: Vec<Step>,
    /// Instructions of every step.
    pub instructions: Vec<u64>,
    /// Log, without the lines of the steps.
    pub log: Vec<String>,
    /// Output of the UART.
    pub story: Vec<u8>,
    /// Exit code of the firmware.
    pub exit: i32,
}

/// Runs firmware with a command line until it ends; `on_story` gets the UART's bytes as they come.
///
/// # Errors
/// When QEMU cannot be started or does not end, or when the log cannot be decoded.
pub fn run(board: &Board, elf: &Path, arguments: &[String], mut on_story: impl FnMut(&[u8]) + Send) -> Result<Run> {
    let bytes = std::fs::read(elf).with_context(|| format!("{}", elf.display()))?;
    let table = Table::parse(&bytes)?.with_context(|| format!("{}: no defmt strings", elf.display()))?;
    let mut text = Text::default();
    let output = emulate(board, elf, arguments, |bytes| on_story(&text.without_results(bytes)))?;
    let story = Text::default().without_results(&output.uart);
    let mut run = Run { steps: Vec::new(), instructions: Vec::new(), log: Vec::new(), story, exit: output.exit };
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

/// Beginning of a result's line, on a console that also has text.
pub const RESULT: &str = "{\"app\"";

/// Text of a console that comes in pieces, cut anywhere.
#[derive(Default)]
struct Text {
    /// The beginning of the line, while it may still be a result's.
    begin: Vec<u8>,
    /// True for a line that is a result, false for text; `None` while it is not known.
    is_result: Option<bool>,
}

impl Text {
    /// These bytes without the results' lines.
    fn without_results(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        for &byte in bytes {
            match self.is_result {
                Some(true) => {}
                Some(false) => text.push(byte),
                None => {
                    self.begin.push(byte);
                    if self.begin == RESULT.as_bytes() {
                        self.is_result = Some(true);
                        self.begin.clear();
                    } else if !RESULT.as_bytes().starts_with(&self.begin) {
                        self.is_result = Some(false);
                        text.append(&mut self.begin);
                    }
                }
            }
            if byte == b'\n' {
                self.is_result = None;
            }
        }
        text
    }
}

/// Output of a machine.
pub struct Output {
    /// Output by semihosting.
    pub console: Vec<u8>,
    /// Output of its UART.
    pub uart: Vec<u8>,
    /// The program's exit code.
    pub exit: i32,
}

/// Runs any program until it ends.
///
/// # Errors
/// When QEMU cannot be started, does not end or crashes.
pub fn emulate(board: &Board, elf: &Path, arguments: &[String], on_uart: impl FnMut(&[u8]) + Send) -> Result<Output> {
    emulate_with(board, elf, arguments, &Extra::default(), on_uart)
}

/// Inputs of a machine beside its program.
#[derive(Default)]
pub struct Extra<'a> {
    /// A file whose bytes arrive on the board's serial port.
    pub serial: Option<&'a Path>,
    /// Additional options of QEMU.
    pub options: &'a [String],
}

/// [`emulate`] with inputs beside the program.
///
/// # Errors
/// As [`emulate`].
pub fn emulate_with(
    board: &Board,
    elf: &Path,
    arguments: &[String],
    extra: &Extra<'_>,
    mut on_uart: impl FnMut(&[u8]) + Send,
) -> Result<Output> {
    let port = extra.serial.map(Port::new).transpose()?;
    let mut child = start(board, elf, arguments, port.as_ref(), extra.options)?;
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

/// A folder with the two ends of a serial port: `uart.in` has the bytes that arrive, `uart.out` is the standard error. A pipe of QEMU reads
/// them; option `input-path` of a file would do it without a folder, but versions before 8 do not have it.
struct Port(PathBuf);

impl Port {
    fn new(file: &Path) -> Result<Port> {
        static PORTS: AtomicUsize = AtomicUsize::new(0);
        let bytes = std::fs::read(file).with_context(|| format!("{}", file.display()))?;
        let name = format!("thumbformer-serial-{}-{}", std::process::id(), PORTS.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).with_context(|| format!("{}", folder.display()))?;
        let port = Port(folder);
        std::fs::write(port.0.join("uart.in"), bytes)?;
        #[cfg(unix)]
        std::os::unix::fs::symlink("/dev/stderr", port.0.join("uart.out"))?;
        Ok(port)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(board: &Board, elf: &Path, arguments: &[String], port: Option<&Port>, options: &[String]) -> Result<Child> {
    let machine = board.machine.as_deref();
    let machine =
        machine.with_context(|| format!("{} is a real board, no emulator has it: `cargo xtask flash`", board.name))?;
    // In QEMU's options a comma is written twice.
    let uart = match port {
        Some(Port(folder)) => format!("pipe,id=uart,path={}/uart", folder.display().to_string().replace(',', ",,")),
        None => "file,id=uart,path=/dev/stderr".into(),
    };
    let words: Vec<String> = arguments.iter().map(|word| format!(",arg={}", word.replace(',', ",,"))).collect();
    let mut command = Command::new("qemu-system-arm");
    command
        .args(["-M", machine, "-display", "none", "-monitor", "none"])
        // 64 ns of virtual time an instruction: the guest's timer counts instructions, the same in every run.
        .args(["-icount", "shift=6"])
        .args(["-chardev", &uart, "-serial", "chardev:uart"])
        .args(["-semihosting-config", &format!("enable=on,target=native,arg={}{}", board.name, words.concat())])
        .args(options)
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

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn results_are_taken_out_of_a_text_wherever_it_is_cut() {
        let console = b"Once {\"app\"\n\n{\"app\":1}\n{\"ap\nThe end.\n{\"app\":2}\n";
        for size in 1..=console.len() {
            let mut text = Text::default();
            let found: Vec<u8> = console.chunks(size).flat_map(|bytes| text.without_results(bytes)).collect();
            assert_eq!(String::from_utf8_lossy(&found), "Once {\"app\"\n\n{\"ap\nThe end.\n", "in pieces of {size}");
        }
    }
}
