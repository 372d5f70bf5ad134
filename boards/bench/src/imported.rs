//! Images and inputs that the host gives as a file, for `cargo xtask imported`.
//!
//! ```text
//! file, again and again: words of the image, of the input; the image; token ids or numbers of frames
//!                         └─► Model::parse ──► Session ──► CRC-32 of all outputs
//! ```
#![no_std]
#![no_main]

use core::ffi::CStr;
use semihosting::fs::File;
use semihosting::io::Read;
use thumbformer::{Error, Input, Inputs, LogitsCrc, Mask, Memory, Model, Pooling};

/// Words of the largest image with its input, and of the largest state.
const CASE: usize = 36 * 1024;
const STATE: usize = 16 * 1024;
/// Numbers of the longest input.
const INPUT: usize = 1024;

/// Fills words from the file; false at its end.
fn read(file: &mut File, words: &mut [u32]) -> bool {
    for word in words {
        let (mut bytes, mut filled) = ([0; 4], 0);
        while filled < bytes.len() {
            match file.read(&mut bytes[filled..]) {
                Ok(more) if more > 0 => filled += more,
                _ => return false,
            }
        }
        *word = u32::from_le_bytes(bytes);
    }
    true
}

/// CRC-32 of the outputs: of each position of a causal model, else of each position or of the pooled vector.
fn infer(model: &Model<'_>, input: &mut [u32], state: &mut [u32]) -> Result<u32, Error> {
    let dims = *model.dims();
    let mut crc = LogitsCrc::new();
    let mut tokens = [0; INPUT];
    let mut session = model.session(Memory::new(&dims, dims.max_seq, 4, state)?);
    let is_causal = dims.options.mask == Mask::Causal;
    if dims.options.input == Input::Tokens {
        let tokens = tokens.get_mut(..input.len()).ok_or(Error::EmptyPrompt)?;
        tokens.iter_mut().zip(&*input).for_each(|(token, word)| *token = *word as u16);
        if is_causal {
            for &token in &*tokens {
                crc.update(session.decode(token)?);
            }
            return Ok(crc.total());
        }
        outputs(&mut session, Inputs::Tokens(tokens), dims.options.pooling, &mut crc)?;
        return Ok(crc.total());
    }
    // A frame at a time for a stream; all of them have to be floats in one piece for a whole sequence.
    let mut frames = [0.0; INPUT];
    let frames = frames.get_mut(..input.len()).ok_or(Error::EmptyPrompt)?;
    frames.iter_mut().zip(&*input).for_each(|(number, word)| *number = f32::from_bits(*word));
    if is_causal {
        for frame in frames.chunks_exact(dims.n_features.max(1)) {
            crc.update(session.push(frame)?);
        }
        return Ok(crc.total());
    }
    outputs(&mut session, Inputs::Frames(frames), dims.options.pooling, &mut crc)?;
    Ok(crc.total())
}

fn outputs(
    session: &mut thumbformer::Session<'_, '_>,
    inputs: Inputs<'_>,
    pooling: Pooling,
    crc: &mut LogitsCrc,
) -> Result<(), Error> {
    if pooling == Pooling::None {
        session.infer_each(inputs, None, |_, outputs| _ = crc.update(outputs))
    } else {
        crc.update(session.infer(inputs)?);
        Ok(())
    }
}

/// File that the command line names, behind the program.
fn file() -> Option<File> {
    let mut raw = [core::mem::MaybeUninit::uninit(); 512];
    let line = semihosting::sys::arm_compat::sys_get_cmdline_uninit(&mut raw).ok()?;
    let begin = line.iter().position(|&byte| byte == b' ')? + 1;
    let given = line[begin..].split(|&byte| byte == 0).next()?;
    let mut path = [0; 512];
    path.get_mut(..given.len())?.copy_from_slice(given);
    File::open(CStr::from_bytes_until_nul(&path).ok()?).ok()
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut WORDS: [u32; CASE] = [0; CASE];
    static mut MEMORY: [u32; STATE] = [0; STATE];
    let Some(mut file) = file() else { semihosting::process::exit(3) };
    let mut header = [0; 2];
    while read(&mut file, &mut header) {
        let [image, input] = header.map(|words| words as usize);
        let Some(case) = WORDS.get_mut(..image.saturating_add(input)) else { semihosting::process::exit(4) };
        if !read(&mut file, case) {
            semihosting::process::exit(5)
        }
        let (image, input) = case.split_at_mut(image);
        match Model::parse(image).and_then(|model| infer(&model, input, MEMORY)) {
            Ok(crc32) => semihosting::println!("{crc32}"),
            Err(error) => semihosting::println!("{error}"),
        }
    }
    semihosting::process::exit(0)
}
