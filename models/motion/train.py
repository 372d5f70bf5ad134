"""Trains the motion model: which shoulder exercise a smartwatch is worn through, a causal transformer over 0.2 s frames.

    pip install -r requirements.txt
    python train.py                   # five folds by subject; checkpoint/, fixtures/, confusion.svg, train.log
    python train.py --folds FOLDER    # also writes every fold's checkpoint and its held-out recordings as CSV

A frame is ten samples of six axes, sample after sample: ax ay az in units of 2 g, wx wy wz in units of 5 rad/s.
"""

import argparse
import importlib.util
import json
import math
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
# A g and a radian per second in the model's units: both sensors are about as large, as a frame is quantized by its largest number.
UNITS = np.array([0.5, 0.5, 0.5, 0.2, 0.2, 0.2], dtype=np.float32)
SAMPLES = 10
FOLDS = [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10)]
LABELS = ["pendulum", "abduction", "elevation", "internal", "external", "trapezius", "row"]
WARM_UP = 10
CONFIG = {
    "architecture": "thumbformer",
    "d_model": 32,
    "n_layers": 2,
    "n_heads": 4,
    "d_ff": 64,
    "max_seq": 64,
    "input": "frames",
    "n_features": 6 * SAMPLES,
    "columns": [f"a{axis} (2 g)" for axis in "xyz"] + [f"w{axis} (5 rad/s)" for axis in "xyz"],
    "frame_samples": SAMPLES,
    "positions": "none",
    "norm": "layer",
    "norm_place": "pre",
    "norm_eps": 1e-5,
    "mask": "causal",
    "sliding_window": 25,
    "activation": "gelu_erf",
    "gated_mlp": False,
    "final_norm": True,
    "pooling": "last",
    "head": "linear",
    "n_outputs": len(LABELS),
    "labels": LABELS,
}


class Block(torch.nn.Module):
    def __init__(self, d, heads, d_ff):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = torch.nn.LayerNorm(d), torch.nn.LayerNorm(d)
        self.query, self.key = torch.nn.Linear(d, d), torch.nn.Linear(d, d)
        self.value, self.output = torch.nn.Linear(d, d), torch.nn.Linear(d, d)
        self.up, self.down = torch.nn.Linear(d, d_ff), torch.nn.Linear(d_ff, d)
        self.dropout = torch.nn.Dropout(0.2)

    def forward(self, x, mask):
        b, s, d = x.shape
        normed = self.attention_norm(x)
        q, k, v = (p(normed).view(b, s, self.heads, -1).transpose(1, 2) for p in (self.query, self.key, self.value))
        heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(b, s, d)
        x = x + self.dropout(self.output(heads))
        return x + self.dropout(self.down(F.gelu(self.up(self.mlp_norm(x)))))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        d = CONFIG["d_model"]
        self.embedding = torch.nn.Linear(CONFIG["n_features"], d)
        self.layers = torch.nn.ModuleList(Block(d, CONFIG["n_heads"], CONFIG["d_ff"]) for _ in range(CONFIG["n_layers"]))
        self.final_norm = torch.nn.LayerNorm(d)
        self.head = torch.nn.Linear(d, CONFIG["n_outputs"])

    def forward(self, frames):
        """frames [batch, seq, n_features] -> logits after every frame [batch, seq, n_outputs]"""
        ages = torch.arange(frames.shape[1])[:, None] - torch.arange(frames.shape[1])
        mask = (ages >= 0) & (ages < CONFIG["sliding_window"])
        x = self.embedding(frames)
        for layer in self.layers:
            x = layer(x, mask)
        return self.head(self.final_norm(x))

    def tensors(self):
        """In the names of thumbformer's own layout."""
        names = {"query": "attention.", "key": "attention.", "value": "attention.", "output": "attention.", "up": "mlp.", "down": "mlp."}
        out = {}
        for name, tensor in self.state_dict().items():
            parts = name.split(".")
            if parts[0] == "layers":
                parts[2] = names.get(parts[2], "") + parts[2]
            out[".".join(parts)] = tensor.detach().clone().contiguous()
        return out


def load_watch():
    """The data set that lies in the package; its code, which needs much else, is not loaded."""
    package = pathlib.Path(importlib.util.find_spec("seglearn").origin).parent
    return np.load(package / "data" / "watch_dataset.npy", allow_pickle=True).item()


def rotation(rng, degrees):
    """A small random rotation of the watch about the wrist."""
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    angle = math.radians(rng.normal() * degrees)
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return (np.eye(3) + math.sin(angle) * k + (1 - math.cos(angle)) * k @ k).astype(np.float32)


def crop(rng, recording, tokens):
    """A varied piece of a recording: [tokens, n_features]."""
    speed = math.exp(rng.uniform(-0.25, 0.25))
    length = tokens * SAMPLES
    need = int(length * speed) + 2
    start = rng.integers(0, max(1, len(recording) - need))
    at = np.minimum(start + np.arange(length) * speed, len(recording) - 1.001)
    low = at.astype(int)
    part = (at - low)[:, None].astype(np.float32)
    x = recording[low] * (1 - part) + recording[low + 1] * part
    turn = rotation(rng, 22)
    x = np.concatenate([x[:, :3] @ turn.T, x[:, 3:] @ turn.T * speed], axis=1)
    x *= np.repeat(np.exp(rng.uniform(-0.3, 0.3, 2)), 3)
    x += rng.normal(size=x.shape) * rng.uniform(0, 0.06)
    x = x.astype(np.float32).reshape(tokens, -1)
    x[rng.random(tokens) < 0.1] = 0
    return x


