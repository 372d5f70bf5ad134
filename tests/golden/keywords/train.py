"""Trains two keyword models of 16 kHz as a user of PyTorch does: torchaudio's transforms, `nn.TransformerEncoder`, safetensors.

    python3 -m venv .venv && .venv/bin/pip install -r ../requirements.txt; apt-get install espeak-ng
    .venv/bin/python train.py RECORDINGS    # FSDD's folder of WAV files; writes logmel/, mfcc/, recordings/ and train.log

`logmel` hears `MelSpectrogram` under a natural logarithm, its frames normalised; `mfcc` hears `MFCC` with torchaudio's defaults but for
the sizes, and has the normalisation of the coefficients in its first matrix. A clip is one second: cut off, or filled up with zeros.

What `verify --expected` reads is made of the committed checkpoints, by ../generate.py.

Licence: README.md.
"""

import argparse
import json
import subprocess
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchaudio.functional import resample
from torchaudio.transforms import MFCC, MelSpectrogram

HERE = Path(__file__).resolve().parent
RATE = SAMPLES = 16000
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
STACKED = 4  # frames of a token, side by side
TEST_INDEX = 5  # FSDD's own split: recordings 0 to 4 of each speaker and digit are the test set

# Voices of espeak-ng: some for training, and those that training never hears, another accent with other variants.
ACCENTS = ["en-gb", "en-us", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc"]
VARIANTS = "Alex Andy Annie Denis Gene Lee Mario Nguyen benjamin boris david ed linda paul quincy rob steph m1 m2 m3 m5 f1 f2 f5".split()
HELD_OUT = [("en-gb-scotland", variant) for variant in ["Michael", "f3", "m4", "m8", "steph3"]]
# The recordings that are committed: five digits, one by each voice that is held out.
SPOKEN = [1, 3, 5, 7, 9]


class LogMel:
    """Log-mel frames, less their mean in training, by their deviation."""

    transform = MelSpectrogram(RATE, n_fft=512, win_length=400, hop_length=160, f_min=20, n_mels=40, center=False)
    front_end = {"preset": "torchaudio", "sample_rate": 16000, "n_fft": 512, "win_length": 400, "hop_length": 160, "center": False,
                 "n_mels": 40, "f_min": 20, "log": "natural", "floor_added": 1e-6, "clip_samples": SAMPLES}
    encoder = dict(activation="gelu", norm_first=True)
    seq = 24

    def __call__(self, waveform):
        return torch.log(self.transform(waveform) + 1e-6).T


class Cepstral:
    """Cepstral coefficients: decibels within 80 of the clip's largest, orthonormal DCT. One clip at a time: `top_db` of a batch is
    that of all its clips."""

    transform = MFCC(RATE, n_mfcc=20, melkwargs=dict(n_fft=512, win_length=400, hop_length=160, n_mels=40))
    front_end = {"preset": "torchaudio", "sample_rate": 16000, "n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40,
                 "log": "db", "floor_least": 1e-10, "top_db": 80, "cut": "after", "n_mfcc": 20, "clip_samples": SAMPLES}
    encoder = dict(activation="relu", norm_first=False)
    seq = 25

    def __call__(self, waveform):
        return self.transform(waveform).T


KINDS = {"logmel": LogMel, "mfcc": Cepstral}


class Keywords(nn.Module):
    def __init__(self, kind, numbers, d_model=32, dropout=0.0):
        super().__init__()
        self.embedding = nn.Linear(STACKED * numbers, d_model)
        self.positions = nn.Parameter(0.02 * torch.randn(1, kind.seq, d_model))
        layer = nn.TransformerEncoderLayer(d_model, nhead=4, dim_feedforward=64, dropout=dropout, batch_first=True, **kind.encoder)
        norm = nn.LayerNorm(d_model) if kind.encoder["norm_first"] else None
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, norm=norm, enable_nested_tensor=False)
        self.head = nn.Linear(d_model, len(WORDS))

    def forward(self, frames):
        return self.head(self.encoder(self.embedding(frames) + self.positions).mean(1))


def tokens(kind, frames):
    """Frames `[..., frames, numbers]` side by side; those after the last whole token are left out."""
    return frames[..., : kind.seq * STACKED, :].reshape(*frames.shape[:-2], kind.seq, -1)


