//! The default language model's token at one position, for `cargo xtask cycles`: marks tell the plugin of QEMU what was executed
//! for which part of the model.
//!
//! ```text
//! start ─► decode ─► token                                               the token as it is
//! start ─► decode, observed ─► embedding ─► norm ─► qkv ─► … ─► head     again, each mark behind what it names
//! ```
#![no_std]
#![no_main]

use semihosting as _;
use thumbformer::cycles::CycleCounter;
use thumbformer::observe::{Observer, Point, Vector};

include!(concat!(env!("OUT_DIR"), "/story.rs"));

/// Functions that do nothing, each at an address of its own: the plugin is told these addresses.
mod mark {
    /// Makes a mark for each name. What they do differs, or the compiler would make one function of them.
    macro_rules! marks {
        ($($name:ident = $number:literal),*) => {
            $(#[inline(never)] pub fn $name() { core::hint::black_box($number); })*
        };
    }
    marks!(
        start = 0,
        token = 1,
        embedding = 2,
        norm = 3,
        qkv = 4,
        attention = 5,
        projection = 6,
        mlp = 7,
        head = 8,
        empty = 9
    );
}

struct Marks;

impl Observer for Marks {
    #[inline(always)]
    fn vector(&mut self, point: Point, _layer: usize, _vector: &Vector<'_>) {
        match point {
            Point::Embedding | Point::EmbeddingNorm => mark::embedding(),
            Point::AttentionNorm | Point::MlpNorm | Point::FinalNorm => mark::norm(),
            Point::Query | Point::Key | Point::Value => mark::qkv(),
            Point::Context => mark::attention(),
            Point::AttentionOutput => mark::projection(),
            Point::Gate | Point::Up | Point::Hidden | Point::MlpOutput | Point::Output => mark::mlp(),
            _ => mark::head(),
        }
    }
}

/// The position that the command line names.
fn position() -> Option<usize> {
    let arguments = semihosting::experimental::env::args::<64>().ok()?;
    (&arguments).nth(1)?.ok()?.parse().ok()
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STATE: story::State = story::State::new();
    let mut counter = bench::counter();
    let Some(position) = position() else { semihosting::process::exit(3) };
    let vocab = story::MODEL.dims().vocab;
    let token = |position: usize| (7 * position % vocab) as u16;
    let mut session = story::MODEL.session(STATE.memory());
    for before in 0..position {
        if session.decode(token(before)).is_err() {
            semihosting::process::exit(4);
        }
    }
    let before = counter.now();
    mark::start();
    let result = session.decode(token(position)).is_ok();
    mark::token();
    let whole = counter.now();
    // What the marks and the reading of the counter take by themselves.
    mark::start();
    mark::empty();
    let nothing = counter.now();
    session.reset();
    for before in 0..position {
        _ = session.decode(token(before));
    }
    mark::start();
    let observed = session.observe(Marks).decode(token(position)).is_ok();
    mark::head();
    mark::start();
    if !(result && observed) {
        semihosting::process::exit(4);
    }
    semihosting::println!("{}", counter.units((whole - before) - (nothing - whole)));
    semihosting::process::exit(0)
}
