//! Says what recordings are: stored ones, then what arrives on the console.

use crate::counter::Meter;
use crate::numbers::Numbers;
use crate::test_model::crc32;
use crate::{Board, InputBuffers, LINE, Line, Signal, TestModel, begin, code, end, report};
use core::ops::Range;
use thumbformer::audio::Extractor;
use thumbformer::cycles::CycleCounter;
use thumbformer::text::argmax;
use thumbformer::{Error, Model, probabilities};

/// The application `classify`: labels of stored recordings, with what they took and the outputs' CRC; then the first model's of the
/// numbers that arrive on the console. Where a command line says `serial=MODEL`, that model's, and nothing stored.
///
/// `words` is the memory of one model after the other.
pub fn classify<B: Board>(
    mut board: B,
    test_models: &[TestModel<'_>],
    words: &mut [u32],
    mut ears: Option<&mut Extractor<'_, '_>>,
    InputBuffers { frames, samples }: InputBuffers<'_>,
) -> ! {
    let meter = begin(&mut board, "classify");
    let mut line = [0; LINE];
    let Some(arguments) = board.arguments(&mut line) else {
        defmt::error!("the command line has more than {=usize} bytes, or is not UTF-8", LINE);
        board.exit(code::FAILED);
    };
    let wanted = arguments.split(' ').find_map(|word| word.strip_prefix("serial="));
    let result = match wanted {
        None => stored(&mut board, meter, test_models, words, ears.as_deref_mut(), frames).and_then(|right| {
            // Ends at once where nobody sends.
            test_models.first().map_or(Ok(()), |test_model| {
                listen(&mut board, test_model, words, ears.as_deref_mut(), frames, samples)
            })?;
            Ok(right)
        }),
        Some(name) => match test_models.iter().find(|test_model| test_model.name == name) {
            Some(test_model) => listen(&mut board, test_model, words, ears, frames, samples).map(|()| true),
            None => {
                defmt::error!("no model {=str} on this board: see `cargo xtask board list`", name);
                Ok(false)
            }
        },
    };
    end(board, result)
}

/// Every stored recording of every model; whether all outputs are the host's.
fn stored<B: Board>(
    board: &mut B,
    meter: Meter,
    test_models: &[TestModel<'_>],
    words: &mut [u32],
    mut ears: Option<&mut Extractor<'_, '_>>,
    frames: &mut [f32],
) -> Result<bool, Error> {
    let mut right = true;
    for test_model in test_models {
        let mut session = test_model.session(words)?;
        for input in test_model.inputs {
            let (outputs, cost) = test_model.run(&mut session, input.signal, ears.as_deref_mut(), frames, board)?;
            let found = crc32(outputs);
            right &= found == input.crc32;
            let line =
                Line::new("classify").text("board", B::NAME).text("model", test_model.name).text("name", input.name);
            let line = label(line, &test_model.model, outputs).text("unit", meter.unit());
            let mut line = cost.on(line, meter).hex("crc32", found).flag("as_host", found == input.crc32);
            if let (Signal::Frames(frames), true) = (input.signal, test_model.is_stream()) {
                // What the last answer takes anew, from all of its frames: the same bits.
                let start = board.counter().now();
                right &= crc32(session.infer(frames)?) == found;
                line = line.count("whole", meter.trusted(board.counter().since(start)));
            }
            report(board, &line.end());
        }
    }
    Ok(right)
}

/// The likeliest label of outputs, and its probability in thousandths; nothing of outputs that are numbers.
fn label(line: Line, model: &Model<'_>, outputs: &mut [f32]) -> Line {
    let output = usize::from(argmax(outputs));
    if !probabilities(outputs, model.dims().options.outputs) {
        return line;
    }
    let permille = outputs.get(output).copied().unwrap_or(0.0) * 1000.0;
    line.text("label", model.label(output).unwrap_or("?")).number("permille", permille as u64)
}

/// Takes numbers from the console: samples of a model that hears, else those of rows; of a model of clips a clip at a time, of a stream a
/// frame. Ends when nothing arrives any more.
fn listen<B: Board>(
    board: &mut B,
    test_model: &TestModel<'_>,
    words: &mut [u32],
    ears: Option<&mut Extractor<'_, '_>>,
    frames: &mut [f32],
    samples: &mut [i16],
) -> Result<(), Error> {
    let (model, width) = (&test_model.model, test_model.model.dims().n_features.max(1));
    let hears = model.image().front_end_words().is_some();
    let frames = frames.get_mut(..test_model.numbers).unwrap_or_default();
    let mut ears = ears.filter(|_| hears);
    if let Some(extractor) = &mut ears {
        extractor.reset();
    }
    let mut session = test_model.session(words)?;
    let (mut numbers, mut filled, mut arrived) = (Numbers::default(), 0, 0);
    // What the next frame keeps of this one.
    let kept = width - (model.n_columns() * model.frame_hop()).min(width);
    while let Some(byte) = board.receive() {
        let Some(number) = numbers.push(byte) else { continue };
        if let Some(extractor) = &mut ears {
            let whole = cfg!(feature = "whole-clips") && !samples.is_empty();
            if whole {
                if let Some(slot) = samples.get_mut(arrived) {
                    *slot = number as i16;
                }
            } else {
                extractor.push(&[number as i16], |row| {
                    if let Some(free) = frames.get_mut(filled..filled + row.len()) {
                        free.copy_from_slice(row);
                        filled += row.len();
                    }
                })?;
            }
            arrived += 1;
            if cfg!(feature = "sound-streams") && test_model.is_stream() {
                if filled < frames.len() {
                    continue;
                }
            } else if arrived < test_model.clip_samples {
                continue;
            } else if whole {
                extractor.clip(samples.get(..arrived).unwrap_or_default(), frames)?;
            } else {
                extractor.reset();
            }
            (filled, arrived) = (0, 0);
        } else {
            if filled > 0 && filled.is_multiple_of(width) {
                // A frame begins: of a stream in place of the last one, of a clip behind it, or at the next clip's begin.
                let to = if filled < frames.len() { filled } else { 0 };
                let kept = if to > 0 || test_model.is_stream() { kept } else { 0 };
                repeat(frames, filled - kept..filled, to);
                filled = to + kept;
            }
            if let Some(slot) = frames.get_mut(filled) {
                *slot = number;
            }
            filled += 1;
            if filled < frames.len() {
                continue;
            }
        }
        let outputs = if test_model.is_stream() { session.push(frames)? } else { session.infer(&*frames)? };
        let line = Line::new("classify").text("board", B::NAME).text("model", test_model.name);
        let line = line.hex("crc32", crc32(outputs));
        report(board, &label(line, model, outputs).end());
    }
    Ok(())
}

/// Copies numbers to another place, one by one, as `copy_within` brings a `memmove` of 1.5 KB with it.
fn repeat(numbers: &mut [f32], from: Range<usize>, mut to: usize) {
    for index in from {
        let number = numbers.get(index).copied().unwrap_or_default();
        if let Some(slot) = numbers.get_mut(to) {
            *slot = number;
        }
        to += 1;
    }
}
