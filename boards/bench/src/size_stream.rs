//! The minimal classifier of a stream, without audio, for `cargo xtask bench size`.
#![no_std]
#![no_main]

use semihosting as _;

#[path = "../minimal.rs"]
#[allow(dead_code)]
mod minimal;

include!(concat!(env!("OUT_DIR"), "/stream.rs"));

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STATE: stream::State = stream::State::new();
    static mut FRAME: [f32; stream::MODEL.dims().n_features] = [0.0; stream::MODEL.dims().n_features];
    let mut session = stream::MODEL.session(STATE.memory());
    bench::measure_stack(|| minimal::stream(&mut session, FRAME))
}
