//! Begin and end of texts in a folder of transformers': what its files say together, and notes where one of them is not obeyed.
//!
//! ```text
//! generation_config.json, without it config.json ─► ids that end a generated text, or begin one without a prompt
//! tokenizer.json's post-processor ────────────────► ids around an encoded text
//! ```

use std::path::Path;

use serde_json::Value;

use crate::settings::Settings;
use crate::{Checkpoint, Config, Error, native, pytorch};

/// Ids that transformers' configuration classes have without being told: begin and end of a text.
const DEFAULTS: [(&str, Option<u32>, Option<u32>); 10] = [
    ("llama", Some(1), Some(2)),
    ("mistral", Some(1), Some(2)),
    ("gemma", Some(2), Some(1)),
    ("phi3", Some(1), Some(32_000)),
    ("granite", Some(1), Some(2)),
    ("olmo", None, Some(50_279)),
    ("gpt2", Some(50_256), Some(50_256)),
    ("opt", Some(2), Some(2)),
    ("roberta", Some(0), Some(2)),
    ("xlm-roberta", Some(0), Some(2)),
];

/// Key and ids of a file.
type Ids = (&'static str, Vec<u32>);

fn defaults(architecture: &str) -> (Option<u32>, Option<u32>) {
    let row = DEFAULTS.iter().find(|(name, ..)| *name == architecture);
    row.map_or((None, None), |(_, bos, eos)| (*bos, *eos))
}

/// Reads the ids of `config.json`: an absent key has the default of the architecture's class, if that is in the vocabulary.
pub(crate) fn read_ids(settings: &Settings, architecture: &str, config: &mut Config) -> Result<(), Error> {
    let (bos, eos) = defaults(architecture);
    let ids = |key: &str, default: Option<u32>| match settings.mentions(key) {
        true => settings.ids(key),
        false => Ok(default.into_iter().filter(|id| (*id as usize) < config.vocab).collect()),
    };
    let (bos, eos) = (ids("bos_token_id", bos)?, ids("eos_token_id", eos)?);
    (config.bos, config.eos) = (bos.first().copied(), eos);
    Ok(())
}

/// Settles the ids of a checkpoint from a folder, if it is one, whose tokenizer, if it has one, was read from `tokenizer`.
pub(crate) fn settle(
    folder: Option<&Path>,
    tokenizer: Option<&Path>,
    checkpoint: &mut Checkpoint,
) -> Result<(), Error> {
    let own = [native::NAME, pytorch::NAME].contains(&checkpoint.architecture.as_str());
    if own {
        // The own layouts mean what they name; a post-processor is more explicit.
        let bos = checkpoint.config.bos;
        if let Some(tokenizer) = checkpoint.tokenizer.as_mut().filter(|it| it.before.is_empty() && it.after.is_empty())
        {
            tokenizer.before = bos.into_iter().collect();
        }
    }
    let Some(path) = folder.filter(|_| !own) else { return Ok(()) };
    let generation = read(&path.join("generation_config.json"))?;
    let is_chosen = generation.as_ref().is_some_and(|file| file.get("_from_model_config") != Some(&true.into()));
    let config = &checkpoint.config;
    let mut ids: [Ids; 2] = [("bos_token_id", config.bos.into_iter().collect()), ("eos_token_id", config.eos.clone())];
    // Where it was derived from config.json, that is the file to correct.
    let file = if let Some(generation) = &generation {
        for (key, ids) in &mut ids {
            let replaced = std::mem::replace(ids, generation.ids(key)?);
            if ids.is_empty() && !replaced.is_empty() && *key == "eos_token_id" {
                checkpoint.notes.push(format!(
                    "{}: names no eos_token_id, and then transformers takes none from config.json: no token ends a text",
                    generation.path.display()
                ));
            }
        }
        path.join(if is_chosen { "generation_config.json" } else { "config.json" })
    } else {
        path.join("config.json")
    };
    for (key, ids) in &mut ids {
        ids.retain(|id| match reason(checkpoint, key, *id, is_chosen) {
            None => true,
            Some(reason) => {
                checkpoint.notes.push(format!("{}: {key} {id} {reason}", file.display()));
                false
            }
        });
    }
    let [(_, bos), (_, eos)] = ids;
    (checkpoint.config.bos, checkpoint.config.eos) = (bos.first().copied(), eos);
    if let Some(file) = tokenizer {
        around(file, checkpoint)?;
    }
    Ok(())
}

/// The reason that an id is not used.
fn reason(checkpoint: &Checkpoint, key: &str, id: u32, is_chosen: bool) -> Option<String> {
    let vocab = checkpoint.config.vocab;
    if id as usize >= vocab {
        return Some(format!("is beyond the vocabulary of {vocab}: not used"));
    }
    let (bos, eos) = defaults(&checkpoint.architecture);
    let is_default = Some(id) == if key == "bos_token_id" { bos } else { eos };
    let ordinary = checkpoint.tokenizer.as_ref().filter(|tokenizer| tokenizer.is_ordinary(id));
    let name = ordinary?.name(id)?;
    (is_default && !is_chosen).then(|| {
        format!(
            "is the tokenizer's ordinary piece {name}, and a default of transformers: not used; name it in a generation_config.json \
             without _from_model_config if it is meant"
        )
    })
}

/// Notes where `config.json` or `tokenizer_config.json` asks for tokens around a text that the post-processor does not put there.
fn around(file: &Path, checkpoint: &mut Checkpoint) -> Result<(), Error> {
    let Some(tokenizer) = &checkpoint.tokenizer else { return Ok(()) };
    let lists = [("add_bos_token", &tokenizer.before, "before"), ("add_eos_token", &tokenizer.after, "after")];
    let mut notes = Vec::new();
    if let Some(settings) = read(&file.with_file_name("tokenizer_config.json"))? {
        for (key, list, place) in lists {
            match settings.get(key).and_then(Value::as_bool) {
                Some(asked) if asked == list.is_empty() => notes.push(format!(
                    "{}: {key} is {asked}, but transformers goes by {}, whose post-processor puts {} {place} a text",
                    settings.path.display(),
                    file.display(),
                    if asked { "nothing" } else { "a token" }
                )),
                _ => {}
            }
        }
    }
    let bos = checkpoint.config.bos.filter(|id| tokenizer.before.is_empty() && !checkpoint.config.eos.contains(id));
    if let (Some(id), true) = (bos, notes.is_empty()) {
        notes.push(format!(
            "{}: bos_token_id {id} {} is not put before a text, as the post-processor of {} has none; to have it, give the tokenizer a \
             TemplateProcessing",
            checkpoint.source,
            tokenizer.name(id).unwrap_or_default(),
            file.display()
        ));
    }
    checkpoint.notes.extend(notes);
    Ok(())
}

/// A JSON file, if there is one.
fn read(path: &Path) -> Result<Option<Settings>, Error> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = crate::files::read_json(path)?;
    let value = serde_json::from_str(&text).map_err(|source| Error::Json { path: path.into(), source })?;
    Ok(Some(Settings::new(path, value)))
}
