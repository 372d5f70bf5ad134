//! The front end of an image: the bits of its frames, whatever the portions; clips; and what is refused.

use proptest::prelude::*;
use std::sync::LazyLock;
use thumbformer::audio::layout::word;
use thumbformer::audio::{
    Buffers, Cut, Deviation, Fill, Filters, Floor, FrameLength, FrontEnd, FrontEndConfig, HostBuffers, MelNorm,
    MelScale, Normalize, PadMode, Preemphasis, Sampling, Spectrum, Window, WindowShape,
};
use thumbformer::{Error, LogitsCrc};

/// Noise that falls silent in steps.
fn noise(length: u32) -> Vec<i16> {
    let loud = |i: u32| (i.wrapping_mul(i).wrapping_mul(2_654_435_761) >> 17) as i16;
    (0..length).map(|i| loud(i) >> (4 * (4 * i / length))).collect()
}

/// The frames of a stream in portions of these lengths, over and over.
fn pushed(words: &[u32], samples: &[i16], portions: &[usize]) -> Vec<f32> {
    let front_end = FrontEnd::parse(words).expect("a front end");
    let mut buffers = HostBuffers::new(&front_end);
    let mut extractor = front_end.extractor(buffers.memory()).expect("memory of its size");
    let (mut frames, mut rest) = (Vec::new(), samples);
    for &portion in portions.iter().cycle() {
        let (now, later) = rest.split_at(portion.min(rest.len()));
        extractor.push(now, |frame| frames.extend(frame)).expect("a front end for streams");
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    frames
}

/// The frames of a clip.
fn clip(words: &[u32], samples: &[i16], frames: usize) -> Result<(usize, Vec<f32>), Error> {
    let front_end = FrontEnd::parse(words)?;
    let mut clip = vec![f32::NAN; frames * front_end.bands()];
    let own = front_end.extractor(HostBuffers::new(&front_end).memory())?.clip(samples, &mut clip)?;
    Ok((own, clip))
}

/// On every core: `cargo xtask test bench` compares the frames of another sound on all of them.
#[test]
fn the_front_end_for_speech_has_the_bits_that_it_always_had() {
    let words = FrontEndConfig::thumbformer().words().expect("a preset");
    let crc = [1, 8, 64, 32_768].map(|divisor| {
        let loud = |i: u32| (i.wrapping_mul(i).wrapping_mul(2_654_435_761) >> 17) as i16;
        let samples: Vec<i16> = (0..8000).map(|i| (i32::from(loud(i)) / divisor) as i16).collect();
        let frames = pushed(&words, &samples, &[usize::MAX]);
        let (own, found) = clip(&words, &samples, 49).expect("a clip");
        assert!(own == 49 && found == frames[..49 * 20], "clip, divisor {divisor}");
        LogitsCrc::new().update(&frames)
    });
    assert_eq!(crc, [0x6f3c_231b, 0x2f47_5722, 0x267b_6982, 0x04b7_d611], "{crc:08x?}");
}

/// Front ends of every kind of setting.
fn configs() -> Vec<(&'static str, FrontEndConfig)> {
    let (kws, kaldi, torch) = (FrontEndConfig::kws(), FrontEndConfig::kaldi(), FrontEndConfig::torchaudio());
    let shape = |shape, sampling| Window { shape, sampling };
    let table: Vec<f64> = (0..6 * 129).map(|i| f64::from(i % 7) * if i / 129 == 3 { 0.0 } else { 1e-3 }).collect();
    vec![
        ("thumbformer", FrontEndConfig::thumbformer()),
        ("kws", kws.clone()),
        ("kaldi", kaldi.clone()),
        ("torchaudio", torch.clone()),
        ("librosa", FrontEndConfig::librosa()),
        ("centred in zeros", FrontEndConfig { center: true, ..kws.clone() }),
        ("long hop", FrontEndConfig { hop_length: 1300, ..kws.clone() }),
        ("odd window", FrontEndConfig { win_length: 401, hop_length: 163, ..kws.clone() }),
        ("odd symmetric window", FrontEndConfig { win_length: 401, frame: FrameLength::Window, ..kaldi.clone() }),
        (
            "whole window",
            FrontEndConfig {
                win_length: 512,
                window: shape(WindowShape::Rectangular, Sampling::Symmetric),
                preemphasis: Preemphasis::Signal(0.97),
                ..kws.clone()
            },
        ),
        ("emphasis, reflected", FrontEndConfig { preemphasis: Preemphasis::Signal(0.9), ..torch.clone() }),
        ("magnitude", FrontEndConfig { spectrum: Spectrum::Magnitude, full_scale: 32_768.0, ..kws.clone() }),
        ("hamming", FrontEndConfig { window: shape(WindowShape::Hamming, Sampling::Periodic), ..kws.clone() }),
        ("povey", FrontEndConfig { window: shape(WindowShape::Povey, Sampling::Symmetric), ..kws.clone() }),
        ("blackman", FrontEndConfig { window: shape(WindowShape::Blackman, Sampling::Periodic), ..kws.clone() }),
        ("rectangle", FrontEndConfig { window: shape(WindowShape::Rectangular, Sampling::HalfStep), ..kws.clone() }),
        (
            "table",
            FrontEndConfig {
                sample_rate: 48_000,
                n_fft: 256,
                win_length: 200,
                filters: Filters::Table { bands: 6, weights: table },
                spectrum: Spectrum::Magnitude,
                ..kws.clone()
            },
        ),
        (
            "bands of their own",
            FrontEndConfig { offset: vec![1.5; 40], scale: (1..41).map(f64::from).collect(), ..kws.clone() },
        ),
        ("mean of a band", FrontEndConfig { normalize: Normalize::BandMean, ..kws.clone() }),
        (
            "deviation of a band",
            FrontEndConfig { normalize: Normalize::Band(Deviation { unbiased: true, epsilon: 1e-5 }), ..kws.clone() },
        ),
        ("mean of all", FrontEndConfig { normalize: Normalize::ClipMean, fill: Fill::Frames, ..kws.clone() }),
        (
            "deviation of all",
            FrontEndConfig { normalize: Normalize::Clip(Deviation { unbiased: false, epsilon: 0.0 }), ..kws.clone() },
        ),
        ("largest", FrontEndConfig { normalize: Normalize::Max, top_db: Some(4.0), clip_samples: 9000, ..kws }),
    ]
}

#[test]
fn a_stream_has_the_frames_of_a_clip_whatever_its_portions() {
    let samples = noise(9000);
    let mut streams = 0;
    for (name, config) in configs() {
        let words = config.words().unwrap_or_else(|error| panic!("{name}: {error}"));
        let front_end = FrontEnd::parse(&words).expect(name);
        if front_end.streams().is_err() || config.fill == Fill::Frames {
            continue;
        }
        streams += 1;
        let expected = pushed(&words, &samples, &[usize::MAX]);
        for portions in [&[1][..], &[2, 3, 501], &[512, 1], &[513], &[1024, 2047, 5]] {
            assert!(expected == pushed(&words, &samples, portions), "{name}: portions of {portions:?}");
        }
        let (own, frames) = clip(&words, &samples, front_end.frames(9000)).expect(name);
        assert_eq!(own, front_end.frames(9000), "{name}");
        let both = expected.len().min(frames.len());
        let beyond = if config.center { 2 } else { 0 };
        assert!(both >= frames.len() - beyond * front_end.bands(), "{name}: {both} values of {}", frames.len());
        assert!(expected[..both] == frames[..both], "{name}: the clip");
    }
    assert!(streams >= 10, "{streams} front ends stream");
}

#[test]
fn front_ends_that_need_the_end_of_a_recording_refuse_streams_by_name() {
    let kws = FrontEndConfig::kws();
    for (expected, config) in [
        ("top_db", FrontEndConfig { top_db: Some(80.0), ..kws.clone() }),
        ("normalize", FrontEndConfig { normalize: Normalize::Max, ..kws.clone() }),
        ("pad_mode", FrontEndConfig { center: true, pad_mode: PadMode::Reflect, ..kws }),
    ] {
        let words = config.words().expect(expected);
        let front_end = FrontEnd::parse(&words).expect(expected);
        let mut buffers = Buffers::<512, 40>::new();
        let mut extractor = front_end.extractor(buffers.memory()).expect(expected);
        let error = extractor.push(&[0; 1000], |_| ()).expect_err(expected).to_string();
        assert!(error.starts_with(expected) && error.contains("a stream has no end"), "{error}");
        assert!(extractor.clip(&[0; 1000], &mut [0.0; 40]).is_ok());
    }
}

#[test]
fn a_clip_is_cut_off_or_filled_up() {
    let samples = noise(9000);
    let kws = FrontEndConfig::kws();
    let words = kws.words().expect("a preset");
    let front_end = FrontEnd::parse(&words).expect("a front end");
    assert_eq!((front_end.frames(511), front_end.frames(512), front_end.frames(9000)), (0, 1, 54));
    assert_eq!((front_end.samples(0), front_end.samples(1), front_end.samples(54)), (0, 512, 8992));
    // Cut off, and filled up with silence.
    let (own, all) = clip(&words, &samples, 54).expect("a clip");
    assert_eq!(own, 54);
    assert_eq!(clip(&words, &samples, 30).expect("a shorter clip"), (30, all[..30 * 40].to_vec()));
    let silent: Vec<i16> = samples[..2000].iter().copied().chain([0; 7000]).collect();
    let padded = clip(&words, &silent, 54).expect("a padded clip").1;
    assert_eq!(clip(&words, &samples[..2000], 54).expect("a short clip"), (10, padded));
    // Filled up with frames: 0, less the offset, times the scale.
    let kaldi = FrontEndConfig { offset: vec![2.0], scale: vec![0.5], ..FrontEndConfig::kaldi() };
    let words = kaldi.words().expect("a preset");
    let (own, frames) = clip(&words, &samples[..2000], 20).expect("a short clip");
    assert_eq!(own, 11);
    assert!(frames[11 * 128..].iter().all(|value| (value + 1.0).abs() < 1e-5), "{:?}", &frames[11 * 128..][..5]);
    // A clip of known length comes first: what follows it is not heard.
    let known = FrontEndConfig { center: true, clip_samples: 5000, ..kws };
    let words = known.words().expect("a clip length");
    assert_eq!(clip(&words, &samples, 32), clip(&words, &samples[..5000], 32));
    assert_eq!(clip(&words, &samples, 33), Err(Error::FrontEnd { name: "frames of a clip", found: 33 }));
}

#[test]
fn a_clip_that_is_none_is_refused() {
    let words = FrontEndConfig::kws().words().expect("a preset");
    assert_eq!(clip(&words, &[0; 511], 1), Err(Error::RecordingTooShort { expected: 512, found: 511 }));
    assert_eq!(clip(&words, &[0; 512], 0), Err(Error::FrontEnd { name: "length of the buffer of frames", found: 0 }));
    let front_end = FrontEnd::parse(&words).expect("a front end");
    let (mut short, mut few) = (Buffers::<256, 40>::new(), Buffers::<512, 39>::new());
    for (memory, expected) in
        [(short.memory(), "FFT of the buffers = 256"), (few.memory(), "bands of the buffers = 39")]
    {
        let error = front_end.extractor(memory).expect_err("memory of another size").to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let mut buffers = Buffers::<512, 64>::new();
    let mut extractor = front_end.extractor(buffers.memory()).expect("more bands are room");
    let error = extractor.clip(&[0; 600], &mut [0.0; 41]).expect_err("half a frame");
    assert_eq!(error, Error::FrontEnd { name: "length of the buffer of frames", found: 41 });
    let reflected = FrontEndConfig::torchaudio().words().expect("a preset");
    assert_eq!(clip(&reflected, &[0; 256], 2), Err(Error::RecordingTooShort { expected: 257, found: 256 }));
    assert!(clip(&reflected, &[0; 257], 2).is_ok());
}

/// Each setting that is out of range, with the words that name it.
#[test]
fn settings_out_of_range_are_refused_by_name() {
    let kws = FrontEndConfig::kws;
    let mel = |n_mels, f_min, f_max| Filters::Mel { n_mels, scale: MelScale::Htk, norm: MelNorm::None, f_min, f_max };
    let table = |weight| Filters::Table { bands: 2, weights: vec![weight; 2 * 257] };
    for (expected, config) in [
        ("7999 Hz", FrontEndConfig { sample_rate: 7999, filters: mel(9, 0.0, 3000.0), ..kws() }),
        ("48001 Hz", FrontEndConfig { sample_rate: 48_001, ..kws() }),
        ("n_fft = 400, nearest: n_fft = 512 with win_length = 400", FrontEndConfig { n_fft: 400, ..kws() }),
        ("n_fft = 32", FrontEndConfig { n_fft: 32, win_length: 32, ..kws() }),
        ("n_fft = 4096", FrontEndConfig { n_fft: 4096, ..kws() }),
        ("win_length = 513", FrontEndConfig { win_length: 513, ..kws() }),
        ("win_length = 1", FrontEndConfig { win_length: 1, ..kws() }),
        ("hop_length = 0", FrontEndConfig { hop_length: 0, ..kws() }),
        ("hop_length = 65536", FrontEndConfig { hop_length: 65_536, ..kws() }),
        ("number of bands = 0", FrontEndConfig { filters: mel(0, 20.0, 8000.0), ..kws() }),
        ("number of bands = 257", FrontEndConfig { filters: mel(257, 20.0, 8000.0), ..kws() }),
        ("f_max = 8001", FrontEndConfig { filters: mel(40, 20.0, 8001.0), ..kws() }),
        ("f_min = 8000", FrontEndConfig { filters: mel(40, 8000.0, 8000.0), ..kws() }),
        ("weight of a filter", FrontEndConfig { filters: table(-1.0), ..kws() }),
        ("weight of a filter", FrontEndConfig { filters: table(f64::NAN), ..kws() }),
        ("weights of the filters", FrontEndConfig { n_fft: 1024, filters: table(1.0), ..kws() }),
        ("floor", FrontEndConfig { floor: Floor::Least(0.0), ..kws() }),
        ("floor", FrontEndConfig { floor: Floor::Added(-1.0), ..kws() }),
        ("floor", FrontEndConfig { floor: Floor::Added(f64::NAN), ..kws() }),
        ("unit of the energies", FrontEndConfig { amplitude: 0.0, ..kws() }),
        ("offset", FrontEndConfig { offset: vec![0.0; 2], ..kws() }),
        ("offset", FrontEndConfig { offset: vec![f64::NAN], ..kws() }),
        ("offset", FrontEndConfig { offset: vec![1000.0], ..kws() }),
        ("scale", FrontEndConfig { scale: vec![0.0], ..kws() }),
        ("scale", FrontEndConfig { scale: vec![], ..kws() }),
        ("scale", FrontEndConfig { scale: vec![f64::INFINITY], ..kws() }),
        ("preemphasis", FrontEndConfig { preemphasis: Preemphasis::Frame(1.1), ..kws() }),
        ("preemphasis", FrontEndConfig { preemphasis: Preemphasis::Signal(f64::NAN), ..kws() }),
        ("top_db", FrontEndConfig { top_db: Some(0.0), ..kws() }),
        ("top_db", FrontEndConfig { top_db: Some(f64::NAN), ..kws() }),
        (
            "epsilon",
            FrontEndConfig { normalize: Normalize::Clip(Deviation { unbiased: true, epsilon: -1.0 }), ..kws() },
        ),
    ] {
        let error = config.words().expect_err(expected).to_string();
        assert!(error.starts_with(expected), "expected {expected:?}, found {error:?}");
    }
}

/// Words that a later version gives a meaning are refused by this one.
#[test]
fn unknown_words_are_refused_by_name() {
    let sound = FrontEndConfig::kws().words().expect("a preset");
    let check = |index: usize, value: u32| {
        let mut words = sound.clone();
        words[index] = value;
        FrontEnd::parse(&words).expect_err("a value without meaning").to_string()
    };
    for (index, value, name) in [
        (word::PADDING, 2, "pad_mode = 2"),
        (word::SYMMETRY, 3, "symmetry of the window = 3"),
        (word::SPECTRUM, 2, "power = 2"),
        (word::FILTERS, 2, "kind of filters = 2"),
        (word::LOGARITHM, 1, "logarithm = 1"),
        (word::FLOOR, 2, "kind of floor = 2"),
        (word::REMOVE_DC, 2, "remove_dc = 2"),
        (word::PREEMPHASIS, 3, "kind of preemphasis = 3"),
        (word::COEFFICIENT, 1, "preemphasis = 1"),
        (word::ROW_PER_BAND, 2, "rows of the table of bands = 2"),
        (word::SHORT, 2, "filling of short clips = 2"),
        (word::NORMALIZE, 6, "normalize = 6"),
        (word::DEVIATION, 1, "standard deviation of the normalised clip = 1"),
        (word::EPSILON, 1, "epsilon of the normalisation = 1"),
        (word::UNBIASED, 1, "unbiased variance = 1"),
        (word::RESERVED, 7, "word that has no meaning yet = 7"),
        (31, 7, "word that has no meaning yet = 7"),
    ] {
        let error = check(index, value);
        assert!(error.starts_with(name), "expected {name:?}, found {error:?}");
    }
    let cut = FrontEnd::parse(&sound[..sound.len() - 1]).expect_err("a cut table").to_string();
    assert!(cut.starts_with("number of words"), "{cut}");
    assert!(
        FrontEnd::parse(&sound[..31]).expect_err("a cut header").to_string().starts_with("words of the header = 31")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_words_are_refused_or_give_finite_frames(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), nasty_word(), any::<bool>()), 0..5),
        samples in prop::collection::vec(prop_oneof![any::<i16>(), -3..3_i16, Just(0), Just(i16::MIN)], 0..2500),
        portion in 1..700_usize,
        slots in 1..20_usize,
    ) {
        let mut words = WORDS[which.index(WORDS.len())].clone();
        for (index, value, in_header) in changes {
            let range = if in_header { words.len().min(32) } else { words.len() };
            words[index.index(range)] = value;
        }
        let Ok(front_end) = FrontEnd::parse(&words) else { return Ok(()) };
        let mut buffers = HostBuffers::new(&front_end);
        let mut extractor = front_end.extractor(buffers.memory()).expect("memory of its size");
        let mut finite = true;
        for samples in samples.chunks(portion) {
            let _ = extractor.push(samples, |frame| finite &= frame.iter().all(|value| value.is_finite()));
        }
        let mut frames = vec![0.0; slots * front_end.bands()];
        let _ = extractor.clip(&samples, &mut frames);
        prop_assert!(finite && frames.iter().all(|value| value.is_finite()));
        let _ = (front_end.frames(usize::MAX), front_end.samples(usize::MAX), front_end.clip_samples(slots));
    }
}

