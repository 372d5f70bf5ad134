"""Frames of recordings by torchaudio, librosa and transformers: the golden vectors of the audio front end.

Every front end is called as a training script calls it. Samples are those of 20 recordings and of generated sounds, taken as if they had
each front end's own rate. Of all frames some are kept, in 16 bits between the smallest and the largest value.

    python audio_files.py whole FOLDER    # writes all frames
    python audio_files.py speak           # writes audio/recordings by espeak-ng

Licence: MIT OR Apache-2.0, the generated files too; the recordings are the output of `espeak-ng` for words of this project.
"""

import json
import sys
import wave
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
DIGITS = HERE.parents[1] / "models/digits"
RECORDINGS = [DIGITS / "fixtures", HERE / "keywords/recordings", HERE / "audio/recordings"]
# Words of `audio/recordings`: voice, and bits by which they are quieter than half of full scale.
SPOKEN = [("left", "en-gb", "Annie", 0), ("stop", "en-us", "aunty", 1), ("yes", "en-029", "m5", 3), ("music", "en-gb-x-rp", "klatt3", 5),
          ("hush", "en-us-nyc", "whisper", 0)]
# Values that are kept of a front end and a sound, about.
KEPT = 100
PRESETS = ["torchaudio", "librosa", "kws", "kaldi"]
SAMPLES = 6000


def recordings():
    """Samples of the recordings, 16 bits."""
    found = {}
    for path in sorted(path for folder in RECORDINGS for path in folder.glob("*.wav")):
        with wave.open(str(path)) as recording:
            assert (recording.getnchannels(), recording.getsampwidth()) == (1, 2), path
            found[path.stem] = np.frombuffer(recording.readframes(recording.getnframes()), "<i2")
    assert len(found) == 20, f"{len(found)} recordings"
    return found


def white():
    """White noise of full scale: the 16 highest bits of xorshift32 with the seed 1."""
    state = 1
    while True:
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        yield (state >> 16) - 32768


def pink():
    """Pink noise by Voss and McCartney: white noise, and twelve rows of it of which row `k` changes every `2^(k + 1)` samples."""
    noise, rows, number = white(), [0] * 12, 0
    while True:
        number += 1
        row = (number & -number).bit_length() - 1
        if row < len(rows):
            rows[row] = next(noise)
        yield sum(rows) + next(noise) >> 4


