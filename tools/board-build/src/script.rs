//! A board's build script: `fn main() { board_build::build_script() }`.
//!
//! ```text
//! manifest                ──► OUT_DIR/PROGRAM/memory.x, the linker's arguments, BOARD_BACKEND, BOARD_CLOCK_HZ
//! models that fit         ──► OUT_DIR/generate.rs, classify.rs, bench.rs, verify.rs: what boards/apps/*.rs include
//! THUMBFORMER_MODEL       ──► an image instead of the default models
//! THUMBFORMER_RECORDINGS  ──► its recordings, a folder
//! THUMBFORMER_RAM         ──► bytes, for a sibling of the chip with less
//! ```

use crate::float::{self, Float};
use crate::linker::{self, Linked};
use crate::test_model::TestModel;
use anyhow::{Context, Result, ensure};
use board_manifest::{Application, Board, FLOAT_STACK, Fit, Image, Kind, Room, first, fit, free, models, stack, watch};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use thumbformer::{Packing, bench};

/// Writes what the programs of the board in the current folder include; a failure ends the build with what to do.
pub fn build_script() {
    linker::or_end(write());
}

fn write() -> Result<()> {
    println!("cargo:rerun-if-env-changed=THUMBFORMER_MODEL");
    println!("cargo:rerun-if-env-changed=THUMBFORMER_RECORDINGS");
    println!("cargo:rerun-if-env-changed=THUMBFORMER_RAM");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("no OUT_DIR: to be run by cargo")?);
    let folder = std::env::current_dir()?;
    let mut board =
        Board::read(&folder)?.context("Cargo.toml: no table [package.metadata.board]: see boards/README.md")?;
    if let Ok(ram) = std::env::var("THUMBFORMER_RAM") {
        board.ram.length = ram.parse().with_context(|| format!("THUMBFORMER_RAM={ram}: expected bytes"))?;
    }
    linker::is_for(&board)?;
    let all = std::path::absolute(folder.join("../../models"))?;
    let mut stacks = Vec::new();
    for &application in &board.applications {
        let planned = stack(&board, application);
        let source = match application {
            Application::Generate => generate(&board, &all).map(|text| (text, planned)),
            _ => test_models(&board, application, &all),
        };
        // A model need not fit all programs: the compiler says why of the one that is wanted.
        let (text, stack) = match std::env::var_os("THUMBFORMER_MODEL") {
            Some(_) => {
                source.unwrap_or_else(|error| (format!("compile_error!({:?});\n", format!("{error:#}")), planned))
            }
            None => source?,
        };
        std::fs::write(out.join(application.name()).with_extension("rs"), text)?;
        stacks.push((Linked::Program(application.name()), stack));
    }
    // Those of one board, small programs all of them.
    if folder.join("examples").is_dir() {
        stacks.push((Linked::Examples, stack(&board, Application::Generate)));
    }
    linker::arguments(&board, &["link.x", "defmt.x"], &stacks)
}

/// The image that the user wants in place of the default ones.
fn wanted(board: &Board, application: Application) -> Result<Option<(Image, Fit)>> {
    let Some(file) = std::env::var_os("THUMBFORMER_MODEL") else { return Ok(None) };
    let file = PathBuf::from(file);
    watch(&file);
    let recordings = std::env::var_os("THUMBFORMER_RECORDINGS").map(PathBuf::from);
    let image = Image::read(&file)?.with_recordings(recordings.as_deref());
    let fit = fit(board, application, &image)?;
    Ok(Some((image.named("model"), fit)))
}

/// The module of the language model.
fn generate(board: &Board, all: &Path) -> Result<String> {
    let (image, Fit { max_seq, .. }) = match wanted(board, Application::Generate)? {
        Some(wanted) => wanted,
        None => {
            let image = first(Kind::Language, all)?.image_for(&board.pack)?;
            let fit = fit(board, Application::Generate, &image)?;
            (image, fit)
        }
    };
    let place = place(board);
    Ok(format!("thumbformer::model!({place}mod language = {:?}, max_seq = {max_seq});\n", image.file))
}

/// Place of images: where the compiler puts constants, or in RAM.
fn place(board: &Board) -> &'static str {
    if board.weights_in_ram() { "#[unsafe(link_section = \".data.weights\")] " } else { "" }
}

/// Models with their inputs, and what the programs need beside; the bytes of the program's stack.
fn test_models(board: &Board, application: Application, all: &Path) -> Result<(String, usize)> {
    let wanted = wanted(board, application)?;
    let is_wanted = wanted.is_some();
    let images = match wanted {
        Some(wanted) => vec![wanted],
        None => models(board, application, all)?,
    };
    let float = match application {
        Application::Verify => Float::beside(board, &images, all)?,
        _ => None,
    };
    let stack = if float.is_some() { FLOAT_STACK } else { stack(board, application) };
    let share =
        free(board, application, &images).saturating_sub(float.as_ref().map_or(0, Float::flash)) / images.len().max(1);
    let most = match application {
        Application::Classify => usize::MAX,
        Application::Verify if is_wanted => usize::MAX,
        // An inference between two of the float network's: its weights on the heap must outlive it.
        Application::Verify if float.is_some() => 2,
        _ => 1,
    };
    let words = images.iter().map(|(_, fit)| fit.state / 4).max().unwrap_or(0);
    let test_models: Vec<TestModel> =
        images.into_iter().map(|(image, fit)| TestModel::new(image, fit, share, most)).collect::<Result<_>>()?;

    let mut code = String::from("use firmware::{Input, Signal, TestModel};\n\n#[allow(dead_code)]\nmod models {\n");
    let sources = test_models.iter().map(|test_model| test_model.source(place(board))).collect::<Result<Vec<_>>>()?;
    let (modules, entries): (Vec<String>, Vec<String>) = sources.into_iter().unzip();
    code += &modules.concat();
    code += "}\n\n/// The models, with inputs.\n#[allow(clippy::approx_constant)]\nstatic MODELS: &[TestModel<'static>] = &[\n";
    code += &entries.concat();
    writeln!(code, "];\n\n/// Words of the largest state.\nconst WORDS: usize = {words};")?;
    code += &input_buffers(&test_models, application)?;
    if application == Application::Bench {
        code += &cases(board)?;
    }
    if application == Application::Verify {
        code += &float.map_or_else(float::without, |float| float.source());
    }
    Ok((code, stack))
}

