"""Writes fixtures/: a WAV file for each digit, spoken by `espeak-ng` in voices that training never hears.

    python make_fixtures.py

Digit `n` is spoken by the n-th of the voices that are held out, at one speed and pitch, whatever the model makes of it.
"""

from pathlib import Path

import numpy as np

import data

FOLDER = Path(__file__).resolve().parent / "fixtures"

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for digit, (accent, variant) in enumerate(data.HELD_OUT):
        samples = np.round(data.speak(data.WORDS[digit], accent, variant, speed=160, pitch=50)).astype(np.int16)
        data.write_wav(FOLDER / f"{digit}_{variant}.wav", samples)
        print(f"{digit}_{variant}.wav: {len(samples)} samples")
