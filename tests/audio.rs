//! The audio front end against an independent one in f64, and against itself in other portions.

use proptest::prelude::*;
use std::f64::consts::PI;
use thumbformer::audio::{LogMel, LogMelConfig, MelBank};
use thumbformer::{Error, LogitsCrc};

static SPEECH: MelBank<256, 20> = thumbformer::mel_bank!(LogMelConfig::SPEECH_8K);

/// 16,000 samples per second, a window shorter than the FFT, a hop that divides nothing.
const WIDE: LogMelConfig = LogMelConfig {
    sample_rate: 16_000,
    window: 400,
    hop: 163,
    low_hz: 60,
    high_hz: 8000,
    floor: -14,
    centre: 1.5,
    scale: 0.5,
};
static WIDEBAND: MelBank<512, 40> = thumbformer::mel_bank!(WIDE);

/// The frames by their definition: sums over all samples, all bins, all filters.
fn frames_f64(config: &LogMelConfig, fft: usize, mels: usize, samples: &[i16]) -> Vec<f64> {
    let mel = |hz: f64| 2595.0 * (1.0 + hz / 700.0).log10();
    let hertz = |mel: f64| 700.0 * (10.0_f64.powf(mel / 2595.0) - 1.0);
    let (low, high) = (mel(config.low_hz.into()), mel(config.high_hz.into()));
    let edges: Vec<f64> = (0..mels + 2).map(|i| hertz(low + (high - low) * i as f64 / (mels + 1) as f64)).collect();
    let mut frames = Vec::new();
    for window in samples.windows(config.window).step_by(config.hop) {
        let x: Vec<f64> = window
            .iter()
            .enumerate()
            .map(|(i, &x)| f64::from(x) / 32_768.0 * (PI * (i as f64 + 0.5) / config.window as f64).sin().powi(2))
            .collect();
        let power: Vec<f64> = (0..fft / 2)
            .map(|bin| {
                let angle = |i: usize| 2.0 * PI * (bin * i % fft) as f64 / fft as f64;
                let re: f64 = x.iter().enumerate().map(|(i, x)| x * angle(i).cos()).sum();
                let im: f64 = x.iter().enumerate().map(|(i, x)| x * angle(i).sin()).sum();
                re * re + im * im
            })
            .collect();
        for edge in edges.windows(3) {
            let weigh = |(bin, power): (usize, &f64)| {
                let hz = bin as f64 * f64::from(config.sample_rate) / fft as f64;
                power * ((hz - edge[0]) / (edge[1] - edge[0])).min((edge[2] - hz) / (edge[2] - edge[1])).max(0.0)
            };
            let energy: f64 = power.iter().enumerate().map(weigh).sum();
            frames.push(
                ((energy + f64::from(config.floor).exp2()).log2() - f64::from(config.centre)) * f64::from(config.scale),
            );
        }
    }
    frames
}

/// The frames in portions of these lengths, over and over.
fn pushed<const FFT: usize, const MELS: usize>(
    bank: &MelBank<FFT, MELS>,
    samples: &[i16],
    portions: &[usize],
) -> Vec<f32> {
    let mut front_end = LogMel::new(bank);
    let (mut frames, mut rest) = (Vec::new(), samples);
    for &portion in portions.iter().cycle() {
        let (now, later) = rest.split_at(portion.min(rest.len()));
        front_end.push(now, |frame| frames.extend(frame));
        rest = later;
        if rest.is_empty() {
            return frames;
        }
    }
    frames
}

/// A voice-like sound: a buzz whose harmonics wax and wane, with noise, at this level.
fn buzz(rate: u32, length: usize, level: f64) -> Vec<i16> {
    let mut noise = 1_u32;
    (0..length)
        .map(|i| {
            let t = i as f64 / f64::from(rate);
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let harmonics: f64 = (1..25)
                .map(|n| {
                    let n = f64::from(n);
                    (2.0 * PI * n * (130.0 * t + 25.0 * t * t)).sin() * (1.0 + (3.0 * n + 9.0 * t).sin()) / n
                })
                .sum();
            let sound = harmonics * 0.15 + (f64::from(noise) / f64::from(u32::MAX) - 0.5) * 0.02;
            (sound * level * 32_768.0).clamp(-32_768.0, 32_767.0) as i16
        })
        .collect()
}

