//! The board's memory, a recording, and what the host makes of it.
//!
//! ```text
//! THUMBFORMER_BOARD ──┬─► its memory, the linker's arguments
//!                     ├─► image of its packing ──┬─► host ──► CRC-32 of all answers, the last one's name ──► OUT_DIR/stream.rs
//!                     │                          └─► one bit of it changed
//!                     └─► tests/golden/ends ─► image of its packing ─► host ─► CRC-32 ──► OUT_DIR/ends.rs
//! ```

use board_manifest::{Image, Kind, Signal, first};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use thumbformer::image::ImageWriter;
use thumbformer::state::HostState;
use thumbformer::text::argmax;
use thumbformer::{LogitsCrc, Model, Packing, Pooling};
use thumbformer_checkpoint::Checkpoint;

/// Bytes of the stack: inference of two models, one of them in a handler, and the words of the networks between ends. A board that has no
/// room for them all gets a quarter of its RAM.
const STACK: usize = 16 * 1024;

fn main() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let board = board_build::link_as("..".as_ref(), &["link.x", "defmt.x", "embedded-test.x"], |board| {
        STACK.min(board.ram.length / 4)
    });
    // What `embedded-test` asks of its users.
    println!("cargo:rustc-check-cfg=cfg(rust_analyzer)");
    println!("cargo:rustc-check-cfg=cfg(baseline)");
    let target = std::env::var("TARGET").expect("cargo sets TARGET");
    if target.starts_with("thumbv6m") || target.starts_with("thumbv8m.base") {
        println!("cargo:rustc-cfg=baseline");
    }
    // As in boards/firmware, whose `fault.rs` is a part of this program too.
    println!("cargo:rustc-check-cfg=cfg(armv8m)");
    if target.starts_with("thumbv8m") {
        println!("cargo:rustc-cfg=armv8m");
    }
    println!("cargo:rustc-check-cfg=cfg(fpu)");
    if target.ends_with("hf") {
        println!("cargo:rustc-cfg=fpu");
    }
    println!("cargo:rerun-if-changed=build.rs");

    let models = std::path::absolute("../../models").expect("a folder");
    let image = first(Kind::Stream, &models).and_then(|model| model.image_for(&board.pack)).expect("a default stream");
    println!("cargo:rerun-if-changed={}", image.file.display());
    std::fs::write(out.join("stream.rs"), stream(&image)).expect("OUT_DIR is writable");
    std::fs::write(out.join("ends.rs"), ends(&out, image.model().expect("a model").image().packing()))
        .expect("OUT_DIR is writable");
}

/// Networks between all kinds of ends, and what the host computes of frames, as source.
fn ends(out: &Path, packing: Packing) -> String {
    let folder = std::path::absolute("../../tests/golden/ends").expect("a folder");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    cases.sort();
    let (mut code, mut table) = (String::new(), String::new());
    for case in cases {
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        let checkpoint = Checkpoint::load(&case.join("checkpoint"), None).expect("a checkpoint");
        let mut writer = ImageWriter::new(checkpoint.config.dims(), packing);
        for (tensor, layer, weights) in checkpoint.tensors.iter() {
            let (rows, cols) = checkpoint.config.dims().shape(tensor, layer);
            writer.add(tensor, layer, rows, cols, &weights.data).expect("a tensor");
        }
        let words = writer.finish().expect("an image");
        let file = out.join(format!("{name}.tbf"));
        std::fs::write(&file, thumbformer::image::bytes(&words)).expect("OUT_DIR is writable");
        let model = Model::parse(&words).expect("a model");
        let count = model.clip_frames().expect("a clip") * model.dims().n_features;
        let frames: Vec<f32> = (0..count).map(|index| (index * 37 % 101) as f32 / 50.0 - 1.0).collect();
        writeln!(code, "thumbformer::model!(mod {name} = {file:?}, batch = 1);").expect("a string grows");
        for (inputs, frames) in [("", frames.clone()), (" of subnormals", odd(&frames))] {
            let mut state = HostState::with_batch(model.dims(), model.dims().max_seq, 1);
            let mut session = model.session(state.memory());
            let mut crc = LogitsCrc::new();
            if model.dims().options.pooling == Pooling::None {
                session.infer_each(&frames[..], None, |_, outputs| _ = crc.update(outputs)).expect("frames");
            } else {
                crc.update(session.infer(&frames[..]).expect("frames"));
            }
            let crc32 = crc.total();
            writeln!(
                table,
                "    End {{ name: \"{name}{inputs}\", model: &{name}::MODEL, frames: &{frames:?}, crc32: {crc32:#010x} }},"
            )
            .expect("a string grows");
        }
    }
    code + "/// All of them.\nstatic ENDS: &[End] = &[\n" + &table + "];\n"
}

/// Frames with subnormal numbers in them, of which an FPU that flushes to zero makes zeros.
fn odd(frames: &[f32]) -> Vec<f32> {
    frames.iter().enumerate().map(|(index, value)| if index % 3 == 0 { value * 1e-38 } else { *value }).collect()
}

/// The model and what the tests compare with, as source.
fn stream(image: &Image) -> String {
    let model = image.model().expect("a sound image");
    let recordings = board_manifest::signals(image, &model).expect("recordings");
    let Some((_, Signal::Frames(frames))) = recordings.into_iter().next() else {
        panic!("{}: no recording of frames", image.file.display())
    };
    let (crc32, label) = on_host(&model, &frames);
    // A frame of subnormals alone, then others.
    let odd =
        odd(&[&frames[..model.dims().n_features].iter().map(|value| value * 1e-38).collect::<Vec<_>>(), &frames[..]]
            .concat());
    let (odd_crc32, _) = on_host(&model, &odd);
    let mut words = image.words().to_vec();
    let damaged = words.len() / 2;
    words[damaged] ^= 1 << 9;

    let file = &image.file;
    let mut code = format!("thumbformer::model!(mod stream = {file:?}, batch = 1, ram <= 8 * 1024);\n");
    writeln!(code, "/// `[seq, n_features]`.\nstatic FRAMES: &[f32] = &{frames:?};").expect("a string grows");
    writeln!(code, "/// Frames with subnormal numbers.\n#[cfg(fpu)]\nstatic ODD: &[f32] = &{odd:?};")
        .expect("a string grows");
    writeln!(code, "/// Of the answers to them.\n#[cfg(fpu)]\nconst ODD_CRC32: u32 = {odd_crc32:#010x};")
        .expect("grows");
    writeln!(code, "/// Of the answers to all frames, as the host computed it.\nconst CRC32: u32 = {crc32:#010x};")
        .expect("grows");
    writeln!(code, "/// The last answer.\nconst LABEL: &str = {label:?};").expect("a string grows");
    writeln!(code, "/// The image with one bit changed.\nstatic DAMAGED: &[u32] = &{words:?};")
        .expect("a string grows");
    code
}

fn on_host(model: &Model<'_>, frames: &[f32]) -> (u32, String) {
    let mut state = HostState::with_batch(model.dims(), model.dims().max_seq, 1);
    let mut session = model.session(state.memory());
    let (mut crc, mut label) = (LogitsCrc::new(), None);
    for frame in frames.chunks_exact(model.dims().n_features) {
        let outputs = session.push(frame).expect("a frame");
        crc.update(outputs);
        label = model.label(usize::from(argmax(outputs)));
    }
    (crc.total(), label.expect("a name").into())
}
