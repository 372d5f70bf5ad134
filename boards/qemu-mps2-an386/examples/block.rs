//! One transformer block with weights in the source: the host runs the same file (`cargo run --example block`).
#![no_std]
#![no_main]

use {defmt_semihosting as _, panic_probe as _};

#[path = "../../../examples/block/block.rs"]
mod block;

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut x = block::X;
    let result = block::run(&mut x);
    semihosting::println!("crc32 {:08x}", thumbformer::LogitsCrc::new().update(&x));
    semihosting::process::exit(i32::from(result.is_err()))
}