/// The largest difference of the logarithms.
fn error<const FFT: usize, const MELS: usize>(bank: &MelBank<FFT, MELS>, samples: &[i16]) -> f64 {
    let config = bank.config();
    let expected = frames_f64(config, FFT, MELS, samples);
    let found = pushed(bank, samples, &[usize::MAX]);
    assert_eq!((found.len(), found.len() / MELS), (expected.len(), bank.frames(samples.len())));
    let differences = found.iter().zip(&expected).map(|(found, expected)| (f64::from(*found) - expected).abs());
    differences.fold(0.0, f64::max) / f64::from(config.scale)
}

/// log2 within 2.5e-4, window and weights within 2^-16 of full scale: where a filter hears no more than what another's sound
/// leaks through the window, that counts, so quiet filters beside a loud one are less exact.
#[test]
fn frames_are_those_of_the_definition_in_f64() {
    for level in [1.0, 0.1, 0.003] {
        let found = (error(&SPEECH, &buzz(8000, 2000, level)), error(&WIDEBAND, &buzz(16_000, 2000, level)));
        assert!(found.0 < 1e-3 && found.1 < 1e-3, "octaves at level {level}: {found:?}");
    }
    // A single sine of full scale: 90 dB below it the window's 16 bits are heard.
    let sine: Vec<i16> = (0..600).map(|i| (32_767.0 * (0.7 * f64::from(i)).sin()) as i16).collect();
    let found = (error(&SPEECH, &sine), error(&WIDEBAND, &sine));
    assert!(found.0 < 0.02 && found.1 < 0.02, "octaves for a sine: {found:?}");
}

/// On every core: `cargo xtask test bench` compares the frames of another sound on all of them.
#[test]
fn frames_have_the_bits_that_they_always_had() {
    let samples: Vec<i16> =
        (0..8000_u32).map(|i| (i.wrapping_mul(i).wrapping_mul(2_654_435_761) >> 17) as i16).collect();
    let crc = [1, 8, 64, 32_768].map(|divisor| {
        let samples: Vec<i16> = samples.iter().map(|&sample| (i32::from(sample) / divisor) as i16).collect();
        LogitsCrc::new().update(&pushed(&SPEECH, &samples, &[usize::MAX]))
    });
    assert_eq!(crc, [0x6f3c_231b, 0x2f47_5722, 0x267b_6982, 0x04b7_d611], "{crc:08x?}");
}

#[test]
fn silence_is_the_floor_and_the_loudest_sounds_are_finite() {
    let config = SPEECH.config();
    let silence = (config.floor as f32 - config.centre) * config.scale;
    assert!(pushed(&SPEECH, &[0; 3000], &[7]).iter().all(|&value| value == silence));
    let square = |half: usize| -> Vec<i16> {
        (0..3000).map(|i| if (i / half).is_multiple_of(2) { i16::MAX } else { i16::MIN }).collect()
    };
    // The most that one filter can hear is all that there is: (window / 2)^2, less than 2^15.
    let loudest = (15.0 - config.centre) * config.scale;
    for samples in [square(1), square(2), square(3), square(13), square(2000), vec![i16::MIN; 3000], vec![1; 3000]] {
        for value in pushed(&SPEECH, &samples, &[usize::MAX]) {
            assert!((silence..loudest).contains(&value), "{value}");
        }
    }
}

