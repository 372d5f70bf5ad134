//! Fuzzing, `cargo xtask fuzz`: libFuzzer on every target of fuzz/, two at a time.
//!
//! ```text
//! fuzz/cases/TARGET, fuzz/libfuzzer/corpus/TARGET ──► libFuzzer, seconds ──► executions, edges; a case that fails ──► fuzz/cases/TARGET
//!                                                                    --keep: those that reach most, minimised    ──► fuzz/cases/TARGET
//!                                                                    --record: executions, edges, seconds        ──► docs/long-runs.json
//! ```

use crate::records::{self, Fuzzed, Records};
use crate::{parallel, setup, shell};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;
use thumbformer_cli::stdout::stdout;

/// Options of fuzzing.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Targets [default: all, the folders of fuzz/cases]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Seconds, divided among the targets
    #[arg(long, default_value_t = 600, conflicts_with = "executions")]
    seconds: u64,
    /// Executions of each target at least, and on until the last fifth of them has reached no new edge
    #[arg(long)]
    executions: Option<u64>,
    /// Record executions, edges and seconds for docs/trust.md, in the place of those that a target has
    #[arg(long)]
    record: bool,
    /// Replace the cases of these targets by inputs that reach as much, minimised; those that failed once stay
    #[arg(long)]
    keep: bool,
}

/// Longest input that is made; of those, the most that is kept as a case.
const LONGEST: usize = 4096;
const KEPT: u64 = 2048;
/// Targets at a time, as [`parallel::each`] has them.
const AT_A_TIME: u64 = 2;

/// With `--executions`, most of them, in multiples of those that were asked for: a target that goes on to reach new edges ends, too.
const MOST: u64 = 10;

/// libFuzzer's report on a target.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Report {
    executions: u64,
    edges: u64,
    /// Execution that reached the last new edge.
    newest: u64,
    seconds: u64,
}

impl Report {
    /// Reads lines such as `#8192 pulse cov: 1034 ft: 2077 corp: 300/9Kb …`.
    fn read(printed: &str) -> Report {
        let mut report = Report::default();
        for line in printed.lines().filter(|line| line.starts_with('#')) {
            let words: Vec<&str> = line[1..].split_whitespace().collect();
            let cov = words.iter().position(|&word| word == "cov:").and_then(|place| words.get(place + 1));
            let Some(execution) = words.first().and_then(|word| word.parse().ok()) else { continue };
            report.executions = execution;
            let Some(edges) = cov.and_then(|edges| edges.parse().ok()) else { continue };
            if edges > report.edges {
                (report.edges, report.newest) = (edges, execution);
            }
        }
        report
    }

    /// This report, and one that goes on from it.
    fn then(self, next: Report) -> Report {
        let (edges, newest) = match next.edges > self.edges {
            true => (next.edges, self.executions + next.newest),
            false => (self.edges, self.newest),
        };
        let (executions, seconds) = (self.executions + next.executions, self.seconds + next.seconds);
        Report { executions, edges, newest, seconds }
    }

    /// Executions that are missing, at least so many in all and a last fifth without a new edge.
    fn missing(&self, executions: u64) -> u64 {
        let wanted = executions.max((self.newest * 5).div_ceil(4) + 1);
        wanted.saturating_sub(self.executions)
    }

    /// True if the last fifth of the executions reached no new edge.
    fn is_exhausted(&self) -> bool {
        self.executions > 0 && self.newest * 5 <= self.executions * 4
    }
}

/// Fuzzes and prints a line for each target.
///
/// # Errors
/// When a tool cannot be installed, for an unknown target, and when a case was found.
pub fn fuzz(options: &Options) -> Result<()> {
    let fuzzer = Fuzzer::new(options)?;
    writeln!(stdout(), "{:<22} {:>10} {:>7} {:>7}  last new edge", "target", "executions", "edges", "seconds")?;
    let at = records::now()?;
    let records = Mutex::new(if options.record { Records::read()? } else { Records::default() });
    let found = parallel::each(&fuzzer.targets, |target| {
        let (report, cases) = fuzzer.run(target)?;
        if options.keep {
            fuzzer.keep(target)?;
        }
        if options.record && cases.is_empty() {
            let mut records = records.lock().ok().context("another target's run has failed")?;
            let Report { executions, edges, newest, seconds } = report;
            records.fuzzing.insert(target.clone(), Fuzzed { at: at.clone(), executions, edges, newest, seconds });
            // A run of hours keeps what it has.
            records.write()?;
        }
        Ok(cases)
    })?
    .concat();
    ensure!(found.is_empty(), "found, and kept for `cargo test -p thumbformer-fuzz`:\n{}", found.join("\n"));
    Ok(())
}