def config(kind):
    """What the tensors do not tell."""
    return {
        "architecture": "nn.TransformerEncoder",
        "nhead": 4,
        **kind.encoder,
        "mask": "bidirectional",
        "input": "frames",
        "embedding": "embedding",
        "positions": "positions",
        "pooling": "mean",
        "head": "head",
        "labels": WORDS,
        "front_end": kind.front_end,
    }


def read_wav(path):
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return torch.from_numpy(samples.astype(np.float32) / 32768), file.getframerate()


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(sixteen_bits(samples).numpy().astype("<i2").tobytes())


def sixteen_bits(samples):
    return torch.clamp(torch.round(samples * 32768), -32768, 32767)


def clip(samples):
    """One second, as a recorder with 16 bits has it."""
    second = torch.zeros(SAMPLES)
    second[: min(SAMPLES, len(samples))] = samples[:SAMPLES]
    return sixteen_bits(second) / 32768


def fsdd(folder):
    """`(samples at 16 kHz, digit, is test)` of each recording."""
    found = []
    for path in sorted(Path(folder).glob("*.wav")):
        digit, _, index = path.stem.split("_")
        samples, rate = read_wav(path)
        found.append((resample(samples, rate, RATE), int(digit), int(index) < TEST_INDEX))
    if len(found) != 3000:
        raise ValueError(f"{folder}: {len(found)} recordings, expected FSDD's 3000")
    return found


def speak(digit, accent, variant, speed, pitch):
    """A word by espeak-ng at 16 kHz, without the silence around it, its peak at half of full scale."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        command = ["espeak-ng", "-v", f"{accent}+{variant}", "-s", str(speed), "-p", str(pitch), "-w", file.name, WORDS[digit]]
        subprocess.run(command, check=True, capture_output=True)
        samples, rate = read_wav(file.name)
    samples = resample(samples, rate, RATE)
    loud = torch.nonzero(samples.abs() > 0.02 * samples.abs().max()).flatten()
    samples = samples[max(0, int(loud[0]) - 320) : int(loud[-1]) + 320]
    return samples * (0.5 / samples.abs().max())


def vary(samples, rng):
    """The recording by another microphone: speed, level, place, noise."""
    length = int(len(samples) * np.exp(rng.uniform(-0.15, 0.15)))
    samples = nn.functional.interpolate(samples[None, None], size=length, mode="linear", align_corners=False)[0, 0]
    late = int(rng.uniform(0, max(1, min(SAMPLES - length, 4800)))) if rng.random() < 0.6 else 0
    second = torch.zeros(SAMPLES)
    second[late : late + length] = samples[: SAMPLES - late]
    if rng.random() < 0.7:
        second += torch.from_numpy(rng.normal(0, 1, SAMPLES).astype(np.float32)) * 10 ** (-rng.uniform(30, 70) / 20)
    return clip(second * (10 ** (rng.uniform(-24, 0) / 20) / second.abs().max()))


def accuracy(model, frames, digits):
    model.eval()
    with torch.no_grad():
        return 100 * (model(frames).argmax(1) == digits).float().mean().item()


def masked(frames):
    """SpecAugment (Park et al. 2019): a stretch of time at the clip's mean."""
    width = torch.randint(0, 20, (len(frames), 1))
    start = (torch.rand(len(frames), 1) * (frames.shape[1] - width)).long()
    index = torch.arange(frames.shape[1])[None]
    hidden = (index >= start) & (index < start + width)
    return torch.where(hidden[:, :, None], frames.mean((1, 2), keepdim=True), frames)


