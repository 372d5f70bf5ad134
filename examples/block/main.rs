//! One transformer block on the host; `boards/qemu-mps2-an386/examples/block.rs` runs the same file on a Cortex-M4.

mod block;

fn main() -> Result<(), thumbformer::Error> {
    let mut x = block::X;
    block::run(&mut x)?;
    for (before, after) in block::X.chunks(4).zip(x.chunks(4)) {
        println!("{before:6.3?} becomes {after:6.3?}");
    }
    println!("crc32 {:08x}", thumbformer::LogitsCrc::new().update(&x));
    Ok(())
}
