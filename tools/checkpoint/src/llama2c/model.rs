//! Importer of the model's `.bin`.
//!
//! Two versions hold floats. Both begin with seven `i32`: `d_model, d_ff, n_layers, n_heads, n_kv_heads, vocab,
//! max_seq`; all tensors of one kind follow each other, layer by layer.
//! - *version 0*: nothing before the seven; a negative `vocab` marks a separate head.
//! - *version 1*: magic `ak42`, the version, the seven, a byte that marks a shared head, zeros up to 256.
//!
//! The file has no names, no epsilon and no rotary base: names are given here for error messages, and the numbers are
//! the constants of the program that trains and runs these files (1e-5 and 10000).

use std::path::Path;

use thumbformer::{Options, Part, Tensor};

use super::Cursor;
use crate::names::{adjacent_to_halves, shape};
use crate::{Checkpoint, Config, Error, Tensors, Weights};

const MAGIC: u32 = 0x616b_3432;
const HEADER_V0: usize = 28;
const HEADER_V1: usize = 256;
/// Maximum of a dimension, which keeps every product below far from overflow.
const LARGEST: i32 = 1 << 20;

/// Header of the file.
struct Header {
    config: Config,
    tied_head: bool,
    versioned: bool,
}

/// Reads a model file, in which no tokenizer can be.
pub(crate) fn load(path: &Path, bytes: &[u8], _tokenizer: bool) -> Result<Checkpoint, Error> {
    let header = header(path, bytes).and_then(|header| check_length(path, header, bytes.len() as u64))?;
    let data = if header.versioned { &bytes[HEADER_V1..] } else { &bytes[HEADER_V0..] };
    let mut reader = Reader { path, cursor: Cursor { rest: data }, config: &header.config };
    let mut tensors = Tensors::default();
    let order = if header.versioned { &VERSION_1 } else { &VERSION_0 };
    for &(tensor, name) in order {
        reader.read(tensor, name, &mut tensors)?;
    }
    if !header.versioned {
        // Cosines and sines of the rotary positions are not read: they follow from the base.
        reader.floats(header.config.max_seq * header.config.head_dim)?;
    }
    if !header.tied_head {
        reader.read(Tensor::Head, "classifier", &mut tensors)?;
    }
    Ok(Checkpoint::new(path, super::NAME, header.config, tensors))
}

/// Tensors in the order of the file, those of the layers by kind; the head is last.
const VERSION_0: [(Tensor, &str); 11] = [
    (Tensor::Embedding, "token_embedding"),
    (Tensor::AttentionNorm, "layers.#.attention_norm"),
    (Tensor::Query, "layers.#.attention.wq"),
    (Tensor::Key, "layers.#.attention.wk"),
    (Tensor::Value, "layers.#.attention.wv"),
    (Tensor::AttentionOutput, "layers.#.attention.wo"),
    (Tensor::MlpNorm, "layers.#.mlp_norm"),
    (Tensor::Gate, "layers.#.mlp.w1"),
    (Tensor::Down, "layers.#.mlp.w2"),
    (Tensor::Up, "layers.#.mlp.w3"),
    (Tensor::FinalNorm, "final_norm"),
];

const VERSION_1: [(Tensor, &str); 11] = [
    (Tensor::AttentionNorm, "layers.#.attention_norm"),
    (Tensor::MlpNorm, "layers.#.mlp_norm"),
    (Tensor::FinalNorm, "final_norm"),
    (Tensor::Embedding, "token_embedding"),
    (Tensor::Query, "layers.#.attention.wq"),
    (Tensor::Key, "layers.#.attention.wk"),
    (Tensor::Value, "layers.#.attention.wv"),
    (Tensor::AttentionOutput, "layers.#.attention.wo"),
    (Tensor::Gate, "layers.#.mlp.w1"),
    (Tensor::Down, "layers.#.mlp.w2"),
    (Tensor::Up, "layers.#.mlp.w3"),
];

struct Reader<'a> {
    path: &'a Path,
    cursor: Cursor<'a>,
    config: &'a Config,
}

impl<'a> Reader<'a> {
    /// A tensor of all layers, in which rows `2 i` and `2 i + 1` of a head are a rotary pair.
    fn read(&mut self, tensor: Tensor, name: &str, tensors: &mut Tensors) -> Result<(), Error> {
        let shape = shape(&self.config.dims(), tensor, 0);
        let layers = if tensor.part() == Part::Layer { self.config.n_layers } else { 1 };
        for layer in 0..layers {
            let bytes = self.floats(shape.iter().product())?;
            let data = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let name = name.replace('#', &layer.to_string());
            let weights = Weights::finite(self.path, name, shape.clone(), data.collect())?;
            let is_turned = matches!(tensor, Tensor::Query | Tensor::Key);
            let weights = if is_turned { adjacent_to_halves(weights, self.config.head_dim) } else { weights };
            tensors.insert(tensor, layer, weights);
        }
        Ok(())
    }