/// Room for the models' inputs, and the front end where one hears.
fn input_buffers(test_models: &[TestModel], application: Application) -> Result<String> {
    let (mut first, mut code): (Option<(String, Vec<u32>)>, String) = (None, String::new());
    let (mut numbers, mut samples) = (0, 0);
    for image in test_models.iter().map(|test_model| &test_model.image) {
        let model = image.model()?;
        let room = Room::of(&model, application);
        (numbers, samples) = (numbers.max(room.numbers), samples.max(room.samples));
        let Some(words) = model.image().front_end_words() else { continue };
        let (name, found) = first.get_or_insert_with(|| (image.name.clone(), words.to_vec()));
        ensure!(
            found == words,
            "{} and {name} have different audio front ends, and a program has one: give one of them by `--model`",
            image.name
        );
        let rows = model.dims().n_features / model.n_columns().max(1);
        ensure!(
            model.frame_hop() == rows,
            "{}: the board does not compute frames of sound that overlap: train with frame_hop = frame_samples",
            image.file.display()
        );
        if model.clip_frames().is_none() {
            code += &needs("SOUND_STREAMS", "sound-streams", image);
        }
    }
    if let Some(whole) = test_models.first().filter(|_| samples > 0) {
        code += &needs("WHOLE_CLIPS", "whole-clips", &whole.image);
    }
    let (memory, ears) = match first {
        None => ("thumbformer::audio::Buffers<0, 0>".into(), "let _ = buffers;\n    None".into()),
        Some((name, _)) => (
            format!("models::{name}::AudioBuffers"),
            format!(
                "let front_end = const {{ models::{name}::MODEL.front_end() }}?;\n    \
                 front_end.extractor(buffers.memory()).ok()"
            ),
        ),
    };
    Ok(code
        + &format!(
            "/// Numbers of the frames of an input.\nconst NUMBERS: usize = {numbers};\n\
             /// Samples of a clip that arrives, where its frames need all of it.\n#[allow(dead_code)]\nconst SAMPLES: usize = {samples};\n\
             type AudioBuffers = {memory};\n\n/// The front end, where a model hears.\n\
             fn ears(buffers: &'static mut AudioBuffers) -> Option<thumbformer::audio::Extractor<'static, 'static>> {{\n    \
             {ears}\n}}\n"
        ))
}

/// A check at compile time that the program has what an image needs.
fn needs(constant: &str, feature: &str, image: &Image) -> String {
    let said =
        format!("{}: build with `--features firmware/{feature}`, as `cargo xtask` does for it", image.file.display());
    format!("const _: () = assert!(firmware::{constant}, {said:?});\n")
}

/// Rows and columns of the matrices that boards measure.
const SHAPES: [(usize, usize); 2] = [(64, 64), (64, 256)];

fn cases(board: &Board) -> Result<String> {
    let packing = Packing::ALL.into_iter().find(|packing| packing.name() == board.pack);
    let packing = packing.with_context(|| format!("{}: no packing {:?}", board.name, board.pack))?;
    let mut code = format!(
        "\n/// How the weights are packed.\nconst PACKING: thumbformer::Packing = thumbformer::Packing::{packing:?};\n"
    );
    code += "/// Random matrices.\nstatic CASES: &[firmware::Case<'static>] = &[\n";
    code += &matrices(packing, &SHAPES);
    code += "];\n";
    Ok(code)
}

/// Random matrices, canonical and packed, as entries of a slice of `firmware::Case`.
pub fn matrices(packing: Packing, shapes: &[(usize, usize)]) -> String {
    let mut random = Random(1);
    let mut code = String::new();
    for &(rows, cols) in shapes {
        let integers: Vec<i8> = (0..rows * cols).map(|_| (random.next() % 255) as i8).map(|i| i.max(-127)).collect();
        let multipliers: Vec<i16> = (0..rows).map(|_| (random.next() % 32_768) as i16).collect();
        let packed = bench::pack_q8(packing, rows, cols, &integers);
        let int4: Vec<i8> = (0..rows * cols).map(|_| (random.next() % 15) as i8 - 7).collect();
        let groups = thumbformer::image::Int4::groups(cols);
        let group_scales: Vec<u8> = (0..rows * groups).map(|_| (random.next() % 256) as u8).collect();
        let int4_packed = bench::pack_q4(packing, rows, cols, &int4, &group_scales);
        let _ = writeln!(
            code,
            "    firmware::Case {{ rows: {rows}, cols: {cols}, integers: &{integers:?}, packed: &{packed:?}, \
             multipliers: &{multipliers:?}, int4: &{int4:?}, group_scales: &{group_scales:?}, int4_packed: &{int4_packed:?} }},"
        );
    }
    code
}

/// Xorshift (Marsaglia 2003): the same numbers in every build.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }
}
