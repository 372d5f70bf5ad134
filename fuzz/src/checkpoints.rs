//! Importers: golden checkpoints changed by lines, files of bytes; a checkpoint that loads becomes an image that computes.
//!
//! ```text
//! /hidden_size=64                        config.json, by lines of `script`
//! s/lm_head.weight/shape/0=5             the header of model.safetensors
//! g/eos_token_id=[1, 2]                  generation_config.json, which is empty
//! @17=1e30                               the 32 bits at 17 times 4 bytes behind that header
//! <7                                     model.safetensors, cut off so many bytes before its end
//! ```

use crate::model::{Given, used};
use crate::script::{change, choice, patched};
use crate::{golden, golden_json, in_folder};
use serde_json::Value;
use std::path::Path;
use std::sync::LazyLock;
use thumbformer::{Input, Model, Tensor};
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::convert::{Settings, convert};

/// A folder's files.
#[derive(Clone)]
struct Files {
    config: Value,
    header: Value,
    data: Vec<u8>,
}

impl Files {
    fn golden(name: &str) -> Files {
        let bytes = std::fs::read(golden(name).join("model.safetensors")).expect("weights");
        let (length, rest) = bytes.split_first_chunk::<8>().expect("a length");
        let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        Files {
            config: golden_json(&format!("{name}/config.json")),
            header: serde_json::from_slice(header).expect("a header"),
            data: data.to_vec(),
        }
    }

    fn write(&self, folder: &Path, cut: usize) {
        let header = self.header.to_string();
        let mut bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &self.data].concat();
        bytes.truncate(bytes.len().saturating_sub(cut));
        std::fs::write(folder.join("model.safetensors"), bytes).expect("weights");
        std::fs::write(folder.join("config.json"), self.config.to_string()).expect("a configuration");
    }
}

fn folder(data: &[u8], files: &[Files]) {
    let (kind, text) = choice(data, files.len());
    let mut files = files[kind].clone();
    let (mut generation, mut cut) = (Value::Null, 0);
    for line in String::from_utf8_lossy(text).lines() {
        if let Some(line) = line.strip_prefix('s') {
            change(&mut files.header, line);
        } else if let Some(line) = line.strip_prefix('g') {
            if generation.is_null() {
                generation = Value::Object(Default::default());
            }
            change(&mut generation, line);
        } else if let Some((place, value)) = line.strip_prefix('@').and_then(|line| line.split_once('=')) {
            let (Ok(place), Ok(value)) = (place.parse::<usize>(), value.parse::<f32>()) else { continue };
            let count = files.data.len() / 4;
            files.data[place % count * 4..][..4].copy_from_slice(&value.to_le_bytes());
        } else if let Some(count) = line.strip_prefix('<') {
            cut = count.parse().unwrap_or(0);
        } else {
            change(&mut files.config, line);
        }
    }
    in_folder(|folder| {
        files.write(folder, cut);
        let path = folder.join("generation_config.json");
        if generation.is_null() {
            let _ = std::fs::remove_file(path);
        } else {
            std::fs::write(path, generation.to_string()).expect("settings of generation");
        }
        if let Ok(checkpoint) = Checkpoint::load(folder, None) {
            computed(&checkpoint, data);
        }
    });
}

/// Checks a checkpoint that was accepted; of one input in eight, converts and runs it, which takes longer than to read it.
pub fn computed(checkpoint: &Checkpoint, input: &[u8]) {
    let (config, dims) = (&checkpoint.config, checkpoint.config.dims());
    for (tensor, layer, weights) in checkpoint.tensors.iter() {
        assert!(weights.data.iter().all(|weight| weight.is_finite()), "{tensor:?} of layer {layer}");
        assert_eq!(weights.shape.iter().product::<usize>(), weights.data.len(), "{tensor:?} of layer {layer}");
    }
    let layers = checkpoint.tensors.iter().filter(|(tensor, ..)| *tensor == Tensor::Query).count();
    assert_eq!(layers, config.n_layers);
    let is_run = input.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)).is_multiple_of(8);
    if !is_run || checkpoint.parameters() > 1 << 16 || config.max_seq * config.head_dim > 1 << 16 {
        return;
    }
    let Ok(words) = convert(checkpoint, Settings::default(), &mut |_| ()) else { return };
    let model = Model::parse(&words).expect("an image of an accepted checkpoint");
    let frames = if dims.options.input == Input::Frames { vec![0.25; dims.n_features * 2] } else { Vec::new() };
    let given = Given { tokens: &[1, 2, 3], frames: &frames, text: "the cat", samples: &[7; 2048] };
    used(&model, &given);
}

