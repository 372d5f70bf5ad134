//! Record of long runs, docs/long-runs.json: of the checks of `cargo xtask test full`, and of fuzzing; tables of docs/trust.md.

use crate::results;
use crate::shell::{output, root};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::process::Command;

const RECORD: &str = "docs/long-runs.json";

/// Recorded runs.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Records {
    /// Last passed run of each check that is slow, by its name.
    #[serde(default)]
    pub checks: BTreeMap<String, Passed>,
    /// Last long run of each target of fuzzing.
    #[serde(default)]
    pub fuzzing: BTreeMap<String, Fuzzed>,
}

/// A check that has passed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Passed {
    /// Date, and commit.
    pub at: String,
    /// Figures of the check.
    pub text: String,
    /// Seconds, beside the other checks of its run.
    pub seconds: u64,
}

/// A run of a target of fuzzing.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Fuzzed {
    /// Date, and commit.
    pub at: String,
    /// Number of inputs.
    pub executions: u64,
    /// Edges reached.
    pub edges: u64,
    /// Input that reached the last new one.
    pub newest: u64,
    /// Seconds of the run.
    pub seconds: u64,
}

impl Records {
    /// The recorded runs.
    ///
    /// # Errors
    /// A file that is missing or damaged.
    pub fn read() -> Result<Records> {
        let text = std::fs::read_to_string(root().join(RECORD)).context(RECORD)?;
        serde_json::from_str(&text).context(RECORD)
    }

    /// Writes the record, and its tables.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(root().join(RECORD), text).context(RECORD)?;
        results::render()
    }

    /// Table of the checks.
    pub fn of_checks(&self) -> String {
        let rows = self.checks.iter().map(|(name, Passed { at, text, seconds })| {
            format!("| `{name}` | {} | {} | {at} |\n", text.replace('|', "/"), grouped(*seconds))
        });
        ["| check | result | seconds | at |\n|---|---|---|---|\n".to_string()].into_iter().chain(rows).collect()
    }

    /// Table of fuzzing.
    pub fn of_fuzzing(&self) -> String {
        let rows = self.fuzzing.iter().map(|(target, run)| {
            let [executions, edges, newest, seconds] =
                [run.executions, run.edges, run.newest, run.seconds].map(grouped);
            format!("| {target} | {executions} | {edges} | {newest} | {seconds} | {} |\n", run.at)
        });
        let head = "| target | executions | edges | last new edge | seconds | at |\n|---|---|---|---|---|---|\n";
        [head.to_string()].into_iter().chain(rows).collect()
    }
}

fn grouped(number: u64) -> String {
    results::thousands(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Date and commit, with a mark where the sources differ from it.
///
/// # Errors
/// A repository that git cannot read.
pub fn now() -> Result<String> {
    let run = |name: &str, arguments: &[&str]| -> Result<String> {
        let printed = output(Command::new(name).args(arguments).current_dir(root()))?.stdout;
        Ok(String::from_utf8_lossy(&printed).trim().to_string())
    };
    let sources = ["status", "--porcelain", "--untracked-files=no", "--", "src", "tools", "fuzz", "boards", "tests"];
    let mark = if run("git", &sources)?.is_empty() { "" } else { "+" };
    Ok(format!("{}, {}{mark}", run("date", &["-u", "+%F"])?, run("git", &["rev-parse", "--short", "HEAD"])?))
}

#[cfg(test)]
mod tests {
    use super::{Fuzzed, Passed, Records};

    #[test]
    fn tables_have_a_row_for_each_run() {
        let mut records = Records::default();
        let at = "2026-01-02, 1234567".to_string();
        let passed = Passed { at: at.clone(), text: "1 | 2".into(), seconds: 1234 };
        records.checks.insert("miri".into(), passed);
        records.fuzzing.insert("wav".into(), Fuzzed { at, executions: 1_000_000, edges: 9, newest: 7, seconds: 60 });
        assert!(records.of_checks().ends_with("|\n| `miri` | 1 / 2 | 1,234 | 2026-01-02, 1234567 |\n"));
        assert!(records.of_fuzzing().ends_with("|\n| wav | 1,000,000 | 9 | 7 | 60 | 2026-01-02, 1234567 |\n"));
    }
}
