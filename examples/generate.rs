//! Text generated on the host: `cargo run --release --features std --example generate -- MODEL.tbf "Once upon a time" 64 1`.
//!
//! ```text
//! prompt ──► tokenizer ──► prefill ──► decode ──► logits ──► sampler ──► token ──► piece of text
//!                                        ▲                                 │
//!                                        └─────────────────────────────────┘
//! ```

use std::error::Error;
use std::io::{Write, stdout};
use thumbformer::state::HostState;
use thumbformer::text::{Sampler, Sampling};
use thumbformer::{LogitsCrc, Model};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [image, prompt, steps, seed] = &arguments[..] else {
        return Err("expected MODEL.tbf PROMPT STEPS SEED".into());
    };
    let bytes = std::fs::read(image)?;
    let words: Vec<u32> =
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
    let model = Model::parse(&words)?;
    let tokenizer = model.tokenizer().ok_or("the image has no tokenizer: it is no language model")?;

    let prompt_tokens = tokenizer.encode_long(prompt)?;
    let (&last, before) = prompt_tokens.split_last().ok_or("the prompt has no token")?;

    let mut state = HostState::new(model.dims(), model.dims().max_seq);
    let mut session = model.session(state.memory());
    if !before.is_empty() {
        session.prefill(before)?;
    }
    let mut sampler = Sampler::new(Sampling { temperature: 0.7, top_k: 0, top_p: 0.9 }, seed.parse()?)?;
    let mut crc = LogitsCrc::new();
    let mut previous = last;
    for _ in 0..steps.parse::<usize>()? {
        let logits = session.decode(previous)?;
        crc.update(logits);
        let token = sampler.sample(logits);
        stdout().write_all(tokenizer.piece(previous, token))?;
        previous = token;
    }
    println!("\nlogits: crc32 {:08x}, {} steps, backend {}", crc.total(), crc.steps(), thumbformer::BACKEND);
    Ok(())
}
