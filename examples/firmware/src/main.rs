//! A story by the default language model, and the CRC-32 of its logits, which is the host's.
#![no_std]
#![no_main]

// README: begin
use thumbformer::text::argmax;
use thumbformer::{Error, LogitsCrc};

// Yours: the image, as `thumbformer convert` wrote it for your core; the path is relative to this file.
thumbformer::model!(mod story = "../../../models/stories/stories-m4.tbf", max_seq = 256, ram <= 120 * 1024);

fn tell(state: &mut story::State) -> Result<u32, Error> {
    let tokenizer = story::MODEL.tokenizer().ok_or(Error::NoTokenizer)?;
    let mut prompt = [0; 32];
    let length = tokenizer.encode("Once upon a time, there was", true, &mut prompt)?;
    let mut session = story::MODEL.session(state.memory());
    let mut crc = LogitsCrc::new();
    let mut logits = session.prefill(&prompt[..length])?;
    let mut token = prompt[length - 1];
    loop {
        crc.update(logits);
        let next = argmax(logits);
        if tokenizer.is_end(next) || session.remaining() == 0 {
            return Ok(crc.total());
        }
        print(tokenizer.piece(token, next));
        logits = session.decode(next)?;
        token = next;
    }
}
// README: end

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STATE: story::State = story::State::new();
    let told = tell(STATE);
    if let Ok(crc32) = told {
        semihosting::println!("\nlogits crc32 {crc32:08x}");
    }
    semihosting::process::exit(i32::from(told.is_err()))
}

/// Yours: where text goes.
fn print(piece: &[u8]) {
    if let Ok(mut console) = semihosting::io::stdout() {
        let _ = semihosting::io::Write::write_all(&mut console, piece);
    }
}
