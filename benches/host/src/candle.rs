//! candle's Llama, on the CPU in `f32`, as its own examples run it: KV cache on, one token for each call.

use crate::decoder::Decoder;
use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{Cache, Config, Llama, LlamaConfig};
use std::path::Path;

/// The checkpoint in candle.
pub struct Candle {
    model: Llama,
    /// As it is before the first token.
    empty: Cache,
    cache: Cache,
    position: usize,
    logits: Vec<f32>,
}

impl Candle {
    /// Reads `config.json` and `model.safetensors` of a folder.
    ///
    /// # Errors
    /// When a file is missing, or candle does not know what is in it.
    pub fn load(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let file = folder.join(name);
            std::fs::read(&file).with_context(|| format!("{}: cannot be read; restore it from git", file.display()))
        };
        let config: LlamaConfig = serde_json::from_slice(&read("config.json")?).with_context(|| {
            format!("{}: not a configuration that candle knows", folder.join("config.json").display())
        })?;
        let config: Config = config.into_config(false);
        let weights = read("model.safetensors")?;
        let build = || {
            let variables = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)?;
            Ok((Llama::load(variables, &config)?, Cache::new(true, DType::F32, &config, &Device::Cpu)?))
        };
        let built: candle_core::Result<(Llama, Cache)> = build();
        let (model, empty) = built.with_context(|| format!("{}: candle cannot load it", folder.display()))?;
        Ok(Self { model, cache: empty.clone(), empty, position: 0, logits: Vec::new() })
    }
}

impl Decoder for Candle {
    fn reset(&mut self) -> Result<()> {
        self.cache = self.empty.clone();
        self.position = 0;
        Ok(())
    }

    fn decode(&mut self, token: u16) -> Result<&[f32]> {
        let input = Tensor::new(&[[u32::from(token)]], &Device::Cpu)?;
        let logits = self.model.forward(&input, self.position, &mut self.cache)?;
        self.logits = logits.squeeze(0)?.to_vec1()?;
        self.position += 1;
        Ok(&self.logits)
    }
}
