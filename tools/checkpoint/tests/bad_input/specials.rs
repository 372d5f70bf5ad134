//! Begin and end of texts: which file says it, and the notes where one is not obeyed.

use serde_json::{Value, json};
use tempfile::TempDir;
use thumbformer_checkpoint::Checkpoint;

use crate::files::{change, find, folder, golden, tensors, write};

/// A golden model with the vocabulary of the byte-level tokenizer, in which 0, 1 and 2 are `<unk>`, `<s>` and `</s>`.
fn with_tokenizer(model: &str, embedding: &str, spoil: impl Fn(&mut Value)) -> TempDir {
    let folder = folder(model);
    let path = folder.path().join("model.safetensors");
    let mut all = tensors(&path);
    let raw = find(&mut all, embedding);
    let row = raw.data.len() / raw.shape[0];
    raw.shape[0] = 512;
    raw.data.resize(512 * row, 0);
    write(&path, &all);
    if model != "torch_pre_gelu" {
        change(folder.path(), &[("vocab_size", Some(json!(512)))]);
    }
    let file = std::fs::read_to_string(golden("tokenizers/byte_level/tokenizer.json")).unwrap();
    let mut tokenizer: Value = serde_json::from_str(&file).unwrap();
    spoil(&mut tokenizer);
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    folder
}

fn llama(spoil: impl Fn(&mut Value)) -> TempDir {
    with_tokenizer("llama", "model.embed_tokens.weight", spoil)
}

/// `<s>` and `</s>` become ordinary pieces.
fn no_specials(tokenizer: &mut Value) {
    tokenizer["added_tokens"].as_array_mut().unwrap().truncate(1);
}

/// `<s>` before a text, and perhaps `</s>` after it.
fn template(after: bool) -> Value {
    let token = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
    let mut single = vec![token("<s>"), json!({"Sequence": {"id": "A", "type_id": 0}})];
    single.extend(after.then(|| token("</s>")));
    let special = |name: &str, id: u32| json!({"id": name, "ids": [id], "tokens": [name]});
    json!({"type": "TemplateProcessing", "single": single, "special_tokens": {"<s>": special("<s>", 1), "</s>": special("</s>", 2)}})
}

fn put(folder: &TempDir, name: &str, value: &Value) {
    std::fs::write(folder.path().join(name), value.to_string()).unwrap();
}

/// A folder as read: BOS, ends, tokens before and after a text, and every note in the order of its words.
fn check(case: &str, folder: &TempDir, expected: (Option<u32>, &[u32], &[u32], &[u32]), notes: &[&[&str]]) {
    let checkpoint = Checkpoint::load(folder.path(), None).unwrap_or_else(|error| panic!("{case}: {error}"));
    let empty = Vec::new();
    let tokenizer = checkpoint.tokenizer.as_ref();
    let (before, after) = tokenizer.map_or((&empty, &empty), |it| (&it.before, &it.after));
    let config = &checkpoint.config;
    assert_eq!((config.bos, &config.eos[..], &before[..], &after[..]), expected, "{case}: {:?}", checkpoint.notes);
    assert_eq!(checkpoint.notes.len(), notes.len(), "{case}: {:?}", checkpoint.notes);
    for (note, words) in checkpoint.notes.iter().zip(notes) {
        assert!(words.iter().all(|word| note.contains(word)), "{case}: {words:?} are not all in `{note}`");
    }
}

#[test]
fn an_untouched_default_that_is_an_ordinary_piece_is_not_used_and_a_note_names_id_and_piece() {
    let folder = llama(no_specials);
    let words: [&[&str]; 2] = [
        &["config.json", "bos_token_id 1", "ordinary piece \"<s>\"", "not used"],
        &["config.json", "eos_token_id 2", "ordinary piece \"</s>\"", "not used"],
    ];
    check("defaults", &folder, (None, &[], &[], &[]), &words);
    // What save_pretrained writes beside it says no more.
    put(&folder, "generation_config.json", &json!({"_from_model_config": true, "bos_token_id": 1, "eos_token_id": 2}));
    check("derived", &folder, (None, &[], &[], &[]), &words);
    // What was chosen is used, a piece or not.
    change(folder.path(), &[("bos_token_id", Some(Value::Null)), ("eos_token_id", Some(json!([300, 301])))]);
    std::fs::remove_file(folder.path().join("generation_config.json")).unwrap();
    check("chosen in config.json", &folder, (None, &[300, 301], &[], &[]), &[]);
    put(&folder, "generation_config.json", &json!({"eos_token_id": 2}));
    check("chosen in generation_config.json", &folder, (None, &[2], &[], &[]), &[]);
}

