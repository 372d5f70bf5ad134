//! Flashing: every check that is possible, and only then `probe-rs run`, which writes, resets and prints the program's log.
//!
//! ```text
//! Report without violations ──► one probe ──► probe-rs installed ──► the right chip, unlocked ──► probe-rs run
//! ```

use crate::chip::Chip;
use crate::probes::{Probe, attached, choose};
use crate::report::Report;
use crate::silicon::{Attached, identity, judge, unlocked};
use crate::uf2;
use anyhow::{Context, Result, ensure};
use probe_rs::architecture::arm::ArmError;
use probe_rs::probe::DebugProbeSelector;
use probe_rs::probe::list::Lister;
use probe_rs::{Error, MemoryInterface, Permissions};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// Flashes a program that was checked, and runs it until it ends or Ctrl-C.
///
/// # Errors
/// When a rule is violated, no probe can be used, `probe-rs` is not installed, or the chip is locked, not the expected one or
/// silent; nothing was written then.
pub fn flash(chip: &Chip, report: &Report, elf: &Path, wanted: Option<&str>) -> Result<ExitStatus> {
    ensure!(report.violations.is_empty(), "{report}\nnothing was written");
    let probes = attached();
    let probe = choose(&probes, wanted, uf2::family(chip).is_ok())?;
    let runner = runner(std::env::var_os("PATH").unwrap_or_default().as_os_str())?;
    judge(chip, &attach(chip, probe)?)?;
    run(&runner, chip, probe, elf)
}

/// Finds `probe-rs` in a list of folders in the form of `PATH`.
///
/// # Errors
/// When none of them has it.
pub fn runner(path: &std::ffi::OsStr) -> Result<PathBuf> {
    let name = format!("probe-rs{}", std::env::consts::EXE_SUFFIX);
    let mut candidates = std::env::split_paths(path).map(|folder| folder.join(&name));
    candidates.find(|file| file.is_file()).context(
        "probe-rs: is not installed; next: `cargo install probe-rs-tools --locked`, or see https://probe.rs/docs/getting-started/installation",
    )
}

/// Attaches without halting or unlocking, and reads the registers that identify the chip.
fn attach(chip: &Chip, probe: &Probe) -> Result<Attached> {
    let selector: DebugProbeSelector = probe.selector.parse()?;
    let open = Lister::new().open(selector).with_context(|| format!("probe {}: cannot be opened", probe.selector))?;
    let mut session = match open.attach(chip.name.as_str(), Permissions::default()) {
        Ok(session) => session,
        Err(Error::MissingPermissions(_) | Error::Arm(ArmError::MissingPermissions(_))) => return Ok(Attached::Locked),
        Err(error) => return Ok(Attached::Failed(error.to_string())),
    };
    let mut core = session.core(0)?;
    let mut read =
        |field: Option<crate::silicon::Field>| field.map(|field| core.read_word_32(field.address)).transpose();
    Ok(match (read(identity(chip)), read(unlocked(chip))) {
        (Ok(identity), Ok(protection)) => Attached::Open { identity, protection },
        (Err(error), _) | (_, Err(error)) => Attached::Failed(error.to_string()),
    })
}

fn run(runner: &Path, chip: &Chip, probe: &Probe, elf: &Path) -> Result<ExitStatus> {
    let mut command = Command::new(runner);
    command.args(["run", "--chip", &chip.name, "--probe", &probe.selector]).arg(elf);
    command.status().with_context(|| format!("{}: could not be started", runner.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_probe_rs_the_command_that_installs_it_is_named() {
        let message = runner("/nowhere".as_ref()).expect_err("there is no such folder").to_string();
        assert!(message.contains("cargo install probe-rs-tools"), "{message}");
    }

    #[test]
    fn probe_rs_is_found_where_it_lies() {
        let folder = std::env::temp_dir().join(format!("thumbformer-probe-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let file = folder.join(format!("probe-rs{}", std::env::consts::EXE_SUFFIX));
        std::fs::write(&file, "").expect("a file in it");
        let path = std::env::join_paths([Path::new("/nowhere"), &folder]).expect("no colon in them");
        assert_eq!(runner(&path).expect("it is there"), file);
        std::fs::remove_dir_all(&folder).expect("it can be removed");
    }
}
