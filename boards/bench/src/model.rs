//! The default language model, token by token: instructions at a few positions, whole and split by part.
//!
//! ```text
//! token ──► Session::decode ─────────────► instructions, whole
//!       └─► Session::decode_observed ────► instructions between the points that an observer sees ──► by part
//! ```
#![no_std]
#![no_main]

use bench::Counter;
use semihosting as _;
use thumbformer::observe::{AttentionRow, Observer, Point, Vector};
use thumbformer::text::{Sampler, Sampling};

include!(concat!(env!("OUT_DIR"), "/model.rs"));

/// Sums ticks by part: what an observer is told is the end of something.
struct Split<'c> {
    counter: &'c Counter,
    last: u64,
    /// Embedding, matrices, attention, norms and activations.
    ticks: [u64; 4],
}

impl Observer for Split<'_> {
    fn vector(&mut self, point: Point, _layer: usize, _vector: &Vector<'_>) {
        let now = self.counter.now();
        let part = match point {
            Point::Embedding => 0,
            Point::Query | Point::Key | Point::Value | Point::Gate | Point::Up => 1,
            Point::AttentionOutput | Point::MlpOutput | Point::Logits => 1,
            Point::Gathered => 2,
            _ => 3,
        };
        self.ticks[part] += now - self.last;
        // What the observer itself takes is not counted.
        self.last = self.counter.now();
    }

    fn attention(&mut self, _layer: usize, _head: usize, _row: &AttentionRow<'_>) {}
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STATE: story::State = story::State::new();
    let counter = Counter::start();
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
        let total = counter.instructions(counter.now() - start);
        if ![0, 64, 255].contains(&position) {
            continue;
        }
        // The same token once more, with somebody looking on: the sequence up to here is fed again.
        session.reset();
        let mut split = Split { counter: &counter, last: 0, ticks: [0; 4] };
        for position in 0..=position {
            let token = (7 * position % vocab) as u16;
            split.ticks = [0; 4];
            split.last = counter.now();
            if session.decode_observed(token, &mut split).is_err() {
                semihosting::process::exit(4);
            }
        }
        let [embedding, matrix, attention, norms] = split.ticks.map(|ticks| counter.instructions(ticks));
        session.reset();
        for position in 0..position {
            let _ = session.decode((7 * position % vocab) as u16);
        }
        let Ok(logits) = session.decode(token) else { semihosting::process::exit(4) };
        let start = counter.now();
        sampler.sample(logits);
        let sampling = counter.instructions(counter.now() - start);
        semihosting::println!(
            "{{\"position\":{position},\"instructions\":{total},\"embedding\":{embedding},\"matrix\":{matrix},\
             \"attention\":{attention},\"norms_activations\":{norms},\"sampling\":{sampling}}}"
        );
    }
    semihosting::process::exit(0)
}
