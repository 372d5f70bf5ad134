//! Check of the commands in the documentation: each parses, and each in a code block is run here or by a named check.
//!
//! ```text
//! *.md ──► commands ──► clap: do all verbs and options exist?
//!            └─ in code blocks ──► a row of ROWS: run in an empty folder, first line compared, or the check that runs it
//! ```

use super::Outcome;
use crate::Arguments;
use crate::shell::{self, output, root};
use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Proof that a documented command works.
enum Proof {
    /// The command is run, with other words in place of a user's files, and prints this first.
    Prints(&'static [(&'static str, &'static str)], &'static str),
    /// The command is refused with this error, as the files that it needs are not in the repository.
    Refuses(&'static [(&'static str, &'static str)], &'static str),
    /// A check runs the command, or the function that it calls.
    Check(&'static str),
}

use Proof::{Check, Prints, Refuses};

const DECODER: (&str, &str) = ("CHECKPOINT", "models/stories/checkpoint");
const ENCODER: (&str, &str) = ("CHECKPOINT", "models/digits/checkpoint");
const DECODER_IMAGE: (&str, &str) = ("model.tbf", "models/stories/stories.tbf");
const ENCODER_IMAGE: (&str, &str) = ("model.tbf", "models/digits/digits.tbf");
/// Files that the script of docs/your-model.md writes.
const GESTURES: (&str, &str) = ("gestures/", "tests/golden/your_model/");
const SOUND: &str = "models/digits/fixtures/7_iven2.wav";

/// A command of a code block, without its comment.
const ROWS: &[(&str, Proof)] = &[
    ("cargo xtask demo", Check("emulated")),
    ("cargo xtask test", Check("commands")),
    ("cargo xtask test quick", Check("commands")),
    ("cargo xtask test --list", Prints(&[], "fmt           quick ")),
    ("cargo xtask board list", Prints(&[], "| board | core |")),
    ("cargo xtask board run microbit classify", Check("boards")),
    ("cargo xtask flash raspberry-pi-pico-2 generate", Check("boards")),
    ("cargo xtask flash nrf52840-dk generate --model model.tbf", Check("boards")),
    ("cargo xtask flash nrf52840-dk classify --model model.tbf --recordings FOLDER", Check("encoders")),
    ("cargo xtask flash stm32f405 classify --model model.tbf --recordings FOLDER --dry-run", Check("chips")),
    ("cargo xtask board run qemu-mps2-an386 classify --model model.tbf --recordings FOLDER", Check("encoders")),
    (
        "cargo xtask board run qemu-mps2-an386 classify --model model.tbf --recordings FOLDER --serial numbers.txt",
        Check("encoders"),
    ),
    ("cargo xtask board size stm32f405 --model model.tbf --recordings FOLDER", Check("chips")),
    (
        "cargo xtask board run qemu-mps2-an386 classify --model gestures.tbf --recordings gestures/recordings",
        Check("encoders"),
    ),
    (
        "cargo xtask flash stm32f405 classify --model gestures.tbf --recordings gestures/recordings --dry-run",
        Check("chips"),
    ),
    (
        "thumbformer convert gestures/checkpoint --pack cortex-m4 -o gestures.tbf",
        Prints(&[GESTURES], "gestures.tbf: nn.TransformerEncoder packed for m4"),
    ),
    ("thumbformer inspect gestures.tbf", Prints(&[], "image        version 4, packed for m4")),
    (
        "thumbformer verify gestures.tbf --reference gestures/checkpoint --expected gestures/expected.npz",
        Prints(&[GESTURES], "float against framework ok 1"),
    ),
    (
        "thumbformer verify gestures.tbf --reference gestures/checkpoint --recordings gestures/recordings/*.csv",
        Prints(
            &[("*.csv", "rest_0.csv gestures/recordings/shake_0.csv gestures/recordings/turn_0.csv"), GESTURES],
            "3 outputs of 3 recordings",
        ),
    ),
    ("thumbformer classify gestures.tbf gestures/recordings/shake_0.csv", Prints(&[GESTURES], "shake_0: shake (")),
    (
        "thumbformer convert gestures/checkpoint --recordings gestures/recordings --pack cortex-m4 -o gestures.tbf",
        Prints(&[GESTURES], "gestures.tbf: nn.TransformerEncoder packed for m4"),
    ),
    (
        "thumbformer convert own -o own.tbf",
        Prints(&[("convert own", "convert tests/golden/own_module")], "own.tbf: thumbformer packed for host"),
    ),
    (
        "thumbformer verify own.tbf --reference own --expected own/expected.npz",
        Prints(
            &[
                ("reference own", "reference tests/golden/own_module"),
                ("expected own/", "expected tests/golden/own_module/"),
            ],
            "float against framework ok 13",
        ),
    ),
    (
        "thumbformer features sound.wav --front-end config.json -o frames.f32",
        Prints(&[("sound.wav", SOUND), ("config.json", "models/digits/checkpoint/config.json")], "1 recordings, "),
    ),
    ("cargo xtask board size raspberry-pi-pico", Check("boards")),
    ("cargo xtask uf2 raspberry-pi-pico", Check("boards")),
    ("cargo xtask on-target qemu-mps2-an386", Check("on-target")),
    ("cargo xtask on-target nrf52840-dk", Check("on-target")),
    ("cargo xtask cycles --core m4", Check("cycles")),
    ("cargo xtask cycles --core m33 --clock-hz 150000000", Check("cycles")),
    ("cargo xtask cycles --core m4 --elf ANY.elf --start begin_of_it --stop end_of_it", Check("cycles")),
    ("cargo xtask cycles --core m4 --wait-states 5 --line 16", Check("cycles")),
    ("cargo xtask cycles stm32f405", Check("cycles")),
    ("cargo xtask cycles microbit classify", Check("cycles")),
    ("cargo xtask cycles --compare", Check("cycles")),
    ("cargo xtask cycles --sequences", Check("cycles")),
    (
        "cargo xtask cycles --validate FOLDER",
        Refuses(&[("FOLDER", ".")], "error: .: none of the published programs is there"),
    ),
    (
        "thumbformer convert CHECKPOINT --pack cortex-m4 -o model.tbf",
        Prints(&[DECODER], "model.tbf: llama packed for m4"),
    ),
    (
        "thumbformer convert CHECKPOINT --pack m4 --quant q4 --calibrate text.txt -o model.tbf",
        // A small decoder: that of the default model takes minutes and is the check `quality-int4`.
        Prints(&[("CHECKPOINT", "tests/golden/gguf/tokenizer.gguf")], "model.tbf: llama packed for m4"),
    ),
    (
        "thumbformer run model.tbf --prompt \"Once upon a time, there was\" --temperature 0.7 --top-p 0.9",
        Prints(&[DECODER_IMAGE], "Once upon a time, there was"),
    ),
    ("thumbformer inspect model.tbf --max-seq 256", Prints(&[DECODER_IMAGE], "image        version ")),
    ("thumbformer classify model.tbf sound.wav", Prints(&[ENCODER_IMAGE, ("sound.wav", SOUND)], "7_iven2: seven (")),
    (
        "thumbformer verify model.tbf --reference CHECKPOINT --text unseen.txt",
        Prints(&[DECODER_IMAGE, DECODER, ("unseen.txt", "text.txt")], "996 tokens in 12 documents"),
    ),
    (
        "thumbformer verify model.tbf --reference CHECKPOINT --recordings unseen/*.wav",
        Prints(&[ENCODER_IMAGE, ENCODER, ("unseen/*.wav", SOUND)], "1 outputs of 1 recordings"),
    ),
    (
        "thumbformer verify model.tbf --reference CHECKPOINT --expected expected.npz",
        Prints(
            &[DECODER_IMAGE, DECODER, ("expected.npz", "tests/golden/expected/stories.npz")],
            "float against framework ok 1",
        ),
    ),
];

/// Files whose commands are run by a check of their own, in the folder that they are written for.
const ELSEWHERE: [(&str, &str); 2] = [("docs/lesson.md", "lesson"), ("models/", "the model's own training")];

/// A text with the size of a calibration text: documents of one story each.
fn text() -> String {
    let story = "Once upon a time, there was a little dog named Max. Max liked to play with a red ball in the park. One day, the \
                 ball was gone. Max was sad. A girl saw Max and gave the ball to him. Max was happy and they played all day.";
    [story; 12].join("\n<|end|>\n")
}

/// Checks every command of every Markdown file.
///
/// # Errors
/// With file, line and command, when it does not parse, has no row, or prints a different first line.
pub fn check() -> Result<Outcome> {
    let folder = root().join("target/commands");
    _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    std::fs::write(folder.join("text.txt"), text())?;
    let thumbformer = shell::thumbformer()?;
    let (mut parsed, mut ran, mut used, mut faults) = (0, 0, vec![false; ROWS.len()], Vec::new());
    for Documented { place, line, in_block } in documented()? {
        parsed += 1;
        if let Err(error) = parse(&line) {
            faults.push(format!("{place}: `{line}`: {error:#}"));
        }
        if !in_block || ELSEWHERE.iter().any(|(file, _)| place.starts_with(file)) {
            continue;
        }
        let Some(index) = ROWS.iter().position(|(command, _)| *command == line) else {
            faults.push(format!("{place}: `{line}` has no row in tools/xtask/src/test/commands.rs"));
            continue;
        };
        let first_use = !std::mem::replace(&mut used[index], true);
        match &ROWS[index].1 {
            Check(name) => ensure!(super::names().split(", ").any(|check| check == *name), "no check {name}"),
            proof if first_use => {
                ran += 1;
                if let Err(error) = run(&line, proof, &folder, &thumbformer) {
                    faults.push(format!("{place}: {error:#}"));
                }
            }
            _ => {}
        }
    }
    let unused = ROWS.iter().zip(used).filter(|(_, used)| !used);
    faults.extend(unused.map(|((command, _), _)| format!("`{command}` is documented nowhere: remove its row")));
    ensure!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    Ok(Outcome::Passed(format!("{parsed} commands parse, {ran} ran with the first line that is expected")))
}

/// A command in a file.
struct Documented {
    place: String,
    line: String,
    in_block: bool,
}

fn is_command(text: &str) -> bool {
    ["cargo xtask ", "thumbformer "].iter().any(|program| text.starts_with(program))
}

fn documented() -> Result<Vec<Documented>> {
    let mut found = Vec::new();
    let listed = output(Command::new("git").args(["ls-files", "*.md"]).current_dir(root()))?;
    for file in String::from_utf8_lossy(&listed.stdout).lines() {
        let text = std::fs::read_to_string(root().join(file)).with_context(|| file.to_string())?;
        let mut fenced = false;
        for (number, text) in (1..).zip(text.lines()) {
            fenced ^= text.trim_start().starts_with("```");
            let place = format!("{file}:{number}");
            let mut add = |line: &str, in_block| {
                found.push(Documented { place: place.clone(), line: line.trim().to_string(), in_block });
            };
            let command = text.trim_start().trim_start_matches("$ ");
            if (fenced || text.starts_with("    ")) && is_command(command) {
                add(command.split_once(" #").map_or(command, |(command, _)| command), true);
            } else {
                text.split('`').skip(1).step_by(2).filter(|span| is_command(span)).for_each(|span| add(span, false));
            }
        }
    }
    ensure!(found.len() > 20, "only {} commands were found", found.len());
    Ok(found)
}

/// Checks that the verb and the options exist. A verb alone names the command and needs none of its arguments.
fn parse(line: &str) -> Result<()> {
    let words = shlex::split(line).context("a quote is not closed")?;
    let error = match &words[..] {
        [cargo, xtask, rest @ ..] if cargo == "cargo" => {
            Arguments::try_parse_from([std::slice::from_ref(xtask), rest].concat()).err()
        }
        words => thumbformer_cli::cmd::Arguments::try_parse_from(words).err(),
    };
    use clap::error::ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument, MissingSubcommand,
    };
    match error {
        Some(error)
            if ![DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument, MissingSubcommand]
                .contains(&error.kind()) =>
        {
            bail!("{}", error.to_string().lines().next().unwrap_or_default())
        }
        _ => Ok(()),
    }
}