/// Runs every target for two seconds.
///
/// # Errors
/// As [`fuzz`].
pub fn check() -> Result<String> {
    let options = Options { targets: vec![], seconds: 0, executions: None, record: false, keep: false };
    let fuzzer = Fuzzer::new(&options)?;
    let found = parallel::each(&fuzzer.targets, |target| Ok(fuzzer.run(target)?.1))?.concat();
    ensure!(found.is_empty(), "found: {}", found.join(", "));
    Ok(format!("{} targets", fuzzer.targets.len()))
}

struct Fuzzer {
    nightly: &'static str,
    targets: Vec<String>,
    seconds: u64,
    executions: Option<u64>,
    dictionary: PathBuf,
}

fn cases(target: &str) -> PathBuf {
    shell::root().join("fuzz/cases").join(target)
}

fn corpus(target: &str) -> PathBuf {
    shell::root().join("fuzz/libfuzzer/corpus").join(target)
}

fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// The name that libFuzzer gives to an input of its own: 40 digits of a hash.
fn is_own(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Fuzzer {
    fn new(options: &Options) -> Result<Fuzzer> {
        let all: Vec<String> = files(&shell::root().join("fuzz/cases"))?
            .iter()
            .filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()))
            .collect();
        let targets = if options.targets.is_empty() { all.clone() } else { options.targets.clone() };
        if let Some(unknown) = targets.iter().find(|target| !all.contains(target)) {
            bail!("{unknown}: no such target, expected one of {}", all.join(", "));
        }
        let nightly = setup::fuzzer()?;
        let dictionary = shell::root().join("fuzz/libfuzzer/corpus/dictionary");
        fs::create_dir_all(corpus(""))?;
        fs::write(&dictionary, words()?)?;
        let seconds = (options.seconds * AT_A_TIME / targets.len() as u64).max(2);
        eprintln!("fuzz: building; the first time takes minutes …");
        let fuzzer = Fuzzer { nightly, targets, seconds, executions: options.executions, dictionary };
        shell::output(fuzzer.cargo("build").arg("targets"))?;
        Ok(fuzzer)
    }

    /// `cargo fuzz`. Nothing here is unsafe, so that the sanitizer of addresses would cost half of the executions for nothing; comparisons are
    /// not traced, which costs half of the rest, as the readers' words are in the dictionary.
    fn cargo(&self, verb: &str) -> Command {
        let mut command = setup::cargo_of(self.nightly);
        command.args(["fuzz", verb, "--fuzz-dir", "fuzz/libfuzzer", "--sanitizer", "none", "--no-trace-compares"]);
        command
    }

    /// libFuzzer with a target, whose files are written in memory.
    fn libfuzzer(&self, target: &str, folders: &[&Path], memory: &Path) -> Command {
        let mut command = self.cargo("run");
        command.env("TARGET", target).arg("targets").args(folders).arg("--");
        command.env("TMPDIR", memory).args([
            "-timeout=10".into(),
            format!("-max_len={LONGEST}"),
            format!("-dict={}", self.dictionary.display()),
            format!("-artifact_prefix={}/", cases(target).display()),
        ]);
        command
    }

    /// Fuzzes a target; returns the files of the cases that it found.
    fn run(&self, target: &str) -> Result<(Report, Vec<String>)> {
        let (mut report, mut found) = match self.executions {
            None => self.part(target, &format!("-max_total_time={}", self.seconds))?,
            Some(executions) => self.part(target, &format!("-runs={executions}"))?,
        };
        let wanted = self.executions.unwrap_or(0);
        while found.is_empty() && wanted > 0 && report.missing(wanted) > 0 && report.executions < MOST * wanted {
            let (next, cases) = self.part(target, &format!("-runs={}", report.missing(wanted)))?;
            (report, found) = (report.then(next), cases);
        }
        let fifth = if report.is_exhausted() { "" } else { ", in the last fifth" };
        let Report { executions, edges, newest, seconds } = report;
        writeln!(stdout(), "{target:<22} {executions:>10} {edges:>7} {seconds:>7}  {newest}{fifth}")?;
        Ok((report, found))
    }

    /// Runs libFuzzer once.
    fn part(&self, target: &str, end: &str) -> Result<(Report, Vec<String>)> {
        let (cases, corpus, memory) = (cases(target), corpus(target), in_memory()?);
        fs::create_dir_all(&corpus)?;
        let (before, begin) = (files(&cases)?, Instant::now());
        let mut command = self.libfuzzer(target, &[&corpus, &cases], memory.path());
        let ended = command.arg(end).output()?;
        let printed = String::from_utf8_lossy(&ended.stderr);
        let found: Vec<String> = files(&cases)?.difference(&before).map(|file| file.display().to_string()).collect();
        if !ended.status.success() && found.is_empty() {
            let end: Vec<&str> = printed.lines().rev().take(20).collect();
            bail!("{target}: libFuzzer failed:\n{}", end.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        for line in printed.lines().skip_while(|line| !line.contains("panicked at")).take(2) {
            eprintln!("{target}: {line}");
        }
        Ok((Report { seconds: begin.elapsed().as_secs(), ..Report::read(&printed) }, found))
    }

    /// Replaces a target's own cases by the fewest that reach the same edges, however often.
    fn keep(&self, target: &str) -> Result<()> {
        let (cases, corpus, memory) = (cases(target), corpus(target), in_memory()?);
        let merged = memory.path().join("merged");
        fs::create_dir(&merged)?;
        let mut command = self.libfuzzer(target, &[&merged, &cases, &corpus], memory.path());
        shell::output(command.args(["-set_cover_merge=1", "-use_counters=0"]))?;
        for file in files(&cases)?.iter().filter(|file| is_own(file)) {
            fs::remove_file(file)?;
        }
        for file in files(&merged)? {
            if fs::metadata(&file)?.len() <= KEPT {
                fs::copy(&file, cases.join(file.file_name().unwrap_or_default()))?;
            }
        }
        Ok(())
    }
}

/// A folder in memory where the system has one.
fn in_memory() -> Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.context("a folder for files")
}

