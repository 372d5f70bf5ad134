//! Random matrices, canonical and packed, and the memory of the board.
//!
//! ```text
//! THUMBFORMER_BOARD ──┬─► weights packed for its core ──► OUT_DIR/cases.rs, OUT_DIR/story.rs, …
//!                     └─► its memory, the linker's arguments
//! THUMBFORMER_PACK ───► another packing, which firmware must refuse
//! ```

#[path = "encoder.rs"]
mod encoder;

use board_manifest::{Kind, first};
use std::path::PathBuf;
use thumbformer::Packing;

/// Rows and columns of the matrices.
const SHAPES: [(usize, usize); 6] = [(64, 64), (256, 64), (64, 256), (64, 176), (128, 512), (8, 1040)];

/// Bytes of the stack: more than any program has in use on a core.
const STACK: usize = 32 * 1024;

fn main() {
    println!("cargo:rerun-if-env-changed=THUMBFORMER_PACK");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=encoder.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let board = board_build::link_as("..".as_ref(), &["link.x"], |_| STACK);
    println!("cargo:rustc-check-cfg=cfg(sequences, values(\"v6m\", \"v7m\", \"dsp\"))");
    let sequences = match std::env::var("TARGET").unwrap_or_default().as_str() {
        "thumbv6m-none-eabi" => "v6m",
        "thumbv7m-none-eabi" => "v7m",
        _ => "dsp",
    };
    println!("cargo:rustc-cfg=sequences=\"{sequences}\"");

    let name = std::env::var("THUMBFORMER_PACK").unwrap_or(board.pack);
    let packing = Packing::ALL.into_iter().find(|packing| packing.name() == name).expect("THUMBFORMER_PACK: a packing");
    let models = std::path::absolute("../../models").expect("a folder");
    for (module, kind, limits) in
        [("story", Kind::Language, ", max_seq = 256"), ("stream", Kind::Stream, ""), ("clip", Kind::Clip, "")]
    {
        let image = first(kind, &models).expect("a default model of each kind").packed(&name);
        let source = format!("thumbformer::model!(mod {module} = {image:?}{limits});\n");
        std::fs::write(out.join(module).with_extension("rs"), source).expect("OUT_DIR is writable");
    }

    let image = out.join("encoder.tbf");
    std::fs::write(&image, thumbformer::image::bytes(&encoder::image(packing))).expect("OUT_DIR is writable");
    let model = format!("thumbformer::model!(mod encoder = {:?});\n", image);
    std::fs::write(out.join("encoder.rs"), model).expect("OUT_DIR is writable");

    let mut code = format!(
        "/// How the weights are packed.\nconst PACKING: thumbformer::Packing = thumbformer::Packing::{packing:?};\n"
    );
    code.push_str("/// The matrices.\nstatic CASES: &[firmware::Case<'static>] = &[\n");
    code += &board_build::matrices(packing, &SHAPES);
    code.push_str("];\n");
    std::fs::write(out.join("cases.rs"), code).expect("OUT_DIR is writable");
}
