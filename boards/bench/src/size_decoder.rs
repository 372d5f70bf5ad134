//! The minimal decoder: greedy, without a tokenizer, for `cargo xtask bench size`.
#![no_std]
#![no_main]

use semihosting as _;

#[path = "../minimal.rs"]
#[allow(dead_code)]
mod minimal;

include!(concat!(env!("OUT_DIR"), "/story.rs"));

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STATE: story::State = story::State::new();
    let mut session = story::MODEL.session(STATE.memory());
    bench::measure_stack(|| minimal::decoder(&mut session))
}