def frames(recording):
    count = len(recording) // SAMPLES
    return recording[: count * SAMPLES].reshape(count, -1)


def train(recordings, labels, seed, steps=1300, batch=48, tokens=64):
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.1)
    net.train()
    for _ in range(steps):
        which = rng.integers(0, len(recordings), batch)
        x = torch.from_numpy(np.stack([crop(rng, recordings[i], tokens) for i in which]))
        y = torch.tensor([labels[i] for i in which])[:, None].expand(-1, tokens - WARM_UP)
        logits = net(x)[:, WARM_UP:]
        loss = F.cross_entropy(logits.reshape(-1, len(LABELS)), y.reshape(-1), label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    net.eval()
    return net, loss.item()


@torch.no_grad()
def answers(net, recording):
    """The label after every frame."""
    return net(torch.from_numpy(frames(recording))[None])[0].argmax(-1).numpy()


def write_checkpoint(net, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    save_file(net.tensors(), folder / "model.safetensors")


def write_csv(recording, file):
    lines = [",".join(f"{x:.4g}" for x in row) for row in recording]
    file.write_text("ax,ay,az,wx,wy,wz\n" + "\n".join(lines) + "\n")


def picture(confusion):
    """Rows: what was done; columns: what was recognised, in percent of the row."""
    cell, left, top = 54, 110, 90
    size = cell * len(LABELS)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + size + 20} {top + size + 20}" font-family="sans-serif" font-size="13">',
        "<style>text{fill:#333}.t{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#ddd}}</style>",
        "<title>Confusion matrix: rows are exercises, columns what was recognised, in percent</title>",
    ]
    for i, name in enumerate(LABELS):
        x, y = left + cell * (i + 0.5), top + cell * (i + 0.5)
        out.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{name}</text>')
        out.append(f'<text transform="translate({x + 4} {top - 8}) rotate(-60)">{name}</text>')
        for j in range(len(LABELS)):
            part = confusion[i, j] / max(1, confusion[i].sum())
            x, y = left + cell * j, top + cell * i
            out.append(f'<rect x="{x}" y="{y}" width="{cell}" height="{cell}" fill="#2463b0" fill-opacity="{part:.2f}" stroke="#8886"/>')
            kind = ' class="t"' if part > 0.5 else ""
            out.append(f'<text{kind} x="{x + cell / 2}" y="{y + cell / 2 + 4}" text-anchor="middle">{100 * part:.0f}</text>')
    return "\n".join(out + ["</svg>\n"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=pathlib.Path, help="writes every fold's checkpoint and held-out recordings here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load_watch()
    recordings = [x.astype(np.float32) * UNITS for x in data["X"]]
    labels, subjects = [int(y) for y in data["y"]], [int(s) for s in data["subject"]]
    log, confusion = [], np.zeros((len(LABELS), len(LABELS)), int)
    right = whole = count = 0

    def say(line):
        print(line, flush=True)
        log.append(line)

    say(f"{sum(p.numel() for p in Net().parameters())} parameters")
    for fold, held_out in enumerate(FOLDS):
        began = time.time()
        kept = [i for i, subject in enumerate(subjects) if subject not in held_out]
        net, loss = train([recordings[i] for i in kept], [labels[i] for i in kept], seed=fold + 1)
        tested = [i for i, subject in enumerate(subjects) if subject in held_out]
        fold_right = fold_count = fold_whole = 0
        for i in tested:
            found = answers(net, recordings[i])
            late = found[WARM_UP:]
            fold_right += int((late == labels[i]).sum())
            fold_count += len(late)
            fold_whole += int(np.bincount(late, minlength=len(LABELS)).argmax() == labels[i])
            np.add.at(confusion, (labels[i], late), 1)
        say(
            f"fold {fold}, subjects {held_out[0]} and {held_out[1]} held out: {100 * fold_right / fold_count:.2f} % of {fold_count} "
            f"answers, {fold_whole} of {len(tested)} recordings; training loss {loss:.3f}, {time.time() - began:.0f} s"
        )
        right, count, whole = right + fold_right, count + fold_count, whole + fold_whole
        if fold == 0:
            write_checkpoint(net, HERE / "checkpoint")
            (HERE / "fixtures").mkdir(exist_ok=True)
            for label, name in enumerate(LABELS):
                i = next(i for i in tested if labels[i] == label)
                write_csv(recordings[i][200:700], HERE / "fixtures" / f"{name}_{subjects[i]}.csv")
        if arguments.folds:
            write_checkpoint(net, arguments.folds / f"{fold}" / "checkpoint")
            for i in tested:
                (arguments.folds / f"{fold}" / "held_out").mkdir(exist_ok=True)
                write_csv(recordings[i], arguments.folds / f"{fold}" / "held_out" / f"{LABELS[labels[i]]}_{subjects[i]}_{i}.csv")
    say(f"all folds: {100 * right / count:.2f} % of {count} answers, {whole} of {len(recordings)} recordings by the majority of its answers")
    (HERE / "train.log").write_text("\n".join(log) + "\n")
    (HERE / "confusion.svg").write_text(picture(confusion))


if __name__ == "__main__":
    main()
