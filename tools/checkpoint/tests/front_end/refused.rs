//! Keys that are missing, unknown, out of range or contradictory are refused by name.

use serde_json::{Value, json};
use std::path::Path;
use thumbformer::audio::{FrontEndConfig, Sampling};
use thumbformer_checkpoint::Checkpoint;
use thumbformer_checkpoint::front_end::{named, read, read_preprocessor};

/// An object with these keys beside those of a sound one.
fn with(sound: &Value, keys: &Value) -> Value {
    let (mut object, keys) = (sound.clone(), keys.as_object().expect("an object"));
    for (key, value) in keys {
        object[key] = value.clone();
    }
    object
}

#[test]
fn a_preset_alone_is_the_preset() {
    for (name, expected) in [
        ("torchaudio", FrontEndConfig::torchaudio()),
        ("librosa", FrontEndConfig::librosa()),
        ("kws", FrontEndConfig::kws()),
        ("kaldi", FrontEndConfig::kaldi()),
        ("thumbformer", FrontEndConfig::thumbformer()),
    ] {
        assert_eq!(read(Path::new("config.json"), &json!({"preset": name})).expect(name), expected);
    }
}

#[test]
fn the_keys_of_a_front_end_are_read_or_refused_by_name() {
    let sound = json!({"preset": "kws"});
    let list = vec![1.0; 39];
    for (keys, expected) in [
        (json!({"preset": "kwz"}), "`front_end.preset` is \"kwz\", expected torchaudio or librosa or kws"),
        (json!({"preset": null}), "`front_end.preset` is absent"),
        (json!({"nfft": 512}), "`front_end.nfft` is 512, expected one of the keys"),
        (json!({"n_fft": 1024}), "`front_end.win_length`, `hop_length` is absent"),
        (json!({"n_fft": 400, "win_length": 400, "hop_length": 160}), "nearest is n_fft = 512 with win_length = 400"),
        (json!({"win_length": 600}), "`front_end.win_length` is 600"),
        (json!({"hop_length": 0}), "`front_end.hop_length` is 0"),
        (json!({"sample_rate": 4000}), "`front_end.sample_rate` is 4000, expected 8000 to 48000"),
        (json!({"sample_rate": 8000, "f_max": 5000}), "`front_end.f_max` is 5000"),
        (json!({"window": "kaiser"}), "`front_end.window` is \"kaiser\""),
        (json!({"pad_mode": "edge"}), "`front_end.pad_mode` is \"edge\", expected reflect or constant"),
        (json!({"power": 1.5}), "`front_end.power` is 1.5, expected 2 or 1"),
        (json!({"floor_added": 1e-6, "floor_least": 1e-6}), "one of the two"),
        (json!({"floor_added": 0}), "`front_end.floor_added` is 0, expected a positive number"),
        (json!({"preemphasis": 0.97}), "`front_end.preemphasis_of` is absent, expected signal or frame"),
        (json!({"preemphasis": 1.5, "preemphasis_of": "signal"}), "`front_end.preemphasis` is"),
        (json!({"mean": list.clone()}), "a number, or 40, one for each band"),
        (json!({"std": 0}), "`front_end.scale` is"),
        (json!({"normalize": "band"}), "`front_end.normalize_unbiased` is absent"),
        (json!({"normalize_unbiased": true}), "`front_end.normalize_unbiased` is true, expected one of the keys"),
        (json!({"cut": "middle"}), "`front_end.cut` is \"middle\", expected before or after"),
        (json!({"cut": "after"}), "`front_end.cut` is after, expected absent without top_db and normalize"),
        (json!({"cut": "after", "normalize": "band_mean"}), "expected before, where means or deviations are of a clip"),
        (json!({"top_db": -1}), "`front_end.top_db` is"),
        (json!({"filters": [[1.0, 2.0]]}), "n_fft / 2 + 1 = 257 weights each"),
        (json!({"filters": [vec![1.0; 257]], "n_mels": 3}), "`front_end.n_mels` is 3, expected one of the keys"),
        (json!({"filters": [vec![-1.0; 257]]}), "`front_end.weight of a filter"),
        (json!({"n_mfcc": 41}), "at most the number of bands (40)"),
        (json!({"n_mfcc": 13, "mean": 1.0}), "absent beside n_mfcc"),
        (json!({"n_mfcc": 13, "normalize": "max"}), "none or band_mean beside n_mfcc"),
        (json!({"n_mfcc": 13, "lifter": 22}), "`front_end.lifter_of` is absent"),
        (json!({"dct": "none"}), "`front_end.dct` is \"none\", expected one of the keys"),
    ] {
        let error = read(Path::new("config.json"), &with(&sound, &keys)).expect_err(expected).to_string();
        assert!(error.starts_with("config.json: ") && error.contains(expected), "expected {expected:?}: {error}");
    }
}

