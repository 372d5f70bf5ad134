//! Regression limits: the most instructions allowed for the kernels, the encoder block and the front end, on each core.
//!
//! ```text
//! core ──► benchmark firmware in QEMU ──► rows: exact, the same in two runs, within their limits
//! ```

use crate::bench;
use crate::cores::Core;
use crate::parallel::each;
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

/// Core, kernel, integer type, rows, columns, and the limit of instructions per multiply-accumulate (per element of a softmax).
const LIMITS: [(Core, &str, &str, u32, u32, f64); 29] = [
    (Core::M4, "matvec", "q8", 64, 256, 1.00),
    (Core::M4, "matvec", "q8", 256, 64, 1.10),
    (Core::M4, "matmul", "q8", 256, 64, 0.93),
    (Core::M4, "matvec", "q4", 64, 256, 1.20),
    (Core::M7, "matvec", "q8", 64, 256, 1.00),
    (Core::M33, "matvec", "q8", 64, 256, 1.00),
    (Core::M33, "matvec", "q4", 64, 256, 1.20),
    (Core::M4, "scores", "q8", 256, 16, 1.6),
    (Core::M4, "scores", "q8", 256, 32, 1.45),
    (Core::M4, "weighted_sums", "q8", 16, 256, 1.5),
    (Core::M4, "gelu", "q15", 1, 256, 15.5),
    (Core::M4, "softmax", "q15", 1, 256, 12.0),
    (Core::M55, "softmax", "q15", 1, 256, 5.0),
    (Core::M55, "matvec", "q8", 64, 256, 0.175),
    (Core::M55, "matvec", "q8", 256, 64, 0.17),
    (Core::M55, "matmul", "q8", 256, 64, 0.16),
    (Core::M55, "linear", "q8", 64, 64, 0.18),
    (Core::M55, "matvec", "q4", 64, 256, 0.21),
    (Core::M55, "scores", "q8", 256, 16, 0.42),
    (Core::M3, "matvec", "q8", 64, 256, 2.0),
    (Core::M3, "matvec", "q4", 64, 256, 1.6),
    (Core::M0Plus, "matvec", "q8", 64, 256, 3.3),
    (Core::M0Plus, "matvec", "q4", 64, 256, 3.0),
    (Core::M0Plus, "softmax", "q15", 1, 256, 20.0),
    (Core::M0Plus, "scores", "q8", 256, 16, 6.7),
    (Core::M0Plus, "weighted_sums", "q8", 16, 256, 4.5),
    (Core::M3, "softmax", "q15", 1, 256, 14.0),
    (Core::M3, "scores", "q8", 256, 16, 3.9),
    (Core::M3, "weighted_sums", "q8", 16, 256, 2.65),
];

/// Limit of the encoder block's instructions.
const ENCODER_LIMITS: [(Core, u32); 4] =
    [(Core::M4, 5_300_000), (Core::M55, 1_390_000), (Core::M3, 13_100_000), (Core::M0Plus, 22_600_000)];

/// Limit of the instructions for a second of sound.
const SOUND_LIMITS: [(Core, u32); 3] = [(Core::M4, 1_000_000), (Core::M55, 900_000), (Core::M0Plus, 31_000_000)];

/// Measures kernels, the encoder block and the front end on every core, and compares them with their limits.
///
/// # Errors
/// When one is not exact, not repeatable or above its limit, or when an image for other cores gets into firmware.
pub fn check() -> Result<String> {
    let cores = Core::value_variants();
    let count: usize = each(cores, |&core| check_core(core))?.into_iter().sum();
    // An image that is packed for other cores must be refused.
    let (mut wrong, other) = (Core::M4.board()?, Core::M55.emulated()?.pack);
    wrong.build.variables.push(("THUMBFORMER_PACK", other));
    match wrong.build_program(&setup::ensure(&wrong.target)?, "model") {
        Err(error) if format!("{error:#}").contains("convert it with `--pack m4`") => {}
        Err(error) => bail!("a wrong packing must be refused by its name: {error:#}"),
        Ok(_) => bail!("firmware for one core was built with an image for another"),
    }
    Ok(format!(
        "{count} measurements on {} cores exact, {} within their limits; the encoder block has the host's bits on all of \
         them; a wrong packing is refused",
        cores.len(),
        LIMITS.len() + ENCODER_LIMITS.len()
    ))
}

/// Measures one core; returns the number of kernels.
fn check_core(core: Core) -> Result<usize> {
    let rows = bench::kernels(core)?;
    if let Some(wrong) = rows.iter().find(|row| !row.exact) {
        bail!("{}: {} of {}x{} is not exact", core.name(), wrong.kernel, wrong.rows, wrong.cols);
    }
    let encoder = bench::encoder(core)?;
    ensure!(encoder.exact, "{}: the encoder block has other bits than on the host", core.name());
    let sound = bench::front_end(core)?;
    ensure!(sound.exact, "{}: the front end's frames have other bits than on the host", core.name());
    for (_, limit) in SOUND_LIMITS.iter().filter(|limit| limit.0 == core) {
        let found = sound.instructions;
        ensure!(found <= *limit, "{}: a second of sound takes {found} instructions, at most {limit}", core.name());
    }
    for (_, limit) in ENCODER_LIMITS.iter().filter(|limit| limit.0 == core) {
        let found = encoder.instructions;
        ensure!(found <= *limit, "{}: the encoder block takes {found} instructions, at most {limit}", core.name());
    }
    for (_, kernel, quant, rows_, cols, limit) in LIMITS.iter().filter(|limit| limit.0 == core) {
        let same = |row: &&bench::Row| row.kernel == *kernel && row.quant == *quant;
        let row = rows.iter().filter(same).find(|row| (row.rows, row.cols) == (*rows_, *cols));
        let row = row.with_context(|| format!("{}: {kernel} of {rows_}x{cols} was not measured", core.name()))?;
        ensure!(
            row.per_mac <= *limit,
            "{}: {kernel} of {rows_}x{cols} takes {} instructions each, at most {limit}",
            core.name(),
            row.per_mac
        );
    }
    if core == Core::M4 {
        ensure!(bench::kernels(core)? == rows, "two runs on {} took different numbers of instructions", core.name());
    }
    Ok(rows.len())
}
