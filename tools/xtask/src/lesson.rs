//! Outputs and pictures of `docs/lesson.md`, from the commands in it: `cargo xtask lesson`.
//!
//! ```text
//! docs/lesson.md ──► blocks: ```console  $ command, then its output ──► run ──► chapter with new outputs ──┬─► written
//!                            ```sh       commands alone             ──► run ──► pictures ──────────────────┴─► or compared
//! ```

use crate::shell::{output, root, thumbformer};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use thumbformer_cli::stdout::stdout;

/// The chapter.
const CHAPTER: &str = "docs/lesson.md";
/// Folder of its pictures, as its commands name it.
const PICTURES: &str = "docs/pictures/";

/// Writes the chapter with the outputs of its commands, and its pictures.
///
/// # Errors
/// When a command fails.
pub fn write() -> Result<()> {
    let chapter = root().join(CHAPTER);
    let (text, pictures) = run(&read(&chapter)?, &root().join(PICTURES))?;
    std::fs::write(&chapter, text).with_context(|| format!("{CHAPTER}: cannot be written"))?;
    writeln!(stdout(), "{CHAPTER}: {} pictures", pictures.len())?;
    Ok(())
}

/// Compares the chapter and its pictures with the output of its commands, byte for byte.
///
/// # Errors
/// With the first difference.
pub fn check() -> Result<String> {
    let folder = root().join("target/lesson");
    std::fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    let chapter = read(&root().join(CHAPTER))?;
    let (text, pictures) = run(&chapter, &folder)?;
    for (number, (found, expected)) in chapter.lines().zip(text.lines()).enumerate() {
        ensure!(found == expected, "{CHAPTER}:{}: found {found:?}, printed {expected:?}; {NEXT}", number + 1);
    }
    ensure!(chapter == text, "{CHAPTER}: has another end than its commands print; {NEXT}");
    for picture in &pictures {
        let [found, expected] = [&root().join(PICTURES), &folder].map(|folder| read(&folder.join(picture)));
        ensure!(found? == expected?, "{PICTURES}{picture}: is not what its command draws; {NEXT}");
        ensure!(chapter.contains(&format!("](pictures/{picture})")), "{CHAPTER}: does not show {picture}");
    }
    let there: BTreeSet<String> = std::fs::read_dir(root().join(PICTURES))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    ensure!(there == pictures, "{PICTURES}: found {there:?}, the chapter's commands draw {pictures:?}");
    let blocks = chapter.matches("```console\n").count();
    ensure!(blocks > 0 && !pictures.is_empty(), "{CHAPTER}: no command was found");
    Ok(format!("{blocks} outputs and {} pictures are those of their commands", pictures.len()))
}

/// Next step after a difference.
const NEXT: &str = "run `cargo xtask lesson` and look at what changed";

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{}: cannot be read", file.display()))
}

/// Runs the chapter's commands and writes the pictures to `folder`; returns the chapter with new outputs, and the pictures' names.
fn run(chapter: &str, folder: &Path) -> Result<(String, BTreeSet<String>)> {
    let tool = thumbformer()?;
    let (mut text, mut pictures) = (String::new(), BTreeSet::new());
    let mut fence = None;
    for line in chapter.lines() {
        match (fence, line) {
            (None, line) => fence = line.strip_prefix("```"),
            (Some(_), "```") => fence = None,
            (Some("console"), line) if !line.starts_with("$ ") => continue,
            (Some("console"), command) => {
                text += &format!("{command}\n{}", printed(&tool, &command[2..], folder, &mut pictures)?);
                continue;
            }
            (Some("sh"), command) => {
                printed(&tool, command, folder, &mut pictures)?;
            }
            (Some(_), _) => (),
        }
        text += &format!("{line}\n");
    }
    ensure!(fence.is_none(), "{CHAPTER}: a block has no end");
    Ok((text, pictures))
}

/// Runs one command of the chapter, whose pictures are written to `folder`; returns its output.
fn printed(tool: &Path, command: &str, folder: &Path, pictures: &mut BTreeSet<String>) -> Result<String> {
    let Some(words) = command.strip_prefix("thumbformer explain ") else {
        bail!("{CHAPTER}: found {command:?}, expected `thumbformer explain …`");
    };
    let arguments = words.split_whitespace().map(|word| match word.strip_prefix(PICTURES) {
        Some(name) => {
            pictures.insert(name.to_string());
            folder.join(name)
        }
        None => PathBuf::from(word),
    });
    let mut explain = Command::new(tool);
    String::from_utf8(output(explain.current_dir(root()).arg("explain").args(arguments))?.stdout)
        .with_context(|| format!("{command}: printed something else than text"))
}
