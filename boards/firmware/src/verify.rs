//! Proves on the board that it computes what the host computes.

use crate::subject::crc32;
use crate::{Board, Ear, Line, Signal, Subject, begin, end, report};
use thumbformer::Error;

/// What a board with a heap can show beside: the float model on the device, and that inference leaves the heap alone.
pub trait Witness {
    /// Bytes of the heap that are in use.
    fn heap_used(&self) -> usize;

    /// How far the outputs of a model's input are from the float model's, which is computed here and now: the ratio of signal to error in
    /// hundredths of a decibel. `None` where there is no float model or not enough memory for it.
    fn reference(&mut self, model: &str, signal: Signal<'_>, outputs: &[f32]) -> Option<u32>;
}

/// The application `verify`: golden inputs, whose outputs' CRC must be the host's; the float model on the device, where there is room
/// for it, must be near; and the heap that it uses must be as full after every inference as before.
pub fn verify<B: Board>(
    mut board: B,
    subjects: &[Subject<'_>],
    words: &mut [u32],
    mut ear: Option<Ear<'_>>,
    mut witness: impl Witness,
) -> ! {
    let meter = begin(&mut board, "verify");
    let mut right = true;
    let result = subjects.iter().try_for_each(|subject| -> Result<(), Error> {
        let mut session = subject.session(words)?;
        for input in subject.inputs {
            let before = witness.heap_used();
            let (outputs, cost) = subject.run(&mut session, input.signal, &mut ear, &mut board)?;
            let (crc32, untouched) = (crc32(outputs), witness.heap_used() == before);
            let sqnr = witness.reference(subject.name, input.signal, outputs);
            let near = sqnr.is_none_or(|sqnr| sqnr >= NEAR);
            right &= crc32 == input.crc32 && untouched && near;
            let line = Line::new("verify").text("board", B::NAME).text("backend", thumbformer::BACKEND);
            let line = line.text("model", subject.name).text("input", input.name).text("unit", meter.unit());
            let line = cost.on(line, meter).hex("crc32", crc32).flag("as_host", crc32 == input.crc32);
            let line = line.number("heap_used", before as u64).flag("heap_untouched", untouched);
            let line = line.hundredths("float_sqnr_db", sqnr);
            report(&mut board, &line.end());
        }
        Ok(())
    });
    end(board, result.map(|()| right))
}

/// Least ratio of signal to error, in hundredths of a decibel: what the tests of the engine ask of every network.
const NEAR: u32 = 2000;