/// libFuzzer's dictionary: the words in the sources of the readers, as they are and as keys of a line.
fn words() -> Result<String> {
    let (mut words, mut folders) = (BTreeSet::new(), vec![]);
    folders.extend(
        ["tools/checkpoint/src", "tools/cli/src/verify/expected", "tools/recordings/src"]
            .map(|name| shell::root().join(name)),
    );
    while let Some(folder) = folders.pop() {
        for path in files(&folder)? {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
            let is_word = |word: &&str| {
                (2..40).contains(&word.len())
                    && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./<>|[]#".contains(&byte))
            };
            words.extend(
                text.lines().flat_map(|line| line.split('"').skip(1).step_by(2)).filter(is_word).map(String::from),
            );
        }
    }
    Ok(words.iter().map(|word| format!("\"{word}\"\n\"\\x0a/{word}=\"\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::{Report, words};

    #[test]
    fn executions_edges_and_the_last_new_edge_are_read_from_libfuzzer_s_lines() {
        let lines = "INFO: Seed: 1\n#2\tINITED cov: 7 ft: 9\n#60\tNEW    cov: 9 ft: 12 corp: 2/8b\n#80\tREDUCE cov: 9 ft: 12\n#100\tDONE   cov: 9 ft: 12\n";
        let report = Report::read(lines);
        assert_eq!(report, Report { executions: 100, edges: 9, newest: 60, seconds: 0 });
        assert!(report.is_exhausted());
        assert_eq!((report.missing(100), report.missing(150)), (0, 50));
        // Edges that the files of the first part reach again are not new.
        let same = Report { executions: 50, edges: 9, newest: 2, seconds: 3 };
        assert_eq!(report.clone().then(same), Report { executions: 150, edges: 9, newest: 60, seconds: 3 });
        let more = Report { executions: 50, edges: 10, newest: 40, seconds: 3 };
        let all = report.clone().then(more);
        assert_eq!(all, Report { executions: 150, edges: 10, newest: 140, seconds: 3 });
        assert_eq!((all.is_exhausted(), all.missing(150)), (false, 26));
        assert!(!Report::read(&lines.replace("#80\tREDUCE cov: 9", "#90\tNEW cov: 10")).is_exhausted());
    }

    #[test]
    fn the_dictionary_has_the_keys_of_the_readers() {
        let words = words().expect("the sources");
        for word in ["\"num_hidden_layers\"", "\"\\x0a/n_mels=\"", "\"embedding_length\"", "\"hidden_states\""] {
            assert!(words.contains(word), "{word}");
        }
    }
}
