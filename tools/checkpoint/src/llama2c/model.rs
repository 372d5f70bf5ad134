//! The model's `.bin`.
//!
//! Two versions hold floats. Both begin with seven `i32`: `d_model, d_ff, n_layers, n_heads, n_kv_heads, vocab,
//! max_seq`; all tensors of one kind follow each other, layer by layer.
//! - *version 0*: nothing before the seven; a negative `vocab` says that the head is separate.
//! - *version 1*: magic `ak42`, the version, the seven, a byte that says that the head is shared, zeros up to 256.
//!
//! The file has no names, no epsilon and no rotary base: names are given here for error messages, and the numbers are
//! the constants of the program that trains and runs these files (1e-5 and 10000).

use std::path::Path;

use super::Cursor;
use crate::assemble::{Network, Parts};
use crate::{Activation, Checkpoint, Config, Error, Input, Layer, Mask, Norm, NormPlace, Pooling, Positions, Tensor};

const MAGIC: u32 = 0x616b_3432;
const HEADER_V0: usize = 28;
const HEADER_V1: usize = 256;
/// Keeps every product below far from overflow.
const LARGEST: i32 = 1 << 20;

/// What the header says.
struct Header {
    config: Config,
    versioned: bool,
}

/// Reads a model file.
pub(crate) fn load(path: &Path, bytes: &[u8]) -> Result<Checkpoint, Error> {
    let header = header(path, bytes).and_then(|header| check_length(path, header, bytes.len() as u64));
    // Looked at only now, since the first bytes of a sound file may look like anything.
    let header = header.map_err(|error| foreign(path, bytes).unwrap_or(error))?;
    let data = if header.versioned { &bytes[HEADER_V1..] } else { &bytes[HEADER_V0..] };
    let mut reader = Reader { path, cursor: Cursor { rest: data }, config: &header.config };
    let weights = if header.versioned { version_1(&mut reader)? } else { version_0(&mut reader)? };
    Ok(weights.into_checkpoint(path, header.config))
}

/// All tensors, those of the layers by kind.
struct Weights {
    embedding: Tensor,
    attention_norm: Vec<Tensor>,
    attention: [Vec<Tensor>; 4],
    mlp_norm: Vec<Tensor>,
    /// `w1`, `w2`, `w3`: gate, down, up.
    mlp: [Vec<Tensor>; 3],
    final_norm: Tensor,
    head: Option<Tensor>,
}

fn version_0(reader: &mut Reader<'_>) -> Result<Weights, Error> {
    Ok(Weights {
        embedding: reader.embedding("token_embedding")?,
        attention_norm: reader.norms("attention_norm")?,
        attention: reader.attention()?,
        mlp_norm: reader.norms("mlp_norm")?,
        mlp: reader.mlp()?,
        final_norm: reader.final_norm()?,
        head: {
            // Cosines and sines of the rotary positions, which nobody reads any more: they follow from the base.
            reader.skip(reader.config.max_seq * reader.config.head_dim)?;
            reader.head()?
        },
    })
}

fn version_1(reader: &mut Reader<'_>) -> Result<Weights, Error> {
    Ok(Weights {
        attention_norm: reader.norms("attention_norm")?,
        mlp_norm: reader.norms("mlp_norm")?,
        final_norm: reader.final_norm()?,
        embedding: reader.embedding("token_embedding")?,
        attention: reader.attention()?,
        mlp: reader.mlp()?,
        head: reader.head()?,
    })
}

impl Weights {
    fn into_checkpoint(self, path: &Path, config: Config) -> Checkpoint {
        let [wq, wk, wv, wo] = self.attention.map(Vec::into_iter);
        let [gate, down, up] = self.mlp.map(Vec::into_iter);
        let mut parts = (wq, wk, wv, wo, gate, down, up);
        let norms = self.attention_norm.into_iter().zip(self.mlp_norm);
        let layers = norms.map_while(|(attention_norm, mlp_norm)| {
            Some(Layer::from(Parts {
                attention_norm: (attention_norm, None),
                q: (adjacent_to_halves(parts.0.next()?, config.head_dim), None),
                k: (adjacent_to_halves(parts.1.next()?, config.head_dim), None),
                v: (parts.2.next()?, None),
                o: (parts.3.next()?, None),
                mlp_norm: (mlp_norm, None),
                gate: Some((parts.4.next()?, None)),
                down: (parts.5.next()?, None),
                up: (parts.6.next()?, None),
            }))
        });
        let network = Network {
            layers: layers.collect(),
            embedding: (self.embedding, None),
            class_token: None,
            positions: None,
            embedding_norm: None,
            final_norm: Some((self.final_norm, None)),
            pooler: None,
            head: self.head.map(|head| (head, None)),
        };
        network.into_checkpoint(path, "llama2.c", config)
    }
}

/// These files turn rows `2 i` and `2 i + 1` of a head together, [`Layer`] rows `i` and `i + head_dim / 2`. Moving the
/// rows of queries and keys alike leaves every product of the two as it was.
fn adjacent_to_halves(tensor: Tensor, head_dim: usize) -> Tensor {
    let width = tensor.shape[1];
    let mut data = Vec::with_capacity(tensor.data.len());
    for head in tensor.data.chunks(head_dim * width) {
        for parity in 0..2 {
            head.chunks(width).skip(parity).step_by(2).for_each(|row| data.extend_from_slice(row));
        }
    }
    Tensor { data, ..tensor }
}