#[test]
fn a_rate_of_its_own_moves_the_upper_edge_and_a_window_of_its_own_is_kept() {
    let keys = json!({"preset": "torchaudio", "sample_rate": 8000, "window_sampling": "symmetric", "n_mels": 20});
    let config = read(Path::new("config.json"), &keys).expect("a front end");
    let torch = FrontEndConfig::torchaudio();
    let thumbformer::audio::Filters::Mel { n_mels, f_max, .. } = config.filters else { panic!("mel filters") };
    assert_eq!((n_mels, f_max, config.sample_rate), (20, 4000.0, 8000));
    assert_eq!((config.window.sampling, config.window.shape), (Sampling::Symmetric, torch.window.shape));
}

#[test]
fn the_keys_of_an_extractor_are_read_or_refused_by_name() {
    let ast = json!({"feature_extractor_type": "ASTFeatureExtractor", "sampling_rate": 16000, "max_length": 128});
    let found = read_preprocessor(Path::new("p.json"), &ast).expect("AST");
    assert_eq!((found.front_end, found.frames), (FrontEndConfig::kaldi(), 128));
    for (keys, expected) in [
        (json!({"feature_extractor_type": "Wav2Vec2FeatureExtractor"}), "plain samples"),
        (json!({"feature_extractor_type": "Speech2TextFeatureExtractor"}), "`feature_extractor_type` is Speech2Text"),
        (json!({"feature_extractor_type": "ClapFeatureExtractor"}), "ASTFeatureExtractor or WhisperFeatureExtractor"),
        (json!({"feature_extractor_type": null}), "`feature_extractor_type` is absent"),
        (json!({"sampling_rate": 8000}), "`sampling_rate` is 8000, expected 16000"),
        (json!({"window_type": "povey"}), "`window_type` is \"povey\", expected one of the keys"),
        (json!({"std": 0.0}), "`std` is 0.0, expected a positive number"),
        (json!({"num_mel_bins": 300}), "`number of bands` is 300"),
        (json!({"feature_extractor_type": "WhisperFeatureExtractor"}), "`max_length` is 128"),
    ] {
        let error = read_preprocessor(Path::new("p.json"), &with(&ast, &keys)).expect_err(expected).to_string();
        assert!(error.starts_with("p.json: ") && error.contains(expected), "expected {expected:?}: {error}");
    }
    // The published Whisper models.
    let whisper = json!({"feature_extractor_type": "WhisperFeatureExtractor", "n_fft": 400, "feature_size": 80});
    let error = read_preprocessor(Path::new("p.json"), &whisper).expect_err("400 samples").to_string();
    assert!(error.contains("`n_fft` is 400, expected a power of two"), "{error}");
    let random = with(&whisper, &json!({"n_fft": 512, "dither": 0.1}));
    let error = read_preprocessor(Path::new("p.json"), &random).expect_err("dithering").to_string();
    assert!(error.contains("`dither` is 0.1"), "{error}");
}

#[test]
fn a_front_end_is_the_same_from_a_preset_s_name_an_object_and_a_config_that_has_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.json");
    for value in [json!({"preset": "kws"}), json!({"front_end": {"preset": "kws"}}), json!({"front_end": "kws"})] {
        std::fs::write(&file, value.to_string()).expect("the folder is writable");
        let found = named(file.to_str().expect("UTF-8")).unwrap_or_else(|error| panic!("{value}: {error}"));
        assert_eq!(found, FrontEndConfig::kws(), "{value}");
    }
}

/// The digits model has 40 numbers of a frame, and 20 bands.
#[test]
fn a_frame_of_bands_is_not_described_twice() {
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/digits/checkpoint");
    let text = std::fs::read_to_string(digits.join("config.json")).expect("a config");
    let config: Value = serde_json::from_str(&text).expect("a config");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(digits.join("model.safetensors"), folder.path().join("model.safetensors")).expect("weights");
    let load = |keys: Value| {
        let text = with(&config, &keys).to_string();
        std::fs::write(folder.path().join("config.json"), text).expect("the folder is writable");
        Checkpoint::load(folder.path(), None).map_err(|error| error.to_string())
    };
    for keys in [json!({"frame_samples": 2, "frame_hop": 1}), json!({"frame_hop": 1})] {
        let loaded = load(keys).expect("what the front end says too");
        assert_eq!((loaded.config.frame_samples, loaded.config.frame_hop), (2, 1));
    }
    for (keys, expected) in [
        (json!({"frame_hop": 3}), "`frame_hop` is 3, expected at most 2"),
        (json!({"frame_samples": 4}), "`frame_samples` is 4, expected 2, or absent"),
        (json!({"frame_samples": 20, "columns": ["x", "y"]}), "`frame_samples` is 20, expected 2, or absent"),
        (json!({"frame_samples": 2, "columns": vec!["x"; 20]}), "`columns` is present, expected absent"),
    ] {
        let error = load(keys).expect_err(expected);
        assert!(error.contains(expected), "expected {expected:?}: {error}");
    }
}
