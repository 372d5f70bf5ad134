//! Random matrices, canonical and packed, and the memory of the machine.
//!
//! ```text
//! THUMBFORMER_PACK    ──► weights packed for the core ──► OUT_DIR/cases.rs, OUT_DIR/model.rs, OUT_DIR/classify.rs
//! THUMBFORMER_MACHINE ──► memory/<machine>.x          ──► OUT_DIR/memory.x
//! ```

#[path = "encoder.rs"]
mod encoder;

use std::fmt::Write;
use std::path::PathBuf;
use thumbformer::{Packing, bench};

/// Rows and columns of the matrices.
const SHAPES: [(usize, usize); 6] = [(64, 64), (256, 64), (64, 256), (64, 176), (128, 512), (8, 1040)];

fn main() {
    println!("cargo:rerun-if-env-changed=THUMBFORMER_PACK");
    println!("cargo:rerun-if-env-changed=THUMBFORMER_MACHINE");
    println!("cargo:rerun-if-changed=memory");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=encoder.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let machine = std::env::var("THUMBFORMER_MACHINE").unwrap_or("mps2".into());
    let memory = std::fs::read(format!("memory/{machine}.x")).expect("THUMBFORMER_MACHINE names a file of memory/");
    std::fs::write(out.join("memory.x"), memory).expect("OUT_DIR is writable");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-env=THUMBFORMER_MACHINE={machine}");

    let name = std::env::var("THUMBFORMER_PACK").unwrap_or("m4".into());
    let packing = Packing::ALL.into_iter().find(|packing| packing.name() == name).expect("THUMBFORMER_PACK: a packing");
    let image = std::path::absolute(format!("../../models/stories/stories-{name}.tbf")).expect("a folder");
    let model = format!("thumbformer::model!(mod story = {image:?}, max_seq = 256);\n");
    std::fs::write(out.join("model.rs"), model).expect("OUT_DIR is writable");

    std::fs::write(out.join("classify.rs"), encoders(&name)).expect("OUT_DIR is writable");

    let image = out.join("encoder.tbf");
    std::fs::write(&image, thumbformer::image::bytes(&encoder::image(packing))).expect("OUT_DIR is writable");
    let model = format!("thumbformer::model!(mod encoder = {:?});\n", image);
    std::fs::write(out.join("encoder.rs"), model).expect("OUT_DIR is writable");

    let mut state = 1_u64;
    let mut next = || {
        // Xorshift (Marsaglia 2003): the same numbers in every build.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    };
    let mut code = format!("/// How the weights are packed.\npub const PACKING: Packing = Packing::{packing:?};\n");
    code.push_str("/// The matrices.\npub static MATRICES: &[Matrix] = &[\n");
    for (rows, cols) in SHAPES {
        let integers: Vec<i8> = (0..rows * cols).map(|_| (next() % 255) as i8).map(|i| i.max(-127)).collect();
        let multipliers: Vec<i16> = (0..rows).map(|_| (next() % 32_768) as i16).collect();
        let packed = bench::pack_q8(packing, rows, cols, &integers);
        let int4: Vec<i8> = (0..rows * cols).map(|_| (next() % 15) as i8 - 7).collect();
        let groups = thumbformer::image::Int4::groups(cols);
        let group_scales: Vec<u8> = (0..rows * groups).map(|_| (next() % 256) as u8).collect();
        let int4_packed = bench::pack_q4(packing, rows, cols, &int4, &group_scales);
        writeln!(
            code,
            "    Matrix {{ rows: {rows}, cols: {cols}, integers: &{integers:?}, packed: &{packed:?}, multipliers: &{multipliers:?}, \
             int4: &{int4:?}, group_scales: &{group_scales:?}, int4_packed: &{int4_packed:?} }},"
        )
        .expect("a string grows");
    }
    code.push_str("];\n");
    std::fs::write(out.join("cases.rs"), code).expect("OUT_DIR is writable");
}

/// The default encoders, and the recordings that they are to hear.
fn encoders(pack: &str) -> String {
    let mut code = String::new();
    let models = std::path::absolute("../../models").expect("a folder");
    let digits = models.join("digits");
    writeln!(code, "thumbformer::model!(mod digits = {:?});", digits.join(format!("digits-{pack}.tbf")))
        .expect("grows");
    code.push_str("/// Names and samples.\nstatic RECORDINGS: &[(&str, &[i16])] = &[\n");
    for (name, file) in fixtures(&digits) {
        let samples = hound::WavReader::open(&file).expect("a WAV file").into_samples::<i16>();
        let samples: Vec<i16> = samples.map(|sample| sample.expect("16 bits")).collect();
        writeln!(code, "    ({name:?}, &{samples:?}),").expect("a string grows");
    }
    let motion = models.join("motion");
    let image = motion.join(format!("motion-{pack}.tbf"));
    // Frames come one by one.
    writeln!(code, "];\nthumbformer::model!(mod motion = {image:?}, batch = 1, ram <= 8 * 1024);").expect("grows");
    code.push_str("/// Names and frames.\nstatic MOTIONS: &[(&str, &[f32])] = &[\n");
    for (name, file) in fixtures(&motion) {
        let text = std::fs::read_to_string(&file).expect("a CSV file");
        let rows = text.lines().skip(1).flat_map(|line| line.split(','));
        let numbers: Vec<f32> = rows.map(|number| number.parse().expect("a number")).collect();
        writeln!(code, "    ({name:?}, &{numbers:?}),").expect("a string grows");
    }
    code.push_str("];\n");
    code
}

/// A model's recordings, with their names.
fn fixtures(model: &std::path::Path) -> Vec<(String, PathBuf)> {
    let folder = model.join("fixtures");
    println!("cargo:rerun-if-changed={}", folder.display());
    let files = std::fs::read_dir(folder).expect("the fixtures").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<(String, PathBuf)> =
        files.map(|file| (file.file_stem().expect("a name").to_string_lossy().into_owned(), file)).collect();
    files.sort();
    files
}