def generated():
    """Samples, 16 bits: integers all the way, so that the test makes the same."""
    found = {}
    for name, noise, levels in [("white", white(), [0, 18, 36, 54, 72]), ("pink", pink(), [0, 18, 36, 48])]:
        noise = np.array([next(noise) for _ in range(SAMPLES)])
        # A bit is 6 dB.
        found |= {f"{name} {-level} dB": noise >> level // 6 for level in levels}
    phase, speed, glide = 0, 20_000_000, []
    for _ in range(SAMPLES):
        phase, speed = (phase + speed) & 0xFFFFFFFF, speed + 100_000
        signed = phase - (phase >> 31 << 32)
        glide.append(min(abs(signed >> 15) - 32768, 32767))
    found["glide"] = np.array(glide)
    found["clicks"] = np.where(np.arange(SAMPLES) % 997 == 100, 20000, 0)
    found["fading noise"] = found["white 0 dB"] >> (np.arange(SAMPLES) // 500)
    return {name: samples.astype(np.int16) for name, samples in found.items()}


def speak():
    """Writes `audio/recordings`."""
    sys.path.append(str(DIGITS))
    import data

    RECORDINGS[2].mkdir(parents=True, exist_ok=True)
    for word, accent, variant, bits in SPOKEN:
        samples = np.round(data.speak(word, accent, variant, speed=160, pitch=50)).astype(np.int16) >> bits
        data.write_wav(RECORDINGS[2] / f"{word}_{variant}.wav", samples)


def extractors():
    from transformers import ASTFeatureExtractor, WhisperFeatureExtractor

    return {
        "ast": ASTFeatureExtractor(max_length=20),
        "whisper": WhisperFeatureExtractor(feature_size=40, n_fft=512, chunk_length=1),
    }


def front_ends():
    """Functions of a float32 array of samples, to `[frames, bands]`."""
    import librosa
    import torch
    import torchaudio
    import torchaudio.compliance.kaldi as kaldi
    from torchaudio.transforms import MFCC, AmplitudeToDB, MelSpectrogram, Spectrogram
    from transformers import ASTFeatureExtractor

    def mel(after, before=lambda x: x, **settings):
        spectrogram = MelSpectrogram(**settings)
        return lambda x: after(spectrogram(before(torch.from_numpy(x)))).T.numpy()

    def natural(floor):
        return lambda energies: torch.log(energies + floor)

    def least(floor, logarithm):
        return lambda energies: logarithm(torch.clamp(energies, min=floor))

    def by_librosa(after, rate, **settings):
        return lambda x: after(librosa.feature.melspectrogram(y=x, sr=rate, **settings)).T

    def by_kaldi(factor, call=kaldi.fbank, **settings):
        return lambda x: call(torch.from_numpy(x * factor).unsqueeze(0), **settings).numpy()

    ast, whisper = extractors().values()
    plain_ast = ASTFeatureExtractor(num_mel_bins=64, max_length=20, do_normalize=False)
    kws = dict(sample_rate=16000, n_fft=512, win_length=400, hop_length=160, f_min=20, n_mels=40, center=False)

    def band_deviation(energies):
        bands = torch.log(energies + 1e-6)
        return (bands - bands.mean(dim=1, keepdim=True)) / (bands.std(dim=1, keepdim=True) + 0.5)

    def clip_deviation(energies):
        bands = torch.log(energies + 1e-6).numpy()
        return torch.from_numpy((bands - bands.mean()) / bands.std())

    return {
        # Presets.
        "torchaudio": mel(natural(1e-6), sample_rate=16000, n_fft=512, win_length=400, hop_length=200),
        "librosa": by_librosa(librosa.power_to_db, 22050),
        "kws": mel(natural(1e-6), **kws),
        "kaldi": lambda x: ast(x, sampling_rate=16000, return_tensors="np")["input_values"][0],
        # Variants.
        "torchaudio, slaney": mel(least(1e-10, torch.log), sample_rate=16000, n_fft=512, hop_length=160, n_mels=64,
                                  norm="slaney", mel_scale="slaney", f_min=60.0, f_max=7600.0),
        "torchaudio, magnitude": mel(least(1e-5, torch.log10), sample_rate=8000, n_fft=256, hop_length=80, n_mels=32,
                                     power=1.0),
        "torchaudio, decibel": mel(AmplitudeToDB("power", top_db=80), sample_rate=16000, n_fft=1024, win_length=640,
                                   hop_length=320, n_mels=64),
        "torchaudio, amplitude": mel(AmplitudeToDB("magnitude"), sample_rate=16000, n_fft=512, hop_length=256, n_mels=40,
                                     power=1.0, pad_mode="constant"),
        "torchaudio, emphasis": mel(natural(1e-6), before=torchaudio.functional.preemphasis, sample_rate=16000, n_fft=512,
                                    win_length=400, hop_length=160, n_mels=40),
        "torchaudio, 44.1 kHz": mel(natural(1e-8), sample_rate=44100, n_fft=2048, win_length=1102, hop_length=441,
                                    n_mels=80, window_fn=torch.hamming_window, center=False),
        "torchaudio, normalized": mel(natural(1e-9), sample_rate=48000, n_fft=1024, hop_length=480, n_mels=64,
                                      window_fn=torch.blackman_window, normalized=True),
        "kws, band deviation": mel(band_deviation, **kws),
        "kws, clip deviation": mel(clip_deviation, **kws),
        "librosa, less the largest": by_librosa(lambda energies: librosa.power_to_db(energies, ref=np.max), 44100,
                                                n_fft=2048, hop_length=441, n_mels=96, fmin=30, fmax=16000),
        "librosa, htk": by_librosa(lambda energies: np.log10(np.maximum(energies, 1e-10)), 16000, n_fft=512, win_length=480,
                                   hop_length=160, n_mels=40, htk=True, norm=None, center=False),
        "kaldi, plain": lambda x: plain_ast(x, sampling_rate=16000, return_tensors="np")["input_values"][0],
        "kaldi, povey": by_kaldi(32768.0, num_mel_bins=23, sample_frequency=16000.0),
        "kaldi, hamming": by_kaldi(1.0, num_mel_bins=40, sample_frequency=16000.0, window_type="hamming"),
        "kaldi, 8 kHz": by_kaldi(32768.0, num_mel_bins=40, sample_frequency=8000.0, high_freq=-200.0, low_freq=100.0,
                                 use_power=False, window_type="rectangular", preemphasis_coefficient=0.0),
        "whisper": lambda x: whisper(x, sampling_rate=16000, return_tensors="np")["input_features"][0].T,
        # All bins, the lowest and the highest too.
        "spectrogram": lambda x: torch.log(Spectrogram(64, hop_length=61)(torch.from_numpy(x)) + 1e-6).T.numpy(),
        "spectrogram, magnitude": lambda x: torch.log(Spectrogram(64, hop_length=61, power=1.0)(torch.from_numpy(x)) + 1e-4).T.numpy(),
        # Cepstral coefficients, by the matrix.
        "torchaudio, mfcc": lambda x: MFCC(16000, n_mfcc=13, melkwargs=dict(n_fft=512, win_length=400, hop_length=160, n_mels=40))(
            torch.from_numpy(x)).T.numpy(),
        "librosa, mfcc": lambda x: librosa.feature.mfcc(y=x, sr=16000, n_mfcc=20, n_fft=512, hop_length=160, n_mels=40,
                                                        lifter=22).T,
        "kaldi, mfcc": by_kaldi(32768.0, call=kaldi.mfcc, num_ceps=13, num_mel_bins=23, sample_frequency=16000.0),
    }


def generate(folder):
    """`front_ends.json`, which is written by hand, has the same settings as the calls above, in this project's words."""
    folder = folder / "audio"
    folder.mkdir(exist_ok=True)
    for name, extractor in extractors().items():
        extractor.save_pretrained(folder / name)
    write(folder, KEPT)


def write(folder, kept_values):
    """Frames of all front ends, about so many values of each and a sound."""
    folder.mkdir(parents=True, exist_ok=True)
    spoken, noises = recordings(), generated()
    values, index = bytearray(), ["front_end\tsound\tframes\tbands\tlow\thigh\tkept"]
    for name, front_end in front_ends().items():
        # Variants hear every other recording.
        heard = list(spoken.items())[:: 1 if name in PRESETS else 2]
        for sound, samples in heard + list(noises.items()):
            frames = np.asarray(front_end(samples.astype(np.float32) / 32768.0), dtype=np.float64)
            count, bands = frames.shape
            every = max(1, count * bands // kept_values)
            kept = sorted({count - 1, *range(len(index) % every % count, count, every)})
            low, high = frames.min(), frames.max()
            scaled = np.round((frames[kept] - low) / max(high - low, 1e-30) * 65535.0).astype("<u2")
            values += scaled.tobytes()
            row = [name, sound, count, bands, f"{low:.7g}", f"{high:.7g}", ",".join(map(str, kept))]
            index.append("\t".join(map(str, row)))
    (folder / "frames.tsv").write_text("\n".join(index) + "\n")
    (folder / "frames.u16").write_bytes(values)


def same(made, committed):
    """True if values differ by no more than another processor's sums."""
    if made.suffix == ".json":
        return json.loads(made.read_text()) == json.loads(committed.read_text())
    if made.suffix == ".u16":
        made, committed = (np.frombuffer(path.read_bytes(), "<u2").astype(int) for path in (made, committed))
        return made.shape == committed.shape and abs(made - committed).max() <= 20
    made, committed = ([line.split("\t") for line in path.read_text().splitlines()] for path in (made, committed))
    # Of the range, as the values: a logarithm of next to nothing moves where sums do.
    close = lambda a, b, place: abs(float(a[place]) - float(b[place])) <= 1e-4 * (float(b[5]) - float(b[4]))
    return len(made) == len(committed) and all(
        a[:4] == b[:4] and a[6] == b[6] and (a == b or close(a, b, 4) and close(a, b, 5))
        for a, b in zip(made, committed))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["speak"]:
            speak()
        case ["whole", folder]:
            write(Path(folder), sys.maxsize)
        case _:
            sys.exit(__doc__)
