//! A story by the board's language model, token by token.
#![no_std]
#![no_main]

use board::ThisBoard;
use firmware::Board;

// The model that the build script chose: `mod language`.
include!(concat!(env!("OUT_DIR"), "/generate.rs"));

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STATE: language::State = language::State::new();
    firmware::generate(ThisBoard::take(), &language::MODEL, STATE.memory())
}
