//! Types of ggml's tensors, and the blocks of those that are read.
//!
//! Source: the block structures of `ggml-common.h`, and the package `gguf`, whose results are the tests' truth: every product and sum is
//! rounded to `f32` in its order.

/// A type of tensors.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Numbers in a block, and its bytes.
    pub(super) block: usize,
    pub(super) bytes: usize,
    read: fn(&[u8], &mut Vec<f32>),
    /// True if its numbers are not those that a float model had.
    pub(super) is_quantized: bool,
}

/// The types that are read, by ggml's number.
const READ: [(u32, Kind); 12] = [
    (0, float("F32", 4, |bytes, out| out.push(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])))),
    (1, float("F16", 2, |bytes, out| out.push(half(bytes, 0)))),
    (30, float("BF16", 2, |bytes, out| out.push(half::bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32()))),
    (2, quantized("Q4_0", 32, 18, q4_0)),
    (3, quantized("Q4_1", 32, 20, q4_1)),
    (6, quantized("Q5_0", 32, 22, q5_0)),
    (7, quantized("Q5_1", 32, 24, q5_1)),
    (8, quantized("Q8_0", 32, 34, q8_0)),
    (12, quantized("Q4_K", 256, 144, q4_k)),
    (13, quantized("Q5_K", 256, 176, q5_k)),
    (14, quantized("Q6_K", 256, 210, q6_k)),
    (28, float("F64", 8, f64)),
];

/// Names of the other types.
const OTHERS: [(u32, &str); 25] = [
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (29, "IQ1_M"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (33, "Q4_0_8_8"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

impl Kind {
    /// The type of a number, or what to say of one that is not read.
    pub(super) fn of(number: u32) -> Result<&'static Kind, String> {
        if let Some((_, kind)) = READ.iter().find(|(other, _)| *other == number) {
            return Ok(kind);
        }
        let name = OTHERS.iter().find(|(other, _)| *other == number);
        let name = name.map_or_else(|| format!("ggml's type {number}"), |(_, name)| name.to_string());
        let quantized: Vec<&str> =
            READ.iter().filter(|(_, kind)| kind.is_quantized).map(|(_, kind)| kind.name).collect();
        Err(format!("{name} (of quantized types {} are read)", quantized.join(", ")))
    }

    /// The numbers of whole blocks.
    pub(super) fn floats(&self, blocks: &[u8], count: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(count);
        blocks.chunks_exact(self.bytes).for_each(|block| (self.read)(block, &mut out));
        out
    }
}

const fn float(name: &'static str, bytes: usize, read: fn(&[u8], &mut Vec<f32>)) -> Kind {
    Kind { name, block: 1, bytes, read, is_quantized: false }
}

const fn quantized(name: &'static str, block: usize, bytes: usize, read: fn(&[u8], &mut Vec<f32>)) -> Kind {
    Kind { name, block, bytes, read, is_quantized: true }
}

/// The float of 16 bits at a byte.
fn half(bytes: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

fn f64(bytes: &[u8], out: &mut Vec<f32>) {
    out.push(bytes.first_chunk().map_or(0.0, |bytes| f64::from_le_bytes(*bytes) as f32));
}

/// Nibbles of 16 bytes: the lower ones of all come first.
fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().map(|byte| byte & 15).chain(bytes.iter().map(|byte| byte >> 4))
}

/// Nibbles and their fifth bits, from four bytes in front of them.
fn five_bits(bytes: &[u8]) -> impl Iterator<Item = f32> {
    let (high, low) = bytes.split_at(4);
    nibbles(low).enumerate().map(|(place, nibble)| f32::from(nibble | (high[place / 8] >> (place % 8) & 1) << 4))
}

fn q4_0(block: &[u8], out: &mut Vec<f32>) {
    let scale = half(block, 0);
    out.extend(nibbles(&block[2..]).map(|nibble| scale * (f32::from(nibble) - 8.0)));
}

fn q4_1(block: &[u8], out: &mut Vec<f32>) {
    let (scale, least) = (half(block, 0), half(block, 2));
    out.extend(nibbles(&block[4..]).map(|nibble| scale * f32::from(nibble) + least));
}

fn q5_0(block: &[u8], out: &mut Vec<f32>) {
    let scale = half(block, 0);
    out.extend(five_bits(&block[2..]).map(|number| scale * (number - 16.0)));
}

fn q5_1(block: &[u8], out: &mut Vec<f32>) {
    let (scale, least) = (half(block, 0), half(block, 2));
    out.extend(five_bits(&block[4..]).map(|number| scale * number + least));
}

fn q8_0(block: &[u8], out: &mut Vec<f32>) {
    let scale = half(block, 0);
    out.extend(block[2..].iter().map(|byte| scale * f32::from(byte.cast_signed())));
}

/// Scale and offset of each part of 32 numbers, both of six bits, in twelve bytes: those of the last four parts have their upper two bits
/// above those of the first four.
fn six_bits(block: &[u8]) -> [(f32, f32); 8] {
    let (scale, least, bytes) = (half(block, 0), half(block, 2), &block[4..16]);
    std::array::from_fn(|part| {
        let (first, second) = if part < 4 {
            (bytes[part] & 63, bytes[part + 4] & 63)
        } else {
            let low = bytes[part + 4];
            (low & 15 | bytes[part - 4] >> 6 << 4, low >> 4 | bytes[part] >> 6 << 4)
        };
        (scale * f32::from(first), least * f32::from(second))
    })
}

/// Two parts share 32 bytes: one has the lower nibbles, the next the upper ones. `high` is the fifth bit of a number.
fn parts(block: &[u8], low: &[u8], high: impl Fn(usize, usize) -> u8, out: &mut Vec<f32>) {
    for (part, (scale, least)) in six_bits(block).into_iter().enumerate() {
        let bytes = &low[part / 2 * 32..][..32];
        out.extend(bytes.iter().enumerate().map(|(place, byte)| {
            let nibble = byte >> (part % 2 * 4) & 15;
            scale * f32::from(nibble | high(part, place) << 4) - least
        }));
    }
}

fn q4_k(block: &[u8], out: &mut Vec<f32>) {
    parts(block, &block[16..], |_, _| 0, out);
}

fn q5_k(block: &[u8], out: &mut Vec<f32>) {
    let (high, low) = block[16..].split_at(32);
    parts(block, low, |part, place| high[place] >> part & 1, out);
}

/// Halves of 128 numbers, of which 64 bytes have the lower four bits and 32 the upper two; a scale for every 16 numbers.
fn q6_k(block: &[u8], out: &mut Vec<f32>) {
    let scale = half(block, 208);
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    out.extend((0..256).map(|place| {
        let (half, place_of_half) = (place / 128, place % 128);
        let nibble = low[half * 64 + place_of_half % 64] >> (place_of_half / 64 * 4) & 15;
        let bits = high[half * 32 + place_of_half % 32] >> (place_of_half / 32 * 2) & 3;
        let number = f32::from(nibble | bits << 4) - 32.0;
        scale * f32::from(scales[place / 16].cast_signed()) * number
    }));
}
