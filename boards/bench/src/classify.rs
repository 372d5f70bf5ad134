//! The default encoders: spoken digits from raw samples, then exercises from a watch's sensors, frame by frame. The build script put
//! the recordings in.
//!
//! ```text
//! samples ──► LogMel::clip ──► frames ──► Session::infer ──► outputs ──► label, probability
//!             instructions                instructions       CRC-32, which is the same on every core
//! sensors ───────────────────► frames ──► Session::push, one by one ──► outputs ──► label, probability
//!                                   └───► Session::infer, all ────────► the same bits, or exit code 5
//! ```
#![no_std]
#![no_main]

use bench::Counter;
use semihosting as _;
use thumbformer::audio::{LogMel, LogMelConfig, MelBank};
use thumbformer::text::argmax;
use thumbformer::{LogitsCrc, Model, softmax};

include!(concat!(env!("OUT_DIR"), "/classify.rs"));

const MELS: usize = 20;
/// The front end that the model was trained with.
static SPEECH: MelBank<256, MELS> = thumbformer::mel_bank!(LogMelConfig::SPEECH_8K);
/// Numbers of a clip's frames.
const CLIP: usize = digits::MODEL.dims().max_seq * digits::MODEL.dims().n_features;

/// What a recording took, in instructions.
#[derive(Default)]
struct Cost {
    front_end: u32,
    network: u32,
    /// Answers that the network's instructions are for.
    answers: u32,
    /// All answers at once, where there are several.
    whole: u32,
}

/// Prints a line of JSON.
fn tell(name: &str, model: &Model<'_>, outputs: &mut [f32], cost: &Cost) {
    let (crc32, output) = (LogitsCrc::new().update(outputs), usize::from(argmax(outputs)));
    softmax(outputs);
    let permille = (outputs.get(output).copied().unwrap_or(0.0) * 1000.0) as u32;
    let label = model.label(output).unwrap_or("?");
    let Cost { front_end, network, answers, whole } = cost;
    semihosting::println!(
        "{{\"name\":\"{name}\",\"label\":\"{label}\",\"permille\":{permille},\"front_end\":{front_end},\"network\":{network},\
         \"answers\":{answers},\"whole\":{whole},\"crc32\":{crc32}}}"
    );
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut DIGITS: digits::State = digits::State::new();
    static mut MOTION: motion::State = motion::State::new();
    static mut FRONT_END: LogMel<'static, 256, MELS> = LogMel::new(&SPEECH);
    static mut FRAMES: [f32; CLIP] = [0.0; CLIP];
    let counter = Counter::start();

    let mut session = digits::MODEL.session(DIGITS.memory());
    for (name, samples) in RECORDINGS {
        let start = counter.now();
        let clip = FRONT_END.clip(samples, FRAMES);
        let middle = counter.now();
        let Ok(outputs) = clip.and_then(|_| session.infer(&FRAMES[..])) else { semihosting::process::exit(4) };
        let end = counter.now();
        let (front_end, network) = (counter.instructions(middle - start), counter.instructions(end - middle));
        tell(name, &digits::MODEL, outputs, &Cost { front_end, network, answers: 1, whole: 0 });
    }

    let mut session = motion::MODEL.session(MOTION.memory());
    for (name, frames) in MOTIONS {
        let mut cost = Cost::default();
        session.reset();
        let mut streamed = 0;
        for frame in frames.chunks_exact(motion::MODEL.dims().n_features) {
            let start = counter.now();
            let Ok(outputs) = session.push(frame) else { semihosting::process::exit(4) };
            cost.network += counter.instructions(counter.now() - start);
            cost.answers += 1;
            streamed = LogitsCrc::new().update(outputs);
        }
        let start = counter.now();
        let Ok(outputs) = session.infer(*frames) else { semihosting::process::exit(4) };
        cost.whole = counter.instructions(counter.now() - start);
        if LogitsCrc::new().update(outputs) != streamed {
            semihosting::process::exit(5);
        }
        tell(name, &motion::MODEL, outputs, &cost);
    }
    semihosting::process::exit(0)
}
