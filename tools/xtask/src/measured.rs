//! Benchmarks as a check: exact, the same in two runs, and the recorded figures.
//!
//! ```text
//! core ──► benchmark firmware in QEMU ──► rows: exact, repeatable, equal to docs/results.json
//! ```

use crate::bench;
use crate::cores::Core;
use crate::parallel::each;
use crate::results::{Results, measure};
use crate::setup;
use anyhow::{Result, bail, ensure};
use clap::ValueEnum;

/// Measures kernels, tokens, the encoder block and the front end on every core, and compares them with the record.
///
/// # Errors
/// A result that is not exact, not repeatable or not the recorded one; an image for other cores that gets into firmware.
pub fn check() -> Result<String> {
    let recorded = Results::recorded()?;
    let incomparable = recorded.incomparable()?;
    let cores = Core::value_variants();
    let counts = each(cores, |&core| {
        let found = measure(core)?;
        if incomparable.is_none() {
            recorded.compare_core(core, &found)?;
        }
        if core == Core::M4 {
            let again = bench::kernels(core)?;
            ensure!(again == found.kernels, "two runs on {} took different numbers of instructions", core.name());
        }
        Ok(found.kernels.len() + found.tokens.len() + found.blocks.len())
    })?;
    // An image that is packed for other cores must be refused.
    let (mut wrong, other) = (Core::M4.board()?, Core::M55.emulated()?.pack);
    wrong.build.variables.push(("THUMBFORMER_PACK", other));
    match wrong.build_program(&setup::ensure(&wrong.target)?, "model") {
        Err(error) if format!("{error:#}").contains("convert it with `--pack m4`") => {}
        Err(error) => bail!("a wrong packing must be refused by its name: {error:#}"),
        Ok(_) => bail!("firmware for one core was built with an image for another"),
    }
    Ok(format!(
        "{} measurements on {} cores exact, {}; a wrong packing is refused",
        counts.iter().sum::<usize>(),
        cores.len(),
        incomparable.unwrap_or_else(|| "all as recorded".into())
    ))
}
