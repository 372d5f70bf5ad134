//! The front end against its definition in f64, the bits that it always had, and its limits.

use std::f64::consts::PI;
use thumbformer::LogitsCrc;
use thumbformer::audio::{Filters, Floor, FrontEnd, FrontEndConfig, HostBuffers, MelNorm, MelScale};

/// The frames of a stream.
fn pushed(config: &FrontEndConfig, samples: &[i16]) -> Vec<f32> {
    let words = config.words().expect("a front end's settings");
    let front_end = FrontEnd::parse(&words).expect("a front end");
    let mut buffers = HostBuffers::new(&front_end);
    let mut frames = Vec::new();
    let mut extractor = front_end.extractor(buffers.memory()).expect("memory of its size");
    extractor.push(samples, |frame| frames.extend(frame)).expect("a front end for streams");
    frames
}

/// 16,000 samples per second, a window shorter than the FFT, a hop that divides nothing.
fn wideband() -> FrontEndConfig {
    FrontEndConfig {
        sample_rate: 16_000,
        n_fft: 512,
        win_length: 400,
        hop_length: 163,
        filters: Filters::Mel { n_mels: 40, scale: MelScale::Htk, norm: MelNorm::None, f_min: 60.0, f_max: 8000.0 },
        offset: vec![1.5],
        scale: vec![0.5],
        ..FrontEndConfig::thumbformer()
    }
}

/// log2 of the energies by their definition: sums over all samples, all bins, all filters.
fn octaves_f64(config: &FrontEndConfig, samples: &[i16]) -> Vec<f64> {
    let Filters::Mel { n_mels, f_min, f_max, .. } = config.filters else { panic!("mel filters") };
    let Floor::Added(floor) = config.floor else { panic!("an added floor") };
    let mel = |hz: f64| 2595.0 * (1.0 + hz / 700.0).log10();
    let hertz = |mel: f64| 700.0 * (10.0_f64.powf(mel / 2595.0) - 1.0);
    let (low, high) = (mel(f_min), mel(f_max));
    let edges: Vec<f64> = (0..n_mels + 2).map(|i| hertz(low + (high - low) * i as f64 / (n_mels + 1) as f64)).collect();
    let fft = config.n_fft;
    let mut frames = Vec::new();
    for window in samples.windows(config.win_length).step_by(config.hop_length) {
        let length = window.len() as f64;
        let weighted = window.iter().enumerate().map(|(i, &x)| {
            let window = (PI * (i as f64 + 0.5) / length).sin().powi(2);
            f64::from(x) / 32_768.0 * window
        });
        let x: Vec<f64> = weighted.collect();
        let power = (0..fft / 2).map(|bin| {
            let angle = |i: usize| 2.0 * PI * (bin * i % fft) as f64 / fft as f64;
            let re: f64 = x.iter().enumerate().map(|(i, x)| x * angle(i).cos()).sum();
            let im: f64 = x.iter().enumerate().map(|(i, x)| x * angle(i).sin()).sum();
            re * re + im * im
        });
        let power: Vec<f64> = power.collect();
        for edge in edges.windows(3) {
            let weigh = |(bin, power): (usize, &f64)| {
                let hz = bin as f64 * f64::from(config.sample_rate) / fft as f64;
                power * ((hz - edge[0]) / (edge[1] - edge[0])).min((edge[2] - hz) / (edge[2] - edge[1])).max(0.0)
            };
            let energy: f64 = power.iter().enumerate().map(weigh).sum();
            frames.push((energy + floor).log2());
        }
    }
    frames
}

/// The largest difference in octaves.
fn error(config: &FrontEndConfig, samples: &[i16]) -> f64 {
    let (found, expected) = (pushed(config, samples), octaves_f64(config, samples));
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(&expected).map(|(found, expected)| {
        let octaves = f64::from(*found) / config.scale[0] + config.offset[0];
        (octaves - expected).abs()
    });
    differences.fold(0.0, f64::max)
}

/// A voice-like sound: a buzz whose harmonics wax and wane, with noise, at this level.
fn buzz(rate: u32, length: usize, level: f64) -> Vec<i16> {
    let mut noise = 1_u32;
    let mut sample = |i: usize| {
        let t = i as f64 / f64::from(rate);
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        let harmonic = |n: u32| {
            let n = f64::from(n);
            (2.0 * PI * n * (130.0 * t + 25.0 * t * t)).sin() * (1.0 + (3.0 * n + 9.0 * t).sin()) / n
        };
        let sound = (1..25).map(harmonic).sum::<f64>() * 0.15 + (f64::from(noise) / f64::from(u32::MAX) - 0.5) * 0.02;
        (sound * level * 32_768.0).clamp(-32_768.0, 32_767.0) as i16
    };
    (0..length).map(&mut sample).collect()
}

