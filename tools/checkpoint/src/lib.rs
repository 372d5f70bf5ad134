//! Float checkpoints in memory, and the importers that read them.
//!
//! A path becomes a [`Checkpoint`]: every weight as `f32`, row-major, in one fixed convention, and the tokenizer in tables
//! that a device without Unicode data can use. `Checkpoint::load` recognises the layout:
//! - weights by name and a `config.json` beside them: safetensors, in shards too, or a file of `torch.save` (`stored`). The layouts:
//!   this project's own (`native`), which any training script can write; PyTorch's `nn.TransformerEncoder` (`pytorch`); the families
//!   of transformers (`huggingface`); nanoGPT's, its lecture's (`lecture`) and llama2.c's training checkpoints, which need no
//!   `config.json`;
//! - a file: ONNX, whoever has exported it (`onnx`); llama2.c's `.bin`; llama.cpp's GGUF (`gguf`).
//!
//! The law of this crate: a setting or tensor that would change the computation, and that [`Config`] or [`Tokenizer`]
//! cannot represent, is refused by name. A checkpoint that loads is computed completely by the formulas in
//! `thumbformer-reference`.
//!
//! Reading files needs the feature `std`, which is on by default. Without it the crate consists of the types, for a device
//! with a heap that computes the float network itself.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod config;
#[cfg(feature = "std")]
mod error;
#[cfg(feature = "std")]
mod files;
#[cfg(feature = "std")]
pub mod front_end;
#[cfg(feature = "std")]
mod gguf;
#[cfg(feature = "std")]
mod graph;
#[cfg(feature = "std")]
mod huggingface;
#[cfg(feature = "std")]
mod lecture;
#[cfg(feature = "std")]
mod llama2c;
#[cfg(feature = "std")]
mod names;
#[cfg(feature = "std")]
pub mod native;
#[cfg(feature = "std")]
mod onnx;
#[cfg(feature = "std")]
pub mod pytorch;
#[cfg(feature = "std")]
pub mod random;
#[cfg(feature = "std")]
mod registry;
#[cfg(feature = "std")]
mod settings;
#[cfg(feature = "std")]
mod specials;
#[cfg(feature = "std")]
mod stored;
mod tensors;
mod tokenizer;
#[cfg(feature = "std")]
mod weights;

use alloc::string::String;
use alloc::vec::Vec;
#[cfg(feature = "std")]
use std::path::Path;

pub use config::Config;
#[cfg(feature = "std")]
pub use error::Error;
pub use tensors::{Tensors, Weights};
#[cfg(feature = "std")]
pub use thumbformer::audio::FrontEndConfig;
pub use thumbformer::{
    Activation, ClassPlace, DenseActivation, Input, Mask, Norm, NormPlace, Options, Outputs, Pooler, Pooling,
    Positions, Tensor,
};
pub use tokenizer::{AddedToken, Merge, Named, Tokenizer, TokenizerKind};

/// Most tokens of a vocabulary.
#[cfg(feature = "std")]
const MAX_VOCAB: usize = 65_535;

/// A float checkpoint, complete and checked: every shape agrees with [`Config`], every weight is finite.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Folder or file that the checkpoint was read from.
    pub source: String,
    /// Recognised architecture, by the checkpoint's own name for it, for example `llama`.
    pub architecture: String,
    /// Configuration of the network.
    pub config: Config,
    /// Tensors, in the core's shapes: those that the options require, and the optional ones that it has.
    pub tensors: Tensors,
    /// Tokenizer, if one was found.
    pub tokenizer: Option<Tokenizer>,
    /// Audio front end that the network was trained with, if the configuration names one.
    #[cfg(feature = "std")]
    pub front_end: Option<FrontEndConfig>,
    /// Notes for the user on how the checkpoint was read, a sentence each.
    pub notes: Vec<String>,
}

#[cfg(feature = "std")]
impl Checkpoint {
    /// Reads a checkpoint and checks all of it.
    ///
    /// The crate's documentation lists the layouts. `tokenizer` names the tokenizer's file (`.json`: Hugging Face's,
    /// otherwise llama2.c's). Without it, `tokenizer.json` beside the weights, or `tokenizer.bin` beside llama2.c's and llama.cpp's
    /// files, is used if it exists. A network that reads frames has no tokenizer.
    ///
    /// # Errors
    /// [`Error`] names the file, the tensor or setting, what was expected and found, and the next step.
    pub fn load(path: &Path, tokenizer: Option<&Path>) -> Result<Self, Error> {
        let (mut checkpoint, folder) = registry::load(path, true)?;
        checkpoint.check_vocab()?;
        let is_llama2c = checkpoint.architecture == llama2c::NAME;
        let name = if folder.is_some() && !is_llama2c { "tokenizer.json" } else { "tokenizer.bin" };
        let reads_text = checkpoint.config.options.input == Input::Tokens;
        let beside = folder.as_ref().map_or_else(|| path.with_file_name(name), |folder| folder.join(name));
        let found =
            Some(beside.as_path()).filter(|file| file.is_file() && reads_text && checkpoint.tokenizer.is_none());
        let file = tokenizer.or(found);
        if let Some(file) = file {
            let vocab = checkpoint.config.vocab;
            checkpoint.tokenizer = Some(if file.extension().is_some_and(|extension| extension == "json") {
                huggingface::load_tokenizer(file, vocab, &mut checkpoint.notes)?
            } else {
                llama2c::load_tokenizer(file, vocab)?
            });
        }
        specials::settle(folder.as_deref(), file, &mut checkpoint)?;
        Ok(checkpoint)
    }

    /// Reads a checkpoint and leaves its tokenizer out, whatever kind it is: the network's input is token ids.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn load_network(path: &Path) -> Result<Self, Error> {
        let (mut checkpoint, folder) = registry::load(path, false)?;
        checkpoint.check_vocab()?;
        specials::settle(folder.as_deref(), None, &mut checkpoint)?;
        Ok(checkpoint)
    }

    /// Refuses a vocabulary beyond the ids of a device, before anything is said of its tokenizer.
    fn check_vocab(&self) -> Result<(), Error> {
        if self.config.options.input != Input::Tokens || self.config.vocab <= MAX_VOCAB {
            return Ok(());
        }
        Err(Error::Setting {
            path: self.source.clone().into(),
            key: "vocab_size".into(),
            found: self.config.vocab.to_string(),
            expected: format!("at most {MAX_VOCAB}, since a token's id has 16 bits"),
            next:
                "train with a smaller tokenizer, or prune the vocabulary and the embedding's rows to the tokens that \
                   your texts use"
                    .into(),
        })
    }

    /// A checkpoint from an importer's findings, without a tokenizer.
    pub(crate) fn new(source: &Path, architecture: &str, config: Config, tensors: Tensors) -> Self {
        let (source, architecture) = (source.display().to_string(), architecture.into());
        Checkpoint { source, architecture, config, tensors, tokenizer: None, notes: Vec::new(), front_end: None }
    }
}

impl Checkpoint {
    /// Output matrix: the head, or the embedding where the head is tied to it; `None` without a head.
    pub fn head(&self) -> Option<&Weights> {
        let own = self.tensors.get(Tensor::Head, 0);
        own.or(self.tensors.get(Tensor::Embedding, 0)).filter(|_| self.config.options.head)
    }

    /// True if the embedding is the output matrix.
    pub fn has_tied_head(&self) -> bool {
        self.config.options.head && !self.tensors.has(Tensor::Head)
    }

    /// Number of weights, a tied head counted once.
    pub fn parameters(&self) -> usize {
        self.tensors.iter().map(|(.., weights)| weights.data.len()).sum()
    }
}
