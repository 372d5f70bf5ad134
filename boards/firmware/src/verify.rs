//! Proves on the board that it computes what the host computes.

use crate::test_model::crc32;
use crate::{Board, Line, Signal, TestModel, begin, end, report};
use thumbformer::Error;
use thumbformer::audio::Extractor;

/// Further proofs of a board with a heap: the float model on the device, and inference that leaves the heap alone.
pub trait FloatCheck {
    /// Bytes of the heap that are in use.
    fn heap_used(&self) -> usize;

    /// Distance of a model's outputs from the float model's, which is computed here and now: the ratio of signal to error in
    /// hundredths of a decibel. `None` where there is no float model or not enough memory for it.
    fn reference(&mut self, model: &str, signal: Signal<'_>, outputs: &[f32]) -> Option<u32>;
}

/// The application `verify`: golden inputs, whose outputs' CRC must be the host's; the float model on the device, where there is room
/// for it, must be near; and the heap that it uses must be as full after every inference as before.
pub fn verify<B: Board>(
    mut board: B,
    test_models: &[TestModel<'_>],
    words: &mut [u32],
    mut ears: Option<&mut Extractor<'_, '_>>,
    frames: &mut [f32],
    mut float_check: impl FloatCheck,
) -> ! {
    let meter = begin(&mut board, "verify");
    let mut right = true;
    let result = test_models.iter().try_for_each(|test_model| -> Result<(), Error> {
        let mut session = test_model.session(words)?;
        for input in test_model.inputs {
            let before = float_check.heap_used();
            let (outputs, cost) =
                test_model.run(&mut session, input.signal, ears.as_deref_mut(), frames, &mut board)?;
            let (crc32, untouched) = (crc32(outputs), float_check.heap_used() == before);
            let sqnr = float_check.reference(test_model.name, input.signal, outputs);
            let near = sqnr.is_none_or(|sqnr| sqnr >= NEAR);
            right &= crc32 == input.crc32 && untouched && near;
            let line = Line::new("verify").text("board", B::NAME).text("backend", thumbformer::BACKEND);
            let line = line.text("model", test_model.name).text("input", input.name).text("unit", meter.unit());
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