struct Reader<'a> {
    path: &'a Path,
    cursor: Cursor<'a>,
    config: &'a Config,
}

impl<'a> Reader<'a> {
    fn tensor(&mut self, name: String, shape: &[usize]) -> Result<Tensor, Error> {
        let bytes = self.floats(shape.iter().product())?;
        let data = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Tensor::finite(self.path, name, shape.into(), data.collect())
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

    fn skip(&mut self, count: usize) -> Result<(), Error> {
        self.floats(count).map(|_| ())
    }

    fn layers(&mut self, part: &str, shape: &[usize]) -> Result<Vec<Tensor>, Error> {
        (0..self.config.n_layers).map(|index| self.tensor(format!("layers.{index}.{part}"), shape)).collect()
    }

    fn embedding(&mut self, name: &str) -> Result<Tensor, Error> {
        self.tensor(name.into(), &[self.config.vocab, self.config.d_model])
    }

    fn norms(&mut self, part: &str) -> Result<Vec<Tensor>, Error> {
        self.layers(part, &[self.config.d_model])
    }

    fn attention(&mut self) -> Result<[Vec<Tensor>; 4], Error> {
        let (d, q, kv) = (self.config.d_model, self.config.q_width(), self.config.kv_width());
        Ok([
            self.layers("attention.wq", &[q, d])?,
            self.layers("attention.wk", &[kv, d])?,
            self.layers("attention.wv", &[kv, d])?,
            self.layers("attention.wo", &[d, q])?,
        ])
    }

    fn mlp(&mut self) -> Result<[Vec<Tensor>; 3], Error> {
        let (d, ff) = (self.config.d_model, self.config.d_ff);
        Ok([self.layers("mlp.w1", &[ff, d])?, self.layers("mlp.w2", &[d, ff])?, self.layers("mlp.w3", &[ff, d])?])
    }

    fn final_norm(&mut self) -> Result<Tensor, Error> {
        self.tensor("final_norm".into(), &[self.config.d_model])
    }

    fn head(&mut self) -> Result<Option<Tensor>, Error> {
        if self.config.tied_head {
            return Ok(None);
        }
        self.embedding("classifier").map(Some)
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
    config(path, sizes, tied_head).map(|config| Header { config, versioned })
}

/// Other files that people have at hand, by their first bytes.
fn foreign(path: &Path, bytes: &[u8]) -> Option<Error> {
    let (found, next) = match bytes {
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, 1..=255, ..] => {
            ("a pickle of PyTorch", "load it and save it with save_pretrained, or with llama2.c's export.py")
        }
        [b'{', ..] | [_, _, _, _, _, _, _, 0, b'{', ..] => {
            ("one file of a Hugging Face folder", "give the folder that holds config.json and model.safetensors")
        }
        _ => return None,
    };
    Some(Error::UnknownFormat { path: path.into(), found: found.into(), next: next.into() })
}

fn config(path: &Path, sizes: [i32; 7], tied_head: bool) -> Result<Config, Error> {
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
    Ok(Config {
        d_model,
        n_layers,
        n_heads,
        n_kv_heads,
        head_dim,
        d_ff,
        vocab,
        max_seq,
        norm: Norm::Rms,
        norm_place: NormPlace::Pre,
        norm_eps: 1e-5,
        activation: Activation::Silu,
        mask: Mask::Causal,
        positions: Positions::Rotary { theta: 10000.0 },
        input: Input::Tokens,
        pooling: Pooling::None,
        attention_scale: Config::usual_scale(head_dim),
        sliding_window: None,
        n_outputs: vocab,
        labels: Vec::new(),
        tied_head,
        // The format's tokenizers have BOS at 1 and EOS at 2. Its training texts are joined by BOS alone, so BOS
        // ends a text too.
        bos: (vocab > 1).then_some(1),
        eos: (1..3).filter(|&id| id < vocab as u32).collect(),
    })
}

/// The header determines the length completely.
fn check_length(path: &Path, header: Header, found: u64) -> Result<Header, Error> {
    let c = &header.config;
    // In 128 bits, since the sizes of a file that is something else can be anything below LARGEST.
    let [d, q, kv, ff, layers, vocab] =
        [c.d_model, c.q_width(), c.kv_width(), c.d_ff, c.n_layers, c.vocab].map(|size| size as u128);
    let layer = 2 * d + 2 * d * q + 2 * d * kv + 3 * d * ff;
    let rotary = if header.versioned { 0 } else { (c.max_seq * c.head_dim) as u128 };
    let head = if c.tied_head { 0 } else { vocab * d };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_pairs_become_halves_within_each_head() {
        let tensor = Tensor { name: "wq".into(), shape: vec![8, 1], data: (0..8).map(|x| x as f32).collect() };
        assert_eq!(adjacent_to_halves(tensor, 4).data, [0., 2., 1., 3., 4., 6., 5., 7.]);
    }
}
