//! Spoken digits, from raw samples: the recordings that the build script put in, one after the other.
//!
//! ```text
//! samples ──► LogMel::clip ──► frames ──► Session::infer ──► outputs ──► label, probability
//!             instructions                instructions       CRC-32, which is the same on every core
//! ```
#![no_std]
#![no_main]

use bench::Counter;
use semihosting as _;
use thumbformer::LogitsCrc;
use thumbformer::audio::{LogMel, LogMelConfig, MelBank};
use thumbformer::softmax;
use thumbformer::text::argmax;

include!(concat!(env!("OUT_DIR"), "/classify.rs"));

const MELS: usize = 20;
/// The front end that the model was trained with.
static SPEECH: MelBank<256, MELS> = thumbformer::mel_bank!(LogMelConfig::SPEECH_8K);
/// Numbers of a clip's frames.
const CLIP: usize = digits::MODEL.dims().max_seq * digits::MODEL.dims().n_features;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STATE: digits::State = digits::State::new();
    static mut FRONT_END: LogMel<'static, 256, MELS> = LogMel::new(&SPEECH);
    static mut FRAMES: [f32; CLIP] = [0.0; CLIP];
    let counter = Counter::start();
    let mut session = digits::MODEL.session(STATE.memory());
    for (name, samples) in RECORDINGS {
        let start = counter.now();
        let clip = FRONT_END.clip(samples, FRAMES);
        let middle = counter.now();
        let Ok(outputs) = clip.and_then(|_| session.infer(&FRAMES[..])) else { semihosting::process::exit(4) };
        let end = counter.now();
        let (crc32, output) = (LogitsCrc::new().update(outputs), usize::from(argmax(outputs)));
        softmax(outputs);
        let permille = (outputs.get(output).copied().unwrap_or(0.0) * 1000.0) as u32;
        semihosting::println!(
            "{{\"name\":\"{}\",\"label\":\"{}\",\"permille\":{},\"front_end\":{},\"network\":{},\"crc32\":{}}}",
            name,
            digits::MODEL.label(output).unwrap_or("?"),
            permille,
            counter.instructions(middle - start),
            counter.instructions(end - middle),
            crc32
        );
    }
    semihosting::process::exit(0)
}