def train(kind, training, checks, steps, log):
    """A network of the kind, and its config. Frames are normalised for the training; what a user's network keeps of that is in one
    case the front end's `mean` and `std`, in the other the first matrix."""
    frames, digits = training
    over = (0, 1) if kind is Cepstral else (0, 1, 2)
    mean, std = frames.mean(over), frames.std(over)
    normal = lambda frames: (frames - mean) / std
    network = Keywords(kind, frames.shape[-1], dropout=0.1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    begin = time.time()
    for step in range(steps):
        which = torch.randint(0, len(frames), (128,))
        network.train()
        loss = nn.functional.cross_entropy(network(tokens(kind, masked(normal(frames[which])))), digits[which], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 500 == 0:
            found = "  ".join(f"{name} {accuracy(network, tokens(kind, normal(f)), d):.2f} %" for name, (f, d) in checks.items())
            log(f"step {step + 1}  {(time.time() - begin) / 60:.1f} min  loss {loss.item():.4f}  {found}")
    settings = config(kind)
    if kind is Cepstral:
        with torch.no_grad():
            network.embedding.weight /= std.repeat(STACKED)
            network.embedding.bias -= network.embedding.weight @ mean.repeat(STACKED)
    else:
        settings["front_end"] = {**kind.front_end, "mean": round(mean.item(), 4), "std": round(std.item(), 4)}
    return network, settings


def hears(folder):
    """The network of a folder, and its function of a waveform to tokens."""
    settings = json.loads((folder / "config.json").read_text())
    kind = KINDS[folder.name]
    weights = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    network = Keywords(kind, weights["embedding.weight"].shape[1] // STACKED)
    network.load_state_dict(weights)
    mean, std = (settings["front_end"].get(name, absent) for name, absent in (("mean", 0.0), ("std", 1.0)))
    return network.eval(), lambda waveform: tokens(kind, (kind()(waveform) - mean) / std)


def generate(golden):
    """What `verify --expected` reads: tokens of the committed recordings by torchaudio, and the logits of PyTorch."""
    for name in KINDS:
        network, front_end = hears(HERE / name)
        frames = torch.stack([front_end(clip(read_wav(path)[0])) for path in sorted((HERE / "recordings").glob("*.wav"))])
        folder = golden / "keywords" / name
        folder.mkdir(parents=True, exist_ok=True)
        with torch.no_grad():
            np.savez_compressed(folder / "expected.npz", frames=frames.numpy(), logits=network(frames).numpy())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", help="FSDD's folder of WAV files")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--variants", type=int, default=5, help="of each recording")
    parser.add_argument("--voices", type=int, default=80)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    with (HERE / "train.log").open("w") as file:

        def log(line):
            print(line, flush=True)
            print(line, file=file, flush=True)

        (HERE / "recordings").mkdir(exist_ok=True)
        for digit, (accent, variant) in zip(SPOKEN, HELD_OUT):
            write_wav(HERE / "recordings" / f"{digit}_{variant}.wav", speak(digit, accent, variant, 160, 50))
        recordings = fsdd(arguments.recordings)
        heard = [(samples, digit) for samples, digit, is_test in recordings if not is_test]
        for _ in range(arguments.voices):
            voice = rng.choice(ACCENTS), rng.choice(VARIANTS), int(rng.integers(110, 230)), int(rng.integers(15, 85))
            heard += [(speak(digit, *voice), digit) for digit in range(10)]
        varied = [(vary(samples, rng), digit) for samples, digit in heard for _ in range(arguments.variants)]
        clips = {
            "training": [(clip(samples), digit) for samples, digit in heard] + varied,
            "test split": [(clip(samples), digit) for samples, digit, is_test in recordings if is_test],
            "held-out voices": [(clip(speak(digit, *voice, speed, pitch)), digit) for voice in HELD_OUT
                                for speed, pitch in ((140, 40), (170, 50), (200, 60)) for digit in range(10)],
        }
        log(f"torch {torch.__version__}; " + ", ".join(f"{name} {len(clips)}" for name, clips in clips.items()))
        for name, kind in KINDS.items():
            front_end = kind()
            frames = {what: (torch.stack([front_end(samples) for samples, _ in those]), torch.tensor([digit for _, digit in those]))
                      for what, those in clips.items()}
            training = frames.pop("training")
            network, settings = train(kind, training, frames, arguments.steps, log)
            folder = HERE / name
            folder.mkdir(exist_ok=True)
            (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n")
            save_file({key: tensor.half().contiguous() for key, tensor in network.state_dict().items()}, folder / "model.safetensors")
            network, front_end = hears(folder)
            counts = sum(parameter.numel() for parameter in network.parameters())
            for what in frames:
                right = accuracy(network, torch.stack([front_end(samples) for samples, _ in clips[what]]), frames[what][1])
                log(f"{name}, {counts} parameters in float16, {what}: {right:.2f} %")


if __name__ == "__main__":
    main()
