//! Check of `examples/firmware` as a user has it: a copy in another folder, with the user's lines changed, built for two cores and run.
//!
//! ```text
//! examples/firmware ──► copy in a folder with a space in its name ──► lines "yours" changed ──► build ──► QEMU ──► text, CRC-32
//!                                                                      host, the same loop ──────────────────► text, CRC-32
//! ```

use crate::cores::Core;
use crate::emulator::emulate;
use crate::firmware::{Board, Build, language_model};
use crate::setup;
use crate::shell::root;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use thumbformer::state::HostState;
use thumbformer::text::argmax;
use thumbformer::{Error, LogitsCrc, Model};

/// The example's folder.
const FOLDER: &str = "examples/firmware";
/// Prompt and context in the example's source.
const PROMPT: &str = "Once upon a time, there was";
const MAX_SEQ: usize = 256;

/// Copies, builds and runs the example for a core with SIMD and for one without.
///
/// # Errors
/// When it does not build, or its output differs from the host's.
pub fn check() -> Result<String> {
    let copy = Copy::new()?;
    let mut verdicts = Vec::new();
    for core in [Core::M4, Core::M0Plus] {
        let printed = copy.run(core)?;
        let image = language_model()?.packed(&core.emulated()?.pack);
        let expected = on_host(&image)?;
        ensure!(printed == expected, "{FOLDER} on {}: printed {printed:?}, expected {expected:?}", core.name());
        verdicts.push(format!("{} bytes on {}", printed.len(), core.name()));
    }
    Ok(format!("a copy of {FOLDER} told the host's story, {}", verdicts.join(", ")))
}

/// A copy of the example, removed when it is dropped.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Copy {
    fn new() -> Result<Copy> {
        let copy = Copy(std::env::temp_dir().join(format!("my first firmware {}", std::process::id())));
        for file in files(&root().join(FOLDER))? {
            let to = copy.0.join(&file);
            let folder = to.parent().unwrap_or(&copy.0);
            std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
            std::fs::copy(root().join(FOLDER).join(&file), &to).with_context(|| format!("{}", to.display()))?;
        }
        // The versions of the boards' lock file, so that no newer crate changes the result.
        std::fs::copy(root().join("boards/Cargo.lock"), copy.0.join("Cargo.lock"))?;
        copy.change("Cargo.toml", "\"../..\"", &format!("{:?}", root().display().to_string()))?;
        Ok(copy)
    }

    /// Changes a line as the user does; it must occur exactly once.
    fn change(&self, file: &str, from: &str, to: &str) -> Result<()> {
        let text = std::fs::read_to_string(root().join(FOLDER).join(file))?;
        let found = text.matches(from).count();
        ensure!(found == 1, "{FOLDER}/{file}: expected {from} once, found it {found} times");
        Ok(std::fs::write(self.0.join(file), text.replace(from, to))?)
    }

    /// Console output of the example, built for a core.
    fn run(&self, core: Core) -> Result<String> {
        let board = core.emulated()?;
        let image = language_model()?.packed(&board.pack);
        self.change("src/main.rs", "\"../../../models/stories/stories-m4.tbf\"", &format!("{:?}", image))?;
        // The M4's flags are the example's own; another core's come as `RUSTFLAGS`, which cargo takes in place of them.
        let rustflags = match core {
            Core::M4 => Vec::new(),
            _ => vec![format!("-Ctarget-cpu={}", board.cpu)],
        };
        let build = Build { rustflags, ..Build::default() };
        let board = Board { build, name: format!("example-{}", core.name()), folder: self.0.clone(), ..board.into() };
        let elf = board.build_program(&setup::ensure(&board.target)?, "my-firmware")?;
        let output = emulate(&board, &elf, &[], |_| ())?;
        let printed = String::from_utf8_lossy(&output.console).into_owned();
        ensure!(output.exit == 0, "{FOLDER} on {} ended with exit code {}: {printed}", core.name(), output.exit);
        Ok(printed)
    }
}

/// Files of the example, without those that cargo makes.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(below) = folders.pop() {
        for entry in std::fs::read_dir(folder.join(&below)).with_context(|| format!("{}", folder.display()))? {
            let path = below.join(entry?.file_name());
            match folder.join(&path).is_dir() {
                true if path != Path::new("target") => folders.push(path),
                false if path != Path::new("Cargo.lock") => found.push(path),
                _ => (),
            }
        }
    }
    Ok(found)
}

/// Output of the example's loop on this machine.
fn on_host(image: &Path) -> Result<String> {
    let words = thumbformer_cli::read_image(image)?;
    let model = Model::parse(&words)?;
    let tokenizer = model.tokenizer().ok_or(Error::NoTokenizer)?;
    let mut prompt = [0; 32];
    let length = tokenizer.encode(PROMPT, true, &mut prompt)?;
    let mut state = HostState::new(model.dims(), MAX_SEQ);
    let mut session = model.session(state.memory());
    let (mut text, mut crc) = (Vec::new(), LogitsCrc::new());
    // Token by token, where the example takes its prompt at once: the same bits.
    for &token in &prompt[..length - 1] {
        session.decode(token)?;
    }
    let mut token = prompt[length - 1];
    loop {
        let logits = session.decode(token)?;
        crc.update(logits);
        let next = argmax(logits);
        if tokenizer.is_end(next) || session.remaining() == 0 {
            text.extend(format!("\nlogits crc32 {:08x}\n", crc.total()).bytes());
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        text.extend(tokenizer.piece(token, next));
        token = next;
    }
}