fn run(line: &str, proof: &Proof, folder: &Path, thumbformer: &Path) -> Result<()> {
    let (Prints(replaced, expected) | Refuses(replaced, expected)) = proof else { return Ok(()) };
    let line = replaced.iter().fold(line.to_string(), |line, (word, other)| line.replace(word, other));
    let words = shlex::split(&line).context("a quote is not closed")?;
    let (program, arguments): (PathBuf, &[String]) = match &words[..] {
        [cargo, _, rest @ ..] if cargo == "cargo" => (shell::this_program()?, rest),
        [_, rest @ ..] => (thumbformer.into(), rest),
        [] => bail!("an empty command"),
    };
    // Words that name files of the repository; files that a command writes stay in the folder.
    let absolute = |word: &String| match ["models/", "tests/"].iter().any(|folder| word.starts_with(folder)) {
        true => root().join(word).display().to_string(),
        false => word.clone(),
    };
    let arguments: Vec<String> = arguments.iter().map(absolute).collect();
    let ended = Command::new(program).args(arguments).current_dir(folder).output()?;
    let refused = matches!(proof, Refuses(..));
    let printed = String::from_utf8_lossy(if refused { &ended.stderr } else { &ended.stdout }).into_owned();
    let first = printed.lines().next().unwrap_or_default();
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success() != refused, "`{line}` ended with {}: {}", ended.status, said.trim());
    ensure!(first.starts_with(expected), "`{line}`: the first line is {first:?}, expected {expected:?}");
    Ok(())
}
