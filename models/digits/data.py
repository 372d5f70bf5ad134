"""Recordings of spoken digits, real and synthetic, varied and turned into frames by the project's own front end.

    recordings (FSDD, WAV) ──┐
                             ├──► variants: speed, level, place, noise, tone ──► `thumbformer features` ──► [n, FRAMES, MELS]
    voices (espeak-ng) ──────┘

All functions are given their random generator, so that the same seed makes the same data.
"""

import subprocess
import tempfile
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

RATE = 8000
SAMPLES = RATE  # a clip is one second, from the recording's first sample on
FRAMES, MELS = 48, 20  # of a clip; `thumbformer features` cuts the last half frame off
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEST_INDEX = 5  # FSDD's own split: recordings 0 to 4 of each speaker and digit are the test set

ACCENTS = ["en-gb", "en-us", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc"]
VARIANTS = """Alex Alicia Andrea Andy Annie adam antonio aunty belinda benjamin boris caleb david Denis Diogo ed edward Gene gustave
    Henrique Hugo iven jacky john kaukovalta Lee linda marcelo Marco Mario max michel miguel mike Nguyen pablo paul pedro quincy rob
    robert steph steph2 travis Zac anika grandpa grandma klatt klatt2 klatt3 klatt4 norbert sandro shelby victor croak whisper
    m1 m2 m3 m5 m6 m7 f1 f2 f4 f5""".split()
# Voices that training never sees: their accent is in none of the above, nor is their variant.
HELD_OUT = [("en-gb-scotland", variant) for variant in ["Michael", "f3", "m4", "m8", "edward2", "Gene2", "steph3", "iven2", "RicishayMax", "klatt5"]]


def read_wav(path):
    with wave.open(str(path)) as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise ValueError(f"{path}: expected one channel of 16 bits")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32), file.getframerate()


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.ascontiguousarray(samples, "<i2").tobytes())


def fsdd(folder):
    """`(samples, digit, speaker, is_test)` of each recording of the Free Spoken Digit Dataset, in the order of their names."""
    recordings = []
    for path in sorted(Path(folder).glob("*.wav")):
        digit, speaker, index = path.stem.split("_")
        samples, rate = read_wav(path)
        if rate != RATE:
            raise ValueError(f"{path}: {rate} Hz, expected {RATE}")
        recordings.append((samples, int(digit), speaker, int(index) < TEST_INDEX))
    if len(recordings) != 3000:
        raise ValueError(f"{folder}: {len(recordings)} recordings, expected FSDD's 3000")
    return recordings


def resample(samples, ratio):
    """To `ratio` times as many samples, by their spectrum; what the new rate cannot hold is cut off."""
    padded = np.concatenate([samples, np.zeros(2000, np.float32)])
    length = round(len(padded) * ratio)
    spectrum = np.fft.rfft(padded)
    wanted = length // 2 + 1
    spectrum = np.concatenate([spectrum, np.zeros(max(0, wanted - len(spectrum)))])[:wanted]
    return (np.fft.irfft(spectrum, length) * ratio)[: round(len(samples) * ratio)].astype(np.float32)


def trim(samples, part=0.02):
    """Without what is quieter than a part of the peak before and after, but for 20 ms: as FSDD's recordings are trimmed."""
    loud = np.flatnonzero(np.abs(samples) > part * np.abs(samples).max())
    return samples[max(0, loud[0] - 160) : loud[-1] + 160]


def speak(word, accent, variant, speed, pitch):
    """A word by `espeak-ng`, 8000 Hz, trimmed, its peak at half of full scale."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        voice = accent if variant == "" else f"{accent}+{variant}"
        command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", file.name, word]
        subprocess.run(command, check=True, capture_output=True)
        samples, rate = read_wav(file.name)
    samples = trim(resample(samples, RATE / rate))
    return samples * (16384 / np.abs(samples).max())


def voices(rng, count):
    """`(samples, digit)` of `count` voices, each of which says all digits once: accents, variants, speeds and pitches at random."""
    jobs = []
    for _ in range(count):
        accent, variant = rng.choice(ACCENTS), rng.choice(VARIANTS)
        for digit, word in enumerate(WORDS):
            jobs.append((word, accent, variant, int(rng.integers(110, 230)), int(rng.integers(15, 85)), digit))
    with ThreadPoolExecutor(2) as pool:
        return list(zip(pool.map(lambda job: speak(*job[:5]), jobs), (job[5] for job in jobs)))


def held_out_voices():
    """`(samples, digit)` of the voices that are held out, three speeds and pitches each."""
    recordings = []
    for accent, variant in HELD_OUT:
        for speed, pitch in [(140, 40), (170, 50), (200, 60)]:
            recordings += [(speak(word, accent, variant, speed, pitch), digit) for digit, word in enumerate(WORDS)]
    return recordings


def clip(samples):
    """One second as firmware takes it: cut off, or filled up with silence; 16 bits."""
    second = np.zeros(SAMPLES, np.float32)
    second[: min(SAMPLES, len(samples))] = samples[:SAMPLES]
    return np.clip(np.round(second), -32768, 32767).astype(np.int16)


def vary(samples, rng):
    """A clip of the recording as another microphone might have heard it: speed and pitch, level, place, tone, noise."""
    samples = resample(samples, np.exp(rng.uniform(-0.18, 0.18)))
    second = np.zeros(SAMPLES, np.float32)
    # Most begin as they are; some later, some with their very beginning lost.
    room = SAMPLES - len(samples)
    start = int(rng.uniform(0, min(max(room, 1), 2400))) if rng.random() < 0.6 else -int(rng.uniform(0, 160))
    samples = samples[max(0, -start) : SAMPLES - max(0, start)]
    second[max(0, start) : max(0, start) + len(samples)] = samples
    # Tone: a smooth curve of up to 8 dB over the spectrum, by few points.
    spectrum = np.fft.rfft(second)
    points = rng.normal(0, 4, 5)
    gain = np.interp(np.linspace(0, 4, len(spectrum)), np.arange(5), points)
    second = np.fft.irfft(spectrum * 10 ** (gain / 20), SAMPLES)
    peak = np.abs(second).max() + 1e-9
    if rng.random() < 0.7:
        white = rng.normal(0, 1, SAMPLES)
        colour = rng.uniform(0, 1)
        noise = np.fft.rfft(white) / (1 + np.arange(SAMPLES // 2 + 1) / 100) ** colour
        noise = np.fft.irfft(noise, SAMPLES)
        second = second + noise * (peak / 4 / np.std(noise) * 10 ** (-rng.uniform(10, 50) / 20))
    # From -34 dB to a little clipping.
    level = 32768 * 10 ** (rng.uniform(-34, 2) / 20)
    return np.clip(np.round(second * (level / peak)), -32768, 32767).astype(np.int16)


def frames(clips, program):
    """The front end's frames, `[n, FRAMES, MELS]`: computed by `thumbformer features`, as the chip does it."""
    clips = np.stack(clips)
    with tempfile.TemporaryDirectory() as folder:
        sound, out = Path(folder) / "clips.wav", Path(folder) / "frames"
        write_wav(sound, clips)
        command = [program, "features", sound, "--front-end", "thumbformer", "--cut", str(clips.shape[1]), "--frames", str(FRAMES), "-o", out]
        subprocess.run(command, check=True, capture_output=True)
        return np.fromfile(out, "<f4").reshape(len(clips), FRAMES, MELS)
