//! Hugging Face folders: `config.json`, `model.safetensors`, `tokenizer.json`.

pub(crate) mod bert;
pub(crate) mod gpt2;
mod heads;
mod keys;
pub(crate) mod llama;
pub(crate) mod opt;
mod rope;
mod sentence;
mod tokenizer;
pub(crate) mod vit;

pub(crate) use tokenizer::added::overlap;
pub(crate) use tokenizer::load as load_tokenizer;
