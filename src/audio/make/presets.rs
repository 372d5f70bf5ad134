//! Front ends that models are trained with.

use super::config::{
    Fill, Filters, Floor, FrameLength, FrontEndConfig, Logarithm, MelNorm, MelScale, Normalize, PadMode, Preemphasis,
    Spectrum,
};
use super::window::{Sampling, Window, WindowShape};
use std::vec;

impl FrontEndConfig {
    /// `torch.log(torchaudio.transforms.MelSpectrogram(16000, n_fft=512, win_length=400)(x) + 1e-6)`: its own defaults but for
    /// `n_fft`, which would be 400.
    pub fn torchaudio() -> Self {
        FrontEndConfig {
            sample_rate: 16_000,
            n_fft: 512,
            win_length: 400,
            hop_length: 200,
            window: Window { shape: WindowShape::Hann, sampling: Sampling::Periodic },
            frame: FrameLength::Fft,
            center: true,
            pad_mode: PadMode::Reflect,
            spectrum: Spectrum::Power,
            amplitude: 1.0,
            filters: Filters::Mel { n_mels: 128, scale: MelScale::Htk, norm: MelNorm::None, f_min: 0.0, f_max: 8000.0 },
            logarithm: Logarithm::Natural,
            floor: Floor::Added(1e-6),
            preemphasis: Preemphasis::None,
            remove_dc: false,
            full_scale: 1.0,
            offset: vec![0.0],
            scale: vec![1.0],
            clip_samples: 0,
            fill: Fill::Silence,
            top_db: None,
            normalize: Normalize::None,
            cut: None,
            mfcc: None,
        }
    }

    /// `librosa.power_to_db(librosa.feature.melspectrogram(y=x, sr=22050))`, with their own defaults.
    pub fn librosa() -> Self {
        FrontEndConfig {
            sample_rate: 22_050,
            n_fft: 2048,
            win_length: 2048,
            hop_length: 512,
            pad_mode: PadMode::Zeros,
            filters: Filters::Mel {
                n_mels: 128,
                scale: MelScale::Slaney,
                norm: MelNorm::Slaney,
                f_min: 0.0,
                f_max: 11_025.0,
            },
            logarithm: Logarithm::PowerDecibel,
            floor: Floor::Least(1e-10),
            top_db: Some(80.0),
            ..Self::torchaudio()
        }
    }

    /// Keyword spotting at 16 kHz: 40 bands from 20 to 8000 Hz, windows of 25 ms every 10 ms, without padding, so that it
    /// streams: `torch.log(MelSpectrogram(16000, 512, 400, 160, f_min=20, n_mels=40, center=False)(x) + 1e-6)`.
    pub fn kws() -> Self {
        FrontEndConfig {
            hop_length: 160,
            center: false,
            pad_mode: PadMode::Zeros,
            filters: Filters::Mel { n_mels: 40, scale: MelScale::Htk, norm: MelNorm::None, f_min: 20.0, f_max: 8000.0 },
            ..Self::torchaudio()
        }
    }

    /// Kaldi's `fbank` as transformers' `ASTFeatureExtractor` calls it, with AudioSet's mean and deviation.
    pub fn kaldi() -> Self {
        FrontEndConfig {
            hop_length: 160,
            window: Window { shape: WindowShape::Hann, sampling: Sampling::Symmetric },
            frame: FrameLength::Window,
            center: false,
            pad_mode: PadMode::Zeros,
            filters: Filters::Mel {
                n_mels: 128,
                scale: MelScale::Kaldi,
                norm: MelNorm::None,
                f_min: 20.0,
                f_max: 8000.0,
            },
            floor: Floor::Least(f64::from(f32::EPSILON)),
            preemphasis: Preemphasis::Frame(0.97),
            remove_dc: true,
            offset: vec![-4.267_739_3],
            scale: vec![0.5 / 4.568_997_4],
            fill: Fill::Frames,
            ..Self::torchaudio()
        }
    }

    /// Speech at 8000 samples per second, for small chips: 20 bands, windows of 32 ms every 20 ms, log2 in quarters. The
    /// default digits model was trained with it.
    pub fn thumbformer() -> Self {
        FrontEndConfig {
            sample_rate: 8000,
            n_fft: 256,
            win_length: 256,
            hop_length: 160,
            window: Window { shape: WindowShape::Hann, sampling: Sampling::HalfStep },
            frame: FrameLength::Window,
            center: false,
            pad_mode: PadMode::Zeros,
            filters: Filters::Mel { n_mels: 20, scale: MelScale::Htk, norm: MelNorm::None, f_min: 80.0, f_max: 3800.0 },
            logarithm: Logarithm::Two,
            floor: Floor::Added(1.0 / 16_384.0),
            offset: vec![-3.0],
            scale: vec![0.25],
            ..Self::torchaudio()
        }
    }
}