#[test]
fn a_clip_is_cut_off_or_filled_up_with_silence() {
    let sound = buzz(8000, 9000, 0.5);
    let frames = pushed(&SPEECH, &sound, &[usize::MAX]);
    assert!(size_of::<LogMel<256, 20>>() <= 6 * 256 + 4 * 20 + 4 * size_of::<usize>());
    let mut front_end = LogMel::new(&SPEECH);
    let mut clip = vec![0.0; 49 * 20];
    // Whatever the front end has heard before.
    front_end.push(&sound[..77], |_| ());
    assert_eq!(front_end.clip(&sound, &mut clip), Ok(49));
    assert_eq!(clip, frames[..49 * 20]);
    let padded: Vec<i16> = sound[..1000].iter().copied().chain([0; 7000]).collect();
    assert_eq!(front_end.clip(&sound[..1000], &mut clip), Ok(5));
    assert_eq!(clip, pushed(&SPEECH, &padded, &[usize::MAX]));
    assert_eq!(SPEECH.frames(1000), 5);
    assert_eq!((SPEECH.samples(5), SPEECH.samples(0)), (896, 0));
    assert_eq!((SPEECH.frames(895), SPEECH.frames(896), SPEECH.frames(255)), (4, 5, 0));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let speech = LogMelConfig::SPEECH_8K;
    let name = |config| match MelBank::<256, 20>::new(config) {
        Err(Error::FrontEnd { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    for sample_rate in [0, 7999, 11_025, 44_100] {
        let error = MelBank::<256, 20>::new(LogMelConfig { sample_rate, ..speech }).expect_err("a refused rate");
        assert_eq!(error, Error::SampleRate { found: sample_rate });
    }
    assert_eq!(name(LogMelConfig { window: 258, ..speech }), "window");
    assert_eq!(name(LogMelConfig { window: 0, ..speech }), "window");
    assert_eq!(name(LogMelConfig { window: 255, ..speech }), "window");
    assert_eq!(name(LogMelConfig { hop: 0, ..speech }), "hop");
    assert_eq!(name(LogMelConfig { high_hz: 4001, ..speech }), "high_hz");
    assert_eq!(name(LogMelConfig { low_hz: 0, ..speech }), "low_hz");
    assert_eq!(name(LogMelConfig { low_hz: 3800, ..speech }), "low_hz");
    assert_eq!(name(LogMelConfig { floor: -41, ..speech }), "floor");
    assert_eq!(name(LogMelConfig { floor: 11, ..speech }), "floor");
    assert_eq!(name(LogMelConfig { centre: f32::NAN, ..speech }), "centre");
    assert_eq!(name(LogMelConfig { scale: 0.0, ..speech }), "scale");
    assert_eq!(name(LogMelConfig { scale: f32::INFINITY, ..speech }), "scale");
    let found = |result| matches!(result, Err(Error::FrontEnd { name: "MELS", .. }));
    assert!(found(MelBank::<256, 0>::new(speech).map(|_| ())));
    assert!(found(MelBank::<256, 120>::new(speech).map(|_| ())), "filters narrower than a bin");
    assert!(found(MelBank::<256, 300>::new(speech).map(|_| ())));
    let fft = |result| matches!(result, Err(Error::FrontEnd { name: "FFT", .. }));
    assert!(fft(MelBank::<255, 20>::new(speech).map(|_| ())));
    assert!(fft(MelBank::<32, 2>::new(speech).map(|_| ())));
    assert!(fft(MelBank::<2048, 20>::new(speech).map(|_| ())));

    let mut front_end = LogMel::new(&SPEECH);
    let mut frames = [0.0; 30];
    let error = front_end.clip(&[0; 255], &mut frames[..20]).expect_err("too short");
    assert_eq!(error, Error::RecordingTooShort { expected: 256, found: 255 });
    assert!(error.to_string().contains("expected 256 samples, found 255"), "{error}");
    let error = front_end.clip(&[0; 256], &mut frames).expect_err("half a frame");
    assert_eq!(error, Error::FrontEnd { name: "length of the buffer of frames", found: 30 });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_portions_do_not_matter_and_every_value_is_in_range(
        samples in prop::collection::vec(prop_oneof![any::<i16>(), -3..3_i16, Just(0), Just(i16::MIN)], 1..3000),
        quiet in any::<bool>(),
        portions in prop::collection::vec(1..700_usize, 1..20),
    ) {
        let samples: Vec<i16> = samples.iter().map(|&sample| if quiet { sample % 2 } else { sample }).collect();
        let speech = pushed(&SPEECH, &samples, &[usize::MAX]);
        prop_assert_eq!(&speech, &pushed(&SPEECH, &samples, &portions));
        let config = SPEECH.config();
        for value in speech {
            let octaves = value / config.scale + config.centre;
            prop_assert!(octaves >= config.floor as f32 && octaves < 15.0, "{}", octaves);
        }
        let wide = pushed(&WIDEBAND, &samples, &[usize::MAX]);
        prop_assert_eq!(wide, pushed(&WIDEBAND, &samples, &portions));
    }
}
