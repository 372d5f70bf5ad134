//! Facts that only the chip itself can show, as tests of `embedded-test`: the runner lists them from the ELF's symbols, resets the chip
//! before each one, and passes the address of the one that is to run.
//!
//! ```text
//! recording ──► stream model ──► answers ──► CRC-32: the host's?
//! damaged image, wrong frame, full context ──► an error each, and no panic
//! FPU in every mode; interrupts at random ──► the same bits, or an error
//! a stack that overflows ──► a fault that says so, and variables as before
//! ```
//! In emulation: `cargo xtask test on-target`; on a board: README.md.
#![no_std]
#![no_main]

#[cfg(feature = "rtt")]
use defmt_rtt as _;
#[cfg(feature = "semihosting")]
use defmt_semihosting as _;

mod boot;
#[path = "../../firmware/src/fault.rs"]
mod fault;
#[cfg(fpu)]
mod fpu;
mod overflow;
mod preemption;

use thumbformer::text::argmax;
use thumbformer::{Error, LogitsCrc, Memory, Pooling};

include!(concat!(env!("OUT_DIR"), "/stream.rs"));

/// A network between ends of some kind, and what the host computes of frames.
struct End {
    name: &'static str,
    model: &'static thumbformer::Model<'static>,
    /// `[seq, n_features]`.
    frames: &'static [f32],
    /// Of all outputs.
    crc32: u32,
}

include!(concat!(env!("OUT_DIR"), "/ends.rs"));

/// The answers of the stream model to frames, one by one: their CRC-32, and the last one's name.
fn answers(state: &mut stream::State, frames: &[f32]) -> Result<(u32, &'static str), Error> {
    let mut session = stream::MODEL.session(state.memory());
    let (mut crc, mut label) = (LogitsCrc::new(), None);
    for frame in frames.chunks_exact(stream::MODEL.dims().n_features) {
        let outputs = session.push(frame)?;
        crc.update(outputs);
        label = stream::MODEL.label(usize::from(argmax(outputs)));
    }
    Ok((crc.total(), label.unwrap_or("")))
}

/// CRC-32 of all outputs of a network between ends.
fn outputs_of(end: &End, words: &mut [u32]) -> Result<u32, Error> {
    let End { model, frames, .. } = end;
    let mut session = model.session(Memory::new(model.dims(), model.dims().max_seq, 1, words)?);
    let mut crc = LogitsCrc::new();
    if model.dims().options.pooling == Pooling::None {
        session.infer_each(*frames, None, |_, outputs| _ = crc.update(outputs))?;
    } else {
        crc.update(session.infer(*frames)?);
    }
    Ok(crc.total())
}

/// A block that keeps two tokens of two numbers.
mod small {
    use thumbformer::{Dims, Options, Tensor};

    const DIMS: Dims = Dims::block(2, 1, 2, 2, Options::ENCODER);
    const ONES: [f32; 2] = [1.0; 2];
    const IDENTITY: [f32; 4] = [1.0, 0.0, 0.0, 1.0];

    thumbformer::constant_model!(
        pub mod block = DIMS,
        &[
            (Tensor::AttentionNorm, 0, &ONES),
            (Tensor::Query, 0, &IDENTITY),
            (Tensor::Key, 0, &IDENTITY),
            (Tensor::Value, 0, &IDENTITY),
            (Tensor::AttentionOutput, 0, &IDENTITY),
            (Tensor::MlpNorm, 0, &ONES),
            (Tensor::Up, 0, &IDENTITY),
            (Tensor::Down, 0, &IDENTITY),
        ]
    );
}

crate::fault_handler!(end);

/// The end of a program that faulted.
fn end(fault: fault::Fault) -> ! {
    fault.report();
    overflow::say_canary();
    semihosting::process::abort()
}

#[embedded_test::tests]
mod tests {
    #[cfg(fpu)]
    use super::fpu;
    use super::preemption::{ENOUGH, Timer};
    use super::{CRC32, DAMAGED, ENDS, FRAMES, LABEL, answers, outputs_of, overflow, small, stream};
    use core::ops::Range;
    #[cfg(not(baseline))]
    use cortex_m::peripheral::DWT;
    use cortex_m::peripheral::{Peripherals, SYST, syst::SystClkSource};
    use thumbformer::{Error, LogitsCrc, Model};

