//! The firmware of docs/your-model.md, compiled and run by `tools/cli/tests/your_model.rs`.

// your-model.md: begin
use thumbformer::Error;
use thumbformer::text::argmax;

// The image, as `thumbformer convert` wrote it for your core; the path is relative to this file.
thumbformer::model!(mod gestures = "gestures.tbf", ram <= 8 * 1024);

/// The label of a recording: frames of ten samples, `[FRAMES, SAMPLES * columns]`, in the units of the training.
fn gesture(state: &mut gestures::State, frames: &[f32]) -> Result<&'static str, Error> {
    let mut session = gestures::MODEL.session(state.memory());
    let output = argmax(session.infer(frames)?);
    Ok(gestures::MODEL.label(output.into()).unwrap_or("?"))
}
// your-model.md: end

/// For the test.
pub fn label(frames: &[f32]) -> Result<&'static str, Error> {
    gesture(&mut gestures::State::new(), frames)
}
