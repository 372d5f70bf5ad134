//! The default language model, token by token: instructions at a few positions, whole and split by part.
//!
//! ```text
//! token ──► Session::decode ──────────► instructions, whole
//!       └─► session.observe ─► Profile ──► by part
//! ```
#![no_std]
#![no_main]

use semihosting as _;
use thumbformer::cycles::{CycleCounter, Part, Profile};
use thumbformer::text::{Sampler, Sampling};

include!(concat!(env!("OUT_DIR"), "/story.rs"));

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STATE: story::State = story::State::new();
    let mut counter = bench::counter();
    let mut session = story::MODEL.session(STATE.memory());
    let sampling = Sampling { temperature: 0.7, top_k: 0, top_p: 0.9 };
    let Ok(mut sampler) = Sampler::new(sampling, 1) else { semihosting::process::exit(3) };
    let vocab = story::MODEL.dims().vocab;
    for position in 0..256_usize {
        let token = (7 * position % vocab) as u16;
        let start = counter.now();
        if session.decode(token).is_err() {
            semihosting::process::exit(4);
        }
        let total = counter.since(start);
        if ![0, 64, 255].contains(&position) {
            continue;
        }
        // The same token once more, with somebody looking on: the sequence up to here is fed again.
        session.reset();
        let mut profile = Profile::new(&mut counter);
        for position in 0..=position {
            let token = (7 * position % vocab) as u16;
            profile.start();
            if session.observe(&mut profile).decode(token).is_err() {
                semihosting::process::exit(4);
            }
        }
        let sum = |parts: &[Part]| parts.iter().map(|&part| profile.units(part)).sum::<u64>();
        let embedding = sum(&[Part::Embed]);
        let matrix = sum(&[Part::Qkv, Part::Projection, Part::Mlp, Part::Head]);
        let (attention, norms) = (sum(&[Part::Attention]), sum(&[Part::Norm, Part::Activation]));
        session.reset();
        for position in 0..position {
            let _ = session.decode((7 * position % vocab) as u16);
        }
        let Ok(logits) = session.decode(token) else { semihosting::process::exit(4) };
        let start = counter.now();
        sampler.sample(logits);
        let sampling = counter.since(start);
        semihosting::println!(
            "{{\"position\":{position},\"instructions\":{total},\"embedding\":{embedding},\"matrix\":{matrix},\
             \"attention\":{attention},\"norms_activations\":{norms},\"sampling\":{sampling}}}"
        );
    }
    semihosting::process::exit(0)
}