    static mut STATE: stream::State = stream::State::new();

    /// State that every test gets.
    type State = &'static mut stream::State;

    #[init]
    fn init() -> State {
        let state = &raw mut STATE;
        // SAFETY: the chip is reset before every test, and `init` is called once in each: there is no other reference.
        unsafe { &mut *state }
    }

    #[test]
    fn the_answers_have_the_bits_of_the_host(state: State) -> Result<(), Error> {
        let (crc32, label) = answers(state, FRAMES)?;
        defmt::info!("crc32 {=u32:08x}, on the host {=u32:08x}; {=str}", crc32, CRC32, label);
        assert_eq!((crc32, label), (CRC32, LABEL));
        Ok(())
    }

    #[test]
    fn the_answers_do_not_depend_on_what_was_there_before(state: State) -> Result<(), Error> {
        assert_eq!(answers(state, FRAMES)?.0, CRC32);
        assert_eq!(answers(state, FRAMES)?.0, CRC32);
        Ok(())
    }

    #[test]
    fn every_kind_of_end_has_the_bits_of_the_host() -> Result<(), Error> {
        let mut words = [0; 1024];
        for end in ENDS {
            let crc32 = outputs_of(end, &mut words)?;
            defmt::info!("{=str}: crc32 {=u32:08x}, on the host {=u32:08x}", end.name, crc32, end.crc32);
            assert_eq!(crc32, end.crc32);
        }
        Ok(())
    }

    #[test]
    fn one_wrong_bit_in_the_image_is_found() {
        assert!(matches!(Model::parse(DAMAGED), Err(Error::Checksum { .. })));
        let (cut, _) = DAMAGED.split_at(DAMAGED.len() / 2);
        assert!(matches!(Model::parse(cut), Err(Error::Length { .. })));
    }

    #[test]
    fn a_frame_of_another_length_is_an_error_and_changes_nothing(state: State) -> Result<(), Error> {
        let mut session = stream::MODEL.session(state.memory());
        let width = stream::MODEL.dims().n_features;
        session.push(&FRAMES[..width])?;
        assert!(matches!(session.push(&FRAMES[..width - 1]), Err(Error::FrameLength { .. })));
        assert!(matches!(session.push(&[]), Err(Error::EmptySequence)));
        assert_eq!(session.position(), 1);
        Ok(())
    }

    #[test]
    fn a_full_context_is_an_error() {
        let mut state = small::block::State::new();
        let mut session = small::block::MODEL.session(state.memory());
        let mut streams = [1.0, -1.0, 0.5, 0.25, 0.0, 1.0];
        assert!(matches!(session.encode(&mut streams), Err(Error::CacheFull { max_seq: 2 })));
        assert_eq!(streams, [1.0, -1.0, 0.5, 0.25, 0.0, 1.0]);
        assert_eq!(session.encode(&mut streams[..4]), Ok(()));
    }

    #[test]
    fn the_state_lies_in_bss_and_starts_as_zeros(state: State) {
        unsafe extern "C" {
            static __sbss: u8;
            static __ebss: u8;
        }
        let bss = (&raw const __sbss) as usize..(&raw const __ebss) as usize;
        let range = {
            let start = core::ptr::from_mut(state) as usize;
            Range { start, end: start + size_of::<stream::State>() }
        };
        assert!(bss.start <= range.start && range.end <= bss.end);
        // SAFETY: the bytes are those of `state`, which lives for ever and nobody else refers to.
        let zero = range.step_by(4).all(|address| unsafe { (address as *const u32).read_volatile() } == 0);
        assert!(zero);
    }

    #[test]
    fn the_backend_is_the_one_that_the_board_is_built_for() {
        assert_eq!(thumbformer::BACKEND, option_env!("THUMBFORMER_BACKEND").unwrap_or(env!("BOARD_BACKEND")));
    }

