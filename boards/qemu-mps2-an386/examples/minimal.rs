//! The smallest firmware: greedy, to the debugger's console. The README shows it.
#![no_std]
#![no_main]

use {defmt_semihosting as _, panic_probe as _};

// README: begin
use thumbformer::text::argmax;

thumbformer::model!(mod story = "../../../models/stories/stories-m4.tbf", max_seq = 256, ram <= 120 * 1024);

fn tell(state: &mut story::State) -> Result<(), thumbformer::Error> {
    let tokenizer = story::MODEL.tokenizer().ok_or(thumbformer::Error::NoTokenizer)?;
    let mut prompt = [0; 32];
    let length = tokenizer.encode("Once upon a time, there was", true, &mut prompt)?;
    let mut session = story::MODEL.session(state.memory());
    let (mut token, mut next) = (prompt[length - 1], argmax(session.prefill(&prompt[..length])?));
    while !tokenizer.is_end(next) && session.remaining() > 0 {
        print(tokenizer.piece(token, next));
        (token, next) = (next, argmax(session.decode(next)?));
    }
    Ok(())
}
// README: end

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STATE: story::State = story::State::new();
    semihosting::process::exit(i32::from(tell(STATE).is_err()))
}

fn print(piece: &[u8]) {
    if let Ok(mut console) = semihosting::io::stdout() {
        let _ = semihosting::io::Write::write_all(&mut console, piece);
    }
}
