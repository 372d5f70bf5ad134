"""Files that the Python blocks of pages write, run as they stand there: `your_model/` and `own_module/`, from which tests run the pages' commands."""

import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
# Page, the folder that its block writes, and the folder of it here.
PAGES = [("your-model.md", "gestures", "your_model"), ("importers.md", "own", "own_module")]
# Training sums in another order on another processor; in the page it is plain gradient descent, which does not amplify this.
TOLERANCE = 1e-4


def block(page):
    """The page's only block of Python."""
    blocks = (DOCS / page).read_text().split("```python\n")[1:]
    assert len(blocks) == 1, f"{page}: {len(blocks)} blocks of Python, expected 1"
    return blocks[0].split("```\n")[0]


def generate(folder):
    for page, written, name in PAGES:
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run([sys.executable, "-c", block(page)], cwd=scratch, check=True)
            made = Path(scratch) / written
            for file in sorted(path for path in made.rglob("*") if path.is_file()):
                target = folder / name / file.relative_to(made)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())


def same(made, committed):
    """True if arrays agree within the tolerance, and other files byte for byte."""
    import numpy as np
    from safetensors.numpy import load_file

    if made.suffix not in (".npz", ".safetensors"):
        return made.read_bytes() == committed.read_bytes()
    a, b = (dict(np.load(file)) if made.suffix == ".npz" else load_file(file) for file in (made, committed))
    close = lambda a, b: a.shape == b.shape and abs(a - b).max() <= TOLERANCE * abs(b).max()
    return a.keys() == b.keys() and all(close(a[name], b[name]) for name in a)