    /// The length has been checked against the header, so this fails only if that check is wrong.
    fn floats(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let found = self.cursor.rest.len() as u64;
        self.cursor.bytes(4 * count).ok_or(Error::Truncated {
            path: self.path.into(),
            expected: 4 * count as u64,
            found,
        })
    }
}

/// Reads and checks the header of either version.
fn header(path: &Path, bytes: &[u8]) -> Result<Header, Error> {
    let short =
        |expected: usize| Error::Truncated { path: path.into(), expected: expected as u64, found: bytes.len() as u64 };
    let mut cursor = Cursor { rest: bytes };
    let versioned = bytes.first_chunk::<4>().is_some_and(|magic| u32::from_le_bytes(*magic) == MAGIC);
    if versioned {
        cursor.i32();
        let version = cursor.i32().ok_or_else(|| short(HEADER_V1))?;
        if version != 1 {
            return Err(Error::UnknownFormat {
                path: path.into(),
                found: format!("llama2.c version {version}, expected 0 or 1: other versions hold quantized weights"),
                next: "export it in floats: export.py with --version 1".into(),
            });
        }
        if bytes.len() < HEADER_V1 {
            return Err(short(HEADER_V1));
        }
    }
    let mut sizes = [0; 7];
    for size in &mut sizes {
        *size = cursor.i32().ok_or_else(|| short(HEADER_V0))?;
    }
    let tied_head = if versioned { bytes[36] == 1 } else { sizes[5] > 0 };
    if !versioned {
        sizes[5] = sizes[5].saturating_abs();
    }
    config(path, sizes).map(|config| Header { config, tied_head, versioned })
}

fn config(path: &Path, sizes: [i32; 7]) -> Result<Config, Error> {
    if sizes.iter().any(|&size| !(1..=LARGEST).contains(&size)) {
        return Err(Error::UnknownFormat {
            path: path.into(),
            found: format!("not a llama2.c file: the sizes in its header would be {sizes:?}"),
            next: "give a llama2.c .bin or a Hugging Face folder".into(),
        });
    }
    let [d_model, d_ff, n_layers, n_heads, n_kv_heads, vocab, max_seq] = sizes.map(|size| size as usize);
    let wrong = |key: &str, found: usize, expected: String| Error::Setting {
        path: path.into(),
        key: key.into(),
        found: found.to_string(),
        expected,
        next: "check that this is a llama2.c model, and export it again".into(),
    };
    if !d_model.is_multiple_of(n_heads) {
        return Err(wrong("dim", d_model, format!("a multiple of n_heads ({n_heads})")));
    }
    let head_dim = d_model / n_heads;
    if !head_dim.is_multiple_of(2) {
        return Err(wrong("dim / n_heads", head_dim, "an even number: rotary positions turn pairs".into()));
    }
    if !n_heads.is_multiple_of(n_kv_heads) {
        return Err(wrong("n_heads", n_heads, format!("a multiple of n_kv_heads ({n_kv_heads})")));
    }
    let mut config = Config::new(Options::LLAMA, d_model, n_heads, head_dim);
    (config.n_layers, config.n_kv_heads, config.d_ff, config.max_seq) = (n_layers, n_kv_heads, d_ff, max_seq);
    (config.vocab, config.n_outputs) = (vocab, vocab);
    // The format's tokenizers have BOS at 1 and EOS at 2. Its training texts are joined by BOS alone, so BOS ends a text
    // too.
    config.bos = (vocab > 1).then_some(1);
    config.eos = (1..3).filter(|&id| id < vocab as u32).collect();
    Ok(config)
}

/// The header determines the length completely.
fn check_length(path: &Path, header: Header, found: u64) -> Result<Header, Error> {
    let c = &header.config;
    // In 128 bits, since the sizes of a file that is something else can be anything below LARGEST.
    let [d, q, kv, ff, layers, vocab] =
        [c.d_model, c.q_width(), c.kv_width(), c.d_ff, c.n_layers, c.vocab].map(|size| size as u128);
    let layer = 2 * d + 2 * d * q + 2 * d * kv + 3 * d * ff;
    let rotary = if header.versioned { 0 } else { (c.max_seq * c.head_dim) as u128 };
    let head = if header.tied_head { 0 } else { vocab * d };
    let floats = vocab * d + layers * layer + d + rotary + head;
    let start = if header.versioned { HEADER_V1 } else { HEADER_V0 };
    let expected = u64::try_from(start as u128 + 4 * floats).unwrap_or(u64::MAX);
    let path = path.into();
    match found.cmp(&expected) {
        std::cmp::Ordering::Equal => Ok(header),
        std::cmp::Ordering::Less => Err(Error::Truncated { path, expected, found }),
        std::cmp::Ordering::Greater => {
            let next = "check that this is a llama2.c model, and export it again";
            Err(Error::TrailingBytes { path, expected, found, next })
        }
    }
}
