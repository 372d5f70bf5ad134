//! An image that arrives at run time (external flash, over the air): the same parser, and `Err` instead of a compile error.
#![no_std]
#![no_main]

use core::hint::black_box;
use {defmt_semihosting as _, panic_probe as _};

use thumbformer::image::Aligned;
use thumbformer::text::{Sampler, Sampling};
use thumbformer::{Error, Model};

// Only its type is used: the memory for a model of these dimensions.
thumbformer::model!(mod story = "../../../models/stories/stories-m4.tbf", max_seq = 64);

static IMAGE: Aligned<{ story::IMAGE_BYTES }> = Aligned(*include_bytes!("../../../models/stories/stories-m4.tbf"));

/// Parses words that the compiler knows nothing about, and generates a little.
fn tell(state: &mut story::State, words: &[u32]) -> Result<u16, Error> {
    let model = Model::parse(words)?;
    let tokenizer = model.tokenizer().ok_or(Error::NoTokenizer)?;
    let mut prompt = [0; 32];
    let length = tokenizer.encode(black_box("Once upon a time"), true, &mut prompt)?;
    let mut sampler = Sampler::new(black_box(Sampling { temperature: 0.7, top_k: 40, top_p: 0.9 }), 1)?;
    let mut session = model.session(state.memory());
    let mut token = sampler.sample(session.prefill(prompt.get(..length).unwrap_or(&[]))?);
    while session.remaining() > 0 {
        black_box(tokenizer.piece(token, token));
        token = sampler.sample(session.decode(token)?);
    }
    Ok(token)
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STATE: story::State = story::State::new();
    let words = IMAGE.words();
    let sound = tell(STATE, black_box(words));
    let cut = tell(STATE, black_box(words.split_at(1000).0));
    let refused = matches!(cut, Err(Error::Length { expected, found: 4000 }) if expected == 4 * words.len() as u32);
    semihosting::process::exit(i32::from(sound.is_err()) + 2 * i32::from(!refused))
}