/// log2 within 2.5e-4, window and weights within 2^-16 of full scale: where a filter hears no more than what another's sound
/// leaks through the window, that counts, so quiet filters beside a loud one are less exact.
#[test]
fn frames_are_those_of_the_definition_in_f64() {
    let speech = FrontEndConfig::thumbformer();
    for level in [1.0, 0.1, 0.003] {
        let found = (error(&speech, &buzz(8000, 2000, level)), error(&wideband(), &buzz(16_000, 2000, level)));
        assert!(found.0 < 1e-3 && found.1 < 1e-3, "octaves at level {level}: {found:?}");
    }
    // A single sine of full scale: 90 dB below it the window's 16 bits are heard.
    let sine: Vec<i16> = (0..600).map(|i| (32_767.0 * (0.7 * f64::from(i)).sin()) as i16).collect();
    let found = (error(&speech, &sine), error(&wideband(), &sine));
    assert!(found.0 < 0.02 && found.1 < 0.02, "octaves for a sine: {found:?}");
}

/// A click alone in a window, at its edge: where the window is 60 dB below its middle, its 16 bits are no longer exact to 1e-3 of
/// twenty octaves.
#[test]
fn a_click_is_exact_where_the_window_is_above_its_last_60_decibels() {
    let config = FrontEndConfig { floor: Floor::Added(1e-12), offset: vec![0.0], ..FrontEndConfig::thumbformer() };
    for place in 0..128 {
        let window = (PI * (f64::from(place) + 0.5) / 256.0).sin().powi(2);
        let mut samples = [0; 256];
        samples[place as usize] = 20_000;
        let error = error(&config, &samples);
        let decibels = 20.0 * window.log10();
        assert!(error < if decibels > -60.0 { 0.02 } else { 1.0 }, "{error} octaves at {decibels} dB");
    }
}

/// On every core: `cargo xtask test bench` compares the frames of another sound on all of them.
#[test]
fn frames_have_the_bits_that_they_always_had() {
    let samples: Vec<i16> =
        (0..8000_u32).map(|i| (i.wrapping_mul(i).wrapping_mul(2_654_435_761) >> 17) as i16).collect();
    let crc = [1, 8, 64, 32_768].map(|divisor| {
        let samples: Vec<i16> = samples.iter().map(|&sample| (i32::from(sample) / divisor) as i16).collect();
        LogitsCrc::new().update(&pushed(&FrontEndConfig::thumbformer(), &samples))
    });
    assert_eq!(crc, [0x6f3c_231b, 0x2f47_5722, 0x267b_6982, 0x04b7_d611], "{crc:08x?}");
}

#[test]
fn silence_is_the_floor_and_the_loudest_sounds_are_finite() {
    let config = FrontEndConfig::thumbformer();
    let silence = ((-14.0 - config.offset[0]) * config.scale[0]) as f32;
    assert!(pushed(&config, &[0; 3000]).iter().all(|&value| value == silence));
    let square = |half: usize| -> Vec<i16> {
        (0..3000).map(|i| if (i / half).is_multiple_of(2) { i16::MAX } else { i16::MIN }).collect()
    };
    // The most that one filter can hear is all that there is: (window / 2)^2, less than 2^15.
    let loudest = ((15.0 - config.offset[0]) * config.scale[0]) as f32;
    for samples in [square(1), square(2), square(3), square(13), square(2000), vec![i16::MIN; 3000], vec![1; 3000]] {
        for value in pushed(&config, &samples) {
            assert!((silence..loudest).contains(&value), "{value}");
        }
    }
}

/// Kaldi's 128 filters of 27 Hz and more between bins of 31 Hz: one is the floor, whatever is heard.
#[test]
fn a_filter_without_a_bin_is_silent() {
    let kaldi = FrontEndConfig { offset: vec![0.0], scale: vec![1.0], ..FrontEndConfig::kaldi() };
    let frames = pushed(&kaldi, &buzz(16_000, 2000, 1.0));
    let floor = f64::from(f32::EPSILON).ln();
    let silent = (0..128).filter(|&band| {
        let all = frames.iter().skip(band).step_by(128);
        all.into_iter().all(|&value| (f64::from(value) - floor).abs() < 1e-3)
    });
    let silent = silent.count();
    assert_eq!(silent, 1, "filters without a bin, of which transformers' mel_filter_bank warns");
}
