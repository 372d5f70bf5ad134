//! Times, taken in turns.
//!
//! ```text
//! round 1: plain float, float 8, thumbformer, candle     each decodes all tokens once, from an empty context
//! round 2: float 8, thumbformer, candle, plain float     the next one begins
//! …                                                      ratio to plain float within each round ─► median of the rounds
//! ```
//! Criterion and divan finish one benchmark before they begin the next. On a machine that others use, or that changes its
//! clock, a minute later is another machine: the ratio of two such results is noise. Here both sides of a ratio were
//! measured within the same second, and one disturbed round does not move a median. There is nothing else that those
//! crates would add: a pass takes milliseconds, far beyond the clock's resolution.
//!
//! The clock is the processor time of the process: what other programs take of the core does not count, and what
//! a contender would do in other threads does.

use crate::decoder::{Contender, Decoder};
use anyhow::{Context, Result};
use cpu_time::ProcessTime;
use serde::Serialize;
use std::hint::black_box;
use thumbformer::Dims;

/// A contender over a range of positions.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Whose implementation.
    pub implementation: &'static str,
    /// Way to compute, where a contender has several.
    pub backend: &'static str,
    /// Compiler of all contenders.
    pub compiler: &'static str,
    /// `RUSTFLAGS` of all of them.
    pub flags: &'static str,
    /// The positions of the tokens, such as `0..64`.
    pub positions: String,
    /// Number of rounds.
    pub rounds: usize,
    /// Median over the rounds.
    pub tokens_per_second: f64,
    /// Billions of multiply-accumulates with weights, keys and values a second, by the same median.
    pub gmacs: f64,
    /// Median over the rounds of the ratio within a round; above 1: faster than plain float.
    pub ratio_to_plain_float: f64,
    /// Quartiles of that.
    pub ratio_quartiles: [f64; 2],
}

/// Times every contender, of which the first is plain float, over each of these ranges; they begin at position 0, the
/// longest one has all tokens.
///
/// # Errors
/// When a contender fails.
pub fn measure(
    contenders: &mut [Contender<'_>],
    tokens: &[u16],
    ends: &[usize],
    rounds: usize,
    dims: &Dims,
) -> Result<Vec<Row>> {
    let count = contenders.len();
    // [contender][end][round]
    let mut seconds = vec![vec![Vec::with_capacity(rounds); ends.len()]; count];
    for round in 0..rounds {
        for turn in 0..count {
            let index = (round + turn) % count;
            let times = pass(&mut *contenders[index].decoder, tokens, ends)?;
            seconds[index].iter_mut().zip(times).for_each(|(all, time)| all.push(time));
        }
    }
    let mut rows = Vec::new();
    for (at, &end) in ends.iter().enumerate() {
        let macs = (0..end).map(|position| dims.weight_macs() + dims.attention_macs(position)).sum::<usize>() as f64;
        for (contender, own) in contenders.iter().zip(&seconds) {
            let time = quantile(&own[at], 0.5);
            let ratios: Vec<f64> = seconds[0][at].iter().zip(&own[at]).map(|(plain, own)| plain / own).collect();
            rows.push(Row {
                implementation: contender.implementation,
                backend: contender.backend,
                compiler: env!("HOST_BENCH_COMPILER"),
                flags: env!("HOST_BENCH_FLAGS"),
                positions: format!("0..{end}"),
                rounds,
                tokens_per_second: rounded(end as f64 / time),
                gmacs: rounded(macs / time / 1e9),
                ratio_to_plain_float: rounded(quantile(&ratios, 0.5)),
                ratio_quartiles: [rounded(quantile(&ratios, 0.25)), rounded(quantile(&ratios, 0.75))],
            });
        }
    }
    Ok(rows)
}

/// Decodes all tokens once; the seconds of processor time from the first to each of `ends`.
fn pass(decoder: &mut dyn Decoder, tokens: &[u16], ends: &[usize]) -> Result<Vec<f64>> {
    let mut seconds = Vec::with_capacity(ends.len());
    decoder.reset()?;
    let clock = "the system has no clock of processor time; run this on Linux, macOS or Windows";
    let begin = ProcessTime::try_now().context(clock)?;
    for (position, &token) in tokens.iter().enumerate() {
        black_box(decoder.decode(black_box(token))?);
        if ends.contains(&(position + 1)) {
            seconds.push(begin.try_elapsed().context(clock)?.as_secs_f64());
        }
    }
    Ok(seconds)
}

/// The number below which this share of some numbers lies; the nearest of them.
fn quantile(numbers: &[f64], share: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(share * (sorted.len() - 1) as f64).round() as usize]
}

/// To three decimals: more would be noise.
fn rounded(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}