/// The words of all front ends above.
static WORDS: LazyLock<Vec<Vec<u32>>> =
    LazyLock::new(|| configs().iter().map(|(name, config)| config.words().expect(name)).collect());

/// Words that matter more than others.
fn nasty_word() -> impl Strategy<Value = u32> {
    let limits = vec![0, 1, u32::MAX, 1 << 31, 0x7f80_0000, 0x7fc0_0000, 0x7f7f_ffff, 65_535, 65_536, 1 << 22];
    prop_oneof![any::<u32>(), 0..6_u32, 0..3000_u32, prop::sample::select(limits)]
}

/// torchaudio and librosa take the largest value of all frames, whatever a script then cuts off; Whisper cuts first.
#[test]
fn a_cut_says_whether_frames_beyond_those_that_are_asked_for_count_for_the_largest_value() {
    let mut samples = noise(5000);
    samples.iter_mut().for_each(|sample| *sample >>= 6);
    samples.extend(noise(600));
    for config in [
        FrontEndConfig { top_db: Some(4.0), ..FrontEndConfig::kws() },
        FrontEndConfig { normalize: Normalize::Max, ..FrontEndConfig::kws() },
    ] {
        let cut = |cut| FrontEndConfig { cut, ..config.clone() }.words().expect("a front end");
        let all = FrontEnd::parse(&cut(None)).expect("a front end").frames(samples.len());
        let read = all - 4;
        let whole = clip(&cut(None), &samples, all).expect("a clip").1;
        let of = |settings| clip(&cut(settings), &samples, read).expect("a clip").1;
        assert!(of(Some(Cut::After)) == whole[..read * 40], "all frames count");
        let (before, unknown) = (of(Some(Cut::Before)), of(None));
        assert!(before == unknown && before != whole[..read * 40], "the loud end does not count");
        assert!(clip(&cut(Some(Cut::After)), &samples, all).expect("a clip").1 == whole, "none are cut off");
    }
    for config in [
        FrontEndConfig { normalize: Normalize::ClipMean, ..FrontEndConfig::kws() },
        FrontEndConfig { normalize: Normalize::BandMean, top_db: Some(4.0), ..FrontEndConfig::kws() },
        FrontEndConfig::kws(),
    ] {
        let words = FrontEndConfig { cut: Some(Cut::After), ..config }.words();
        assert_eq!(words, Err(Error::FrontEnd { name: "cut", found: 1 }));
    }
}