/// Declares a target for each importer of folders, on these golden checkpoints.
macro_rules! folders {
    ($($(#[$doc:meta])* $name:ident: $goldens:expr;)*) => {
        $($(#[$doc])* pub fn $name(data: &[u8]) {
            static FILES: LazyLock<Vec<Files>> = LazyLock::new(|| $goldens.iter().map(|name| Files::golden(name)).collect());
            folder(data, &FILES);
        })*
    };
}

folders! {
    /// Hugging Face's Llama, and Mistral by its name.
    llama: ["llama_untied/checkpoint", "llama/checkpoint", "families/llama_biases", "families/llama_tokens", "families/gemma",
        "families/phi3_window", "families/granite", "families/olmo_biases"];
    /// Hugging Face's Qwen3 and Qwen2.
    qwen3: ["qwen3/checkpoint", "families/qwen3_tokens", "families/qwen2_window"];
    /// Hugging Face's GPT-2, OpenAI-GPT and OPT, and nanoGPT by its name.
    gpt2: ["gpt2/checkpoint", "families/gpt2_answers", "families/openai_gpt_relu", "families/opt_post", "families/opt_plain"];
    /// Hugging Face's BERT, DistilBERT, RoBERTa and ELECTRA.
    bert: ["bert/checkpoint", "distilbert/checkpoint", "families/roberta_sequence", "families/electra_discriminator", "families/bert_next"];
    /// Hugging Face's ViT.
    vit: ["vit/checkpoint"];
    /// PyTorch's `nn.TransformerEncoder`.
    pytorch: ["torch_pre_gelu/checkpoint", "torch_post_gelu/checkpoint", "torch_pre_relu/checkpoint", "ends/everything/checkpoint",
        "ends/class_last/checkpoint", "ends/distilled/checkpoint", "ends/conv_mlp/checkpoint", "ends/patches/checkpoint", "ends/steps/checkpoint"];
    /// The project's own layout.
    native: ["your_model/checkpoint", "keywords/logmel", "keywords/mfcc"];
}

fn file(name: &str, data: &[u8]) {
    in_folder(|folder| {
        // A pickle's settings may be beside it, and inputs share the folder.
        let _ = std::fs::remove_file(folder.join("config.json"));
        let path = folder.join(name);
        std::fs::write(&path, data).expect("a file");
        if let Ok(checkpoint) = Checkpoint::load(&path, None) {
            computed(&checkpoint, data);
        }
    });
}

/// A GGUF file: bytes, or a golden one with changes.
pub fn gguf(data: &[u8]) {
    // New files come last: the cases choose by number.
    const NAMES: [&str; 9] = [
        "q4_0",
        "q8_0",
        "specials",
        "types",
        "models/qwen2",
        "models/qwen3",
        "models/gemma",
        "models/phi3",
        "models/gpt2",
    ];
    static FILES: LazyLock<[Vec<u8>; 9]> = LazyLock::new(|| NAMES.map(golden_gguf));
    match choice(data, 1 + FILES.len()) {
        (0, bytes) => file("model.gguf", bytes),
        (kind, records) => file("model.gguf", &patched(&FILES[kind - 1], records)),
    }
}

/// A golden GGUF file.
pub fn golden_gguf(name: &str) -> Vec<u8> {
    std::fs::read(golden(&format!("gguf/{name}.gguf"))).expect("a golden file")
}

/// An ONNX file: bytes, or a golden one with changes.
pub fn onnx(data: &[u8]) {
    // New files come last: the cases choose by number.
    const NAMES: [&str; 6] = ["decoder_dynamo", "keywords_dynamo", "vit", "gpt2", "keras_decoder", "optimum_gpt2"];
    static FILES: LazyLock<[Vec<u8>; 6]> = LazyLock::new(|| NAMES.map(golden_onnx));
    match choice(data, 1 + FILES.len()) {
        (0, bytes) => file("model.onnx", bytes),
        (kind, records) => file("model.onnx", &patched(&FILES[kind - 1], records)),
    }
}

/// A golden ONNX file.
fn golden_onnx(name: &str) -> Vec<u8> {
    std::fs::read(golden(&format!("onnx/{name}.onnx"))).expect("a golden file")
}

/// A llama2.c file.
pub fn llama2c(data: &[u8]) {
    file("model.bin", data);
}

/// A file of `torch.save` beside the golden encoder's settings: bytes, or a golden one with changes. One of the format before 1.6 has no
/// checksums, so that changes reach the pickle; the goldens in a zip reach the archive.
pub fn pickle(data: &[u8]) {
    const NAMES: [&str; 4] = ["encoder/legacy.pt", "encoder/state_dict.pt", "encoder/module.pt", "nanogpt/ckpt.pt"];
    static FILES: LazyLock<[Vec<u8>; 4]> =
        LazyLock::new(|| NAMES.map(|name| std::fs::read(golden(&format!("saved/{name}"))).expect("a golden file")));
    static CONFIG: LazyLock<Vec<u8>> =
        LazyLock::new(|| std::fs::read(golden("saved/encoder/config.json")).expect("a configuration"));
    let bytes = match choice(data, 2 + FILES.len()) {
        (0 | 1, bytes) => bytes.to_vec(),
        (kind, records) => patched(&FILES[kind - 2], records),
    };
    in_folder(|folder| {
        let (path, config) = (folder.join("model.pt"), folder.join("config.json"));
        std::fs::write(&path, bytes).expect("a file");
        // Without settings, a file is asked for its own.
        if data.first().is_some_and(|kind| b"05".contains(kind)) {
            let _ = std::fs::remove_file(config);
        } else {
            std::fs::write(config, &*CONFIG).expect("a configuration");
        }
        if let Ok(checkpoint) = Checkpoint::load(&path, None) {
            computed(&checkpoint, data);
        }
    });
}
