//! Keys of `config.json` as the documentation lists them: those that the importers read, no more and no less.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use thumbformer_checkpoint::front_end::{read, read_preprocessor};

use crate::files::{change, folder};
use crate::native::native;
use crate::refusal;

/// A key that nothing knows: its error lists those that were read.
const UNKNOWN: &str = "a_key_that_is_not_known";

/// The keys that an error about an unknown one lists.
fn listed(error: &str) -> BTreeSet<String> {
    assert!(error.contains(UNKNOWN), "{error}");
    let (_, rest) = error.split_once("one of the keys ").unwrap_or_else(|| panic!("no list of keys: {error}"));
    let (keys, _) = rest.split_once("; ").unwrap_or_else(|| panic!("no next step: {error}"));
    keys.split(", ").map(String::from).collect()
}

/// The keys in the first column of the first table whose header names a key, after the line `heading`.
fn documented(text: &str, heading: &str) -> BTreeSet<String> {
    let lines = text.lines().map(|line| line.trim_start_matches("//! ")).skip_while(|line| *line != heading);
    let rows = lines.skip_while(|line| !line.starts_with("| key |")).skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let keys: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let unique: BTreeSet<String> = keys.iter().map(ToString::to_string).collect();
    assert!(unique.len() == keys.len() && !keys.is_empty(), "after {heading:?}: {keys:?}");
    unique
}

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares tables with the keys that are read.
fn held(known: &BTreeSet<String>, tables: &[(&str, &str)]) {
    for (path, heading) in tables {
        let found = documented(&file(path), heading);
        let (missing, unknown): (Vec<_>, Vec<_>) =
            (known.difference(&found).collect(), found.difference(known).collect());
        assert!(
            missing.is_empty() && unknown.is_empty(),
            "{path}: {missing:?} are read and not in the table, {unknown:?} are not read"
        );
    }
}

#[test]
fn the_keys_of_nn_transformer_encoder_are_those_of_the_page() {
    let models = ["torch_pre_relu", "torch_pre_gelu", "torch_post_relu", "torch_post_gelu"];
    let keys = |model: &str| {
        let folder = folder(model);
        change(folder.path(), &[(UNKNOWN, Some(json!(1)))]);
        listed(&refusal(model, folder.path()))
    };
    let known = models.into_iter().flat_map(keys).collect();
    held(&known, &[("docs/your-model.md", "## config.json"), ("tools/checkpoint/src/pytorch/mod.rs", PYTORCH)]);
}

/// The line of the importer's documentation before its table.
const PYTORCH: &str = "`model.safetensors`. Settings that the tensors do not tell are in a `config.json` beside them; nothing is guessed.";

#[test]
fn the_keys_of_this_project_s_own_layout_are_those_of_its_documentation() {
    let keys = |model: &str| {
        let folder = native(model);
        change(folder.path(), &[(UNKNOWN, Some(json!(1)))]);
        listed(&refusal(model, folder.path()))
    };
    let known = ["vit", "gpt2", "llama", "bert", "qwen3"].into_iter().flat_map(keys).collect();
    held(&known, &[("tools/checkpoint/src/native.rs", "# `config.json`")]);
}

#[test]
fn the_keys_of_a_front_end_are_those_of_the_page() {
    let keys = |mut object: Value| {
        object[UNKNOWN] = json!(1);
        listed(&read(Path::new("config.json"), &object).expect_err("an unknown key").to_string())
    };
    // Some keys are read beside others only.
    let objects = [
        json!({"preset": "kws"}),
        json!({"preset": "kws", "filters": [vec![1.0; 257]]}),
        json!({"preset": "kws", "preemphasis": 0.97, "preemphasis_of": "signal"}),
        json!({"preset": "kws", "normalize": "band", "normalize_unbiased": true}),
        json!({"preset": "kws", "n_mfcc": 13, "lifter": 22, "lifter_of": "kaldi"}),
    ];
    let known = objects.into_iter().flat_map(keys).collect();
    held(&known, &[("docs/front-ends.md", "## Audio"), ("tools/checkpoint/src/front_end/mod.rs", "# `front_end`")]);
}

#[test]
fn every_extractor_of_the_page_is_taken_or_refused_as_it_says() {
    let page = file("docs/front-ends.md");
    let (_, section) = page.split_once("### preprocessor_config.json").expect("the section");
    let section = section.split("###").next().expect("a section");
    let rows: Vec<(&str, &str)> =
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ")).collect();
    assert_eq!(rows.len(), 4, "{rows:?}");
    for (name, taken) in rows {
        let found = |keys: Value| read_preprocessor(Path::new("p.json"), &keys);
        let published = found(json!({"feature_extractor_type": name}));
        let power = found(json!({"feature_extractor_type": name, "n_fft": 512}));
        match taken {
            taken if taken.starts_with("yes") => assert!(published.is_ok(), "{name}: {published:?}"),
            taken if taken.starts_with("with") => {
                assert!(published.is_err() && power.is_ok(), "{name}: {published:?}, {power:?}")
            }
            _ => assert!(published.is_err() && power.is_err(), "{name}"),
        }
    }
}