#[test]
fn the_end_tokens_of_generation_config_end_the_text() {
    let folder = llama(|_| ());
    change(folder.path(), &[("bos_token_id", Some(Value::Null)), ("eos_token_id", Some(Value::Null))]);
    for (ids, expected) in [(json!(326), &[326][..]), (json!([2, 326]), &[2, 326])] {
        put(&folder, "generation_config.json", &json!({"eos_token_id": ids, "transformers_version": "5.23.0"}));
        check("a number or a list", &folder, (None, expected, &[], &[]), &[]);
    }
    put(&folder, "generation_config.json", &json!({"eos_token_id": [2, 512]}));
    let beyond: &[&str] = &["generation_config.json", "eos_token_id 512", "beyond the vocabulary of 512"];
    check("beyond the vocabulary", &folder, (None, &[2], &[], &[]), &[beyond]);
    change(folder.path(), &[("eos_token_id", Some(json!(2)))]);
    put(&folder, "generation_config.json", &json!({"temperature": 0.6}));
    check("no end", &folder, (None, &[], &[], &[]), &[&["generation_config.json", "names no eos_token_id"]]);
    put(&folder, "generation_config.json", &json!({"eos_token_id": "</s>"}));
    let error = Checkpoint::load(folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("generation_config.json") && error.contains("eos_token_id"), "{error}");
}

#[test]
fn ids_beyond_the_vocabulary_are_left_out_with_a_note() {
    for (model, id) in [("gpt2", 50_256), ("llama", 99), ("qwen3", 40), ("bert", 1000)] {
        let folder = folder(model);
        change(folder.path(), &[("bos_token_id", Some(json!(id))), ("eos_token_id", Some(json!([2, id])))]);
        let (bos, eos) = (format!("bos_token_id {id} is beyond"), format!("eos_token_id {id} is beyond"));
        let words: [&[&str]; 2] = [&["config.json", &bos, "not used"], &["config.json", &eos, "not used"]];
        check(model, &folder, (None, &[2], &[], &[]), &words);
    }
}

#[test]
fn the_post_processor_says_what_is_put_around_a_text_whatever_tokenizer_config_says() {
    let with = |after| llama(move |tokenizer| tokenizer["post_processor"] = template(after));
    let none = llama(|_| ());
    check(
        "none",
        &none,
        (Some(1), &[2], &[], &[]),
        &[&["bos_token_id 1 <s>", "not put before a text", "TemplateProcessing"]],
    );
    check("one before", &with(false), (Some(1), &[2], &[1], &[]), &[]);
    check("one after", &with(true), (Some(1), &[2], &[1], &[2]), &[]);
    put(&none, "tokenizer_config.json", &json!({"add_bos_token": true, "add_eos_token": false}));
    let words: &[&str] = &["tokenizer_config.json", "add_bos_token is true", "tokenizer.json", "nothing before"];
    check("asked for, not done", &none, (Some(1), &[2], &[], &[]), &[words]);
    let both = with(true);
    put(&both, "tokenizer_config.json", &json!({"add_bos_token": true, "add_eos_token": false}));
    let words: &[&str] = &["tokenizer_config.json", "add_eos_token is false", "a token after a text"];
    check("done, not asked for", &both, (Some(1), &[2], &[1], &[2]), &[words]);
}

#[test]
fn the_own_layout_begins_a_text_with_its_bos_unless_the_post_processor_names_others() {
    let native = |bos: Value, processor: Value| {
        let folder = with_tokenizer("torch_pre_gelu", "embed.weight", |it| it["post_processor"] = processor.clone());
        change(folder.path(), &[("bos_token_id", Some(bos)), ("eos_token_id", Some(json!(2)))]);
        folder
    };
    let (folder, other) = (native(json!(300), Value::Null), native(json!(300), template(false)));
    check("named", &folder, (Some(300), &[2], &[300], &[]), &[]);
    check("both named", &other, (Some(300), &[2], &[1], &[]), &[]);
    check("none", &native(Value::Null, Value::Null), (None, &[2], &[], &[]), &[]);
}