    /// Ticks of a loop of some turns.
    fn ticks(turns: u32) -> u32 {
        let start = SYST::get_current();
        cortex_m::asm::delay(turns);
        // It counts down, in 24 bits.
        start.wrapping_sub(SYST::get_current()) & 0x00ff_ffff
    }

    #[test]
    fn the_timer_counts_in_proportion_to_what_is_done() -> Result<(), &'static str> {
        let mut peripherals = Peripherals::take().ok_or("the peripherals were taken before")?;
        peripherals.SYST.set_clock_source(SystClkSource::Core);
        peripherals.SYST.set_reload(0x00ff_ffff);
        peripherals.SYST.clear_current();
        peripherals.SYST.enable_counter();
        ticks(100);
        let (once, thrice) = (ticks(20_000), ticks(60_000));
        defmt::info!("{=u32} and {=u32} ticks", once, thrice);
        assert!(once > 0 && thrice.abs_diff(3 * once) < thrice / 16);
        Ok(())
    }

    #[test]
    #[cfg(not(baseline))]
    fn the_cycle_counter_moves_or_is_known_to_stand() -> Result<(), &'static str> {
        let mut peripherals = Peripherals::take().ok_or("the peripherals were taken before")?;
        peripherals.DCB.enable_trace();
        // Cortex-M7: without this, writes to the unit are ignored.
        DWT::unlock();
        peripherals.DWT.enable_cycle_counter();
        let start = DWT::cycle_count();
        cortex_m::asm::delay(1000);
        match DWT::cycle_count().wrapping_sub(start) {
            // The emulator has none; its registers read as zeros.
            0 if start == 0 => {
                defmt::warn!("the cycle counter stands at zero, as in emulation: no cycles are measured here")
            }
            counted => assert!(counted >= 1000),
        }
        Ok(())
    }

    #[test]
    #[cfg(fpu)]
    fn every_rounding_but_to_nearest_is_refused_and_no_other_mode_changes_a_bit(state: State) {
        for mode in fpu::modes() {
            fpu::with(mode, || fpu::judge(mode, state));
        }
        defmt::println!("figure {=str}: {=usize}", "FPU modes", fpu::modes().count());
    }

    #[test]
    #[cfg(fpu)]
    fn in_an_interrupt_handler_the_same_holds_of_every_default_mode() {
        for mode in fpu::modes() {
            fpu::judge_in_handler(mode);
        }
        let handled = fpu::judge_in_handler(0);
        assert_eq!(handled as usize, fpu::modes().count() + 1);
        defmt::println!("figure {=str}: {=usize}", "FPU modes in handlers", fpu::modes().count());
    }

    #[test]
    fn a_second_model_in_the_timers_handler_changes_no_bit_of_either(state: State) -> Result<(), Error> {
        let Some(peripherals) = Peripherals::take() else { unreachable!("a test takes the peripherals once") };
        let timer = Timer::start(peripherals.SYST);
        let mut runs = 0;
        while timer.counts().0 < ENOUGH {
            let (mut session, mut crc) = (stream::MODEL.session(state.memory()), LogitsCrc::new());
            for frame in FRAMES.chunks_exact(stream::MODEL.dims().n_features) {
                crc.update(timer.inside(|| session.push(frame))?);
            }
            assert_eq!(crc.total(), CRC32);
            runs += 1;
        }
        let (preemptions, wrong) = timer.counts();
        drop(timer);
        assert_eq!(wrong, 0);
        defmt::println!("{=u32} interruptions of {=u32} runs", preemptions, runs);
        defmt::println!("figure {=str}: {=u32}", "preemptions", preemptions);
        Ok(())
    }

    #[test]
    #[should_panic]
    fn overflow_by_recursion_is_said_and_changes_no_variable() {
        overflow::by_recursion();
    }

    #[test]
    #[should_panic]
    fn overflow_by_one_frame_is_said_and_changes_no_variable() {
        overflow::by_one_frame();
    }

    #[test]
    #[should_panic]
    fn a_panic_ends_a_test() {
        panic!("on purpose");
    }
}
