//! Measures: kernels by themselves, then models, whole and by part.

use crate::counter::Meter;
use crate::kernels::{Case, Row, Workspace, kernels};
use crate::{Board, Line, Signal, TestModel, begin, end, report};
use thumbformer::audio::Extractor;
use thumbformer::cycles::{CycleCounter, Part, Profile};
use thumbformer::{Error, Packing};

/// Positions of a sequence of tokens that are measured.
const POSITIONS: [usize; 3] = [0, 64, 255];

/// Measurements of the application `bench`.
pub struct Bench<'a> {
    /// Packing of the matrices.
    pub packing: Packing,
    /// The matrices.
    pub cases: &'a [Case<'a>],
    /// Memory for the kernels.
    pub workspace: Workspace<'a>,
    /// The models.
    pub test_models: &'a [TestModel<'a>],
    /// Memory of one model after the other.
    pub words: &'a mut [u32],
    /// The front end, where a model hears.
    pub ears: Option<&'a mut Extractor<'static, 'static>>,
    /// Room for the frames of an input.
    pub frames: &'a mut [f32],
}

/// The application `bench`: what kernels and models take, a line for each, and a table of the models' parts in the log.
pub fn bench<B: Board>(mut board: B, bench: Bench<'_>) -> ! {
    let meter = begin(&mut board, "bench");
    let Bench { packing, cases, mut workspace, test_models, words, mut ears, frames } = bench;
    let mut exact = true;
    if let Meter::Counts { .. } = meter {
        let mut rows: heapless::Vec<Row, 64> = heapless::Vec::new();
        kernels(board.counter(), packing, cases, &mut workspace, &mut |row| {
            exact &= row.exact;
            let _ = rows.push(row);
        });
        for row in &rows {
            report(&mut board, &row.line(Line::new("bench").text("board", B::NAME).text("unit", meter.unit())).end());
        }
    }
    let result = test_models
        .iter()
        .try_for_each(|test_model| models(&mut board, meter, test_model, words, ears.as_deref_mut(), frames));
    end(board, result.map(|()| exact))
}

/// One model: a language model at a few positions, another one with its first input.
fn models<B: Board>(
    board: &mut B,
    meter: Meter,
    test_model: &TestModel<'_>,
    words: &mut [u32],
    ears: Option<&mut Extractor<'_, '_>>,
    frames: &mut [f32],
) -> Result<(), Error> {
    let Some(input) = test_model.inputs.first() else { return Ok(()) };
    let line = |name| Line::new("bench").text("board", B::NAME).text("model", test_model.name).text("input", name);
    let Signal::Tokens(_) = input.signal else {
        let mut session = test_model.session(words)?;
        let (_, cost) = test_model.run(&mut session, input.signal, ears, frames, board)?;
        let line = cost.on(line(input.name).text("unit", meter.unit()), meter);
        report(board, &line.number("clock_hz", board.clock_hz().into()).end());
        return Ok(());
    };
    for position in POSITIONS.into_iter().filter(|&position| position < test_model.max_seq) {
        let total = token(board, test_model, words, position)?;
        let line = line("token").number("position", position as u64).text("unit", meter.unit());
        let line = line.count("total", meter.trusted(total)).number("clock_hz", board.clock_hz().into());
        report(board, &line.end());
        if let Meter::Counts { .. } = meter {
            parts(board, test_model, words, position)?;
        }
    }
    Ok(())
}

/// A token that is as good as any.
fn some_token(test_model: &TestModel<'_>, position: usize) -> u16 {
    (7 * position % test_model.model.dims().vocab.max(1)) as u16
}

/// Cost of a token at a position, unobserved.
fn token<B: Board>(
    board: &mut B,
    test_model: &TestModel<'_>,
    words: &mut [u32],
    position: usize,
) -> Result<u64, Error> {
    let mut session = test_model.session(words)?;
    for position in 0..position {
        session.decode(some_token(test_model, position))?;
    }
    let start = board.counter().now();
    session.decode(some_token(test_model, position))?;
    Ok(board.counter().since(start))
}

/// The same by part.
fn parts<B: Board>(board: &mut B, test_model: &TestModel<'_>, words: &mut [u32], position: usize) -> Result<(), Error> {
    let mut session = test_model.session(words)?;
    for position in 0..position {
        session.decode(some_token(test_model, position))?;
    }
    let mut profile = Profile::new(board.counter());
    profile.start();
    session.observe(&mut profile).decode(some_token(test_model, position))?;
    let mut line = Line::new("bench").text("board", B::NAME).text("model", test_model.name).text("input", "parts");
    line = line.number("position", position as u64);
    for part in Part::ALL {
        defmt::println!(
            "{=str} at {=usize}: {=str} {=u64}",
            test_model.name,
            position,
            part.name(),
            profile.units(part)
        );
        line = line.number(part.name(), profile.units(part));
    }
    line = line.number("overhead", profile.overhead());
    report(board, &line.end());
    Ok(())
}
