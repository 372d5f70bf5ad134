//! Folders of sentence-transformers: what follows a bare encoder (Reimers and Gurevych 2019, "Sentence-BERT").
//!
//! `modules.json` names the parts in order: the encoder at the folder's top, and a pooling in a folder of its own.

use std::path::Path;

use serde_json::Value;
use thumbformer::Pooling;

use crate::settings::Settings;
use crate::{Config, Error, registry};

/// Keys of the pooling's `config.json`: each with what it takes of the tokens' vectors, as far as it is computed.
const POOLINGS: [(&str, Option<Pooling>); 7] = [
    ("pooling_mode_cls_token", Some(Pooling::Class)),
    ("pooling_mode_mean_tokens", Some(Pooling::Mean)),
    ("pooling_mode_lasttoken", Some(Pooling::Last)),
    ("pooling_mode_max_tokens", None),
    ("pooling_mode_mean_sqrt_len_tokens", None),
    ("pooling_mode_weightedmean_tokens", None),
    ("pooling_mode_mean_tokens_without_special", None),
];

/// The same, as newer versions name them in `pooling_mode`.
const MODES: [(&str, Pooling); 3] = [("cls", Pooling::Class), ("mean", Pooling::Mean), ("lasttoken", Pooling::Last)];

/// Reads the pooling, if the folder of `config.json` is one of sentence-transformers.
pub(super) fn pool(settings: &Settings, config: &mut Config) -> Result<(), Error> {
    let path = settings.path.with_file_name("modules.json");
    if !path.is_file() {
        return Ok(());
    }
    let modules = Settings::within(&path, "", Value::Null);
    let value = registry::read_json(&path)?;
    let of = |module: &Value, key: &str| module.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
    let list: Vec<(String, String)> = value
        .as_array()
        .into_iter()
        .flatten()
        .map(|module| (of(module, "type").rsplit('.').next().unwrap_or_default().into(), of(module, "path")))
        .collect();
    let kinds: Vec<&str> = list.iter().map(|(kind, _)| kind.as_str()).collect();
    match kinds[..] {
        ["Transformer"] => Ok(()),
        ["Transformer", "Pooling"] => {
            config.options.pooling = pooling(&path.with_file_name(&list[1].1).join("config.json"), config)?;
            Ok(())
        }
        _ => {
            let expected = "Transformer, Pooling: an image computes no other module";
            let next = match kinds.contains(&"Normalize") {
                true => {
                    "take Normalize out of modules.json, and divide the image's vector by its length in your program"
                }
                false => "export the model without it",
            };
            Err(modules.error("type", kinds.join(", "), expected, next))
        }
    }
}

fn pooling(path: &Path, config: &Config) -> Result<Pooling, Error> {
    let settings = Settings::new(path, registry::read_json(path)?);
    for key in ["word_embedding_dimension", "embedding_dimension"] {
        settings.only(key, &[config.d_model.into()], &format!("{}, as the encoder's", config.d_model))?;
    }
    // Prompts are text in front of the user's, which he gives; the mean includes it.
    settings.flag("include_prompt", Some(true))?;
    let chosen: Vec<&(&str, Option<Pooling>)> =
        POOLINGS.iter().filter(|(key, _)| settings.get(key) == Some(&Value::Bool(true))).collect();
    let found = match chosen[..] {
        [] => settings.choice("pooling_mode", None, &MODES)?,
        [(_, Some(pooling))] => *pooling,
        [(key, _), ..] => {
            let expected = "one of pooling_mode_mean_tokens, pooling_mode_cls_token and pooling_mode_lasttoken";
            return Err(settings.error(key, true, expected, "train the model with it"));
        }
    };
    settings.no_others()?;
    Ok(found)
}
