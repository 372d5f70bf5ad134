"""Trains the model of spoken digits: a small pre-LN transformer encoder over log-mel frames.

    pip install -r requirements.txt; apt-get install espeak-ng
    cargo build --release -p thumbformer-cli
    python train.py RECORDINGS                    # FSDD's folder of WAV files: training, export, accuracies
    python train.py RECORDINGS --hold-out all     # each speaker held out in turn: accuracies only

The frames come from `thumbformer features`, so that the model is trained on the very bits that the chip computes. The export is in
thumbformer's own layout (config.json, model.safetensors). The same seed, program, voices and torch give the same model.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import data

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
STACKED = 2  # frames of a token
CONFIG = {
    "architecture": "thumbformer",
    "d_model": 48,
    "n_layers": 3,
    "n_heads": 4,
    "d_ff": 96,
    "max_seq": data.FRAMES // STACKED,
    "input": "frames",
    "n_features": STACKED * data.MELS,
    "front_end": "thumbformer",
    "positions": "table",
    "norm": "layer",
    "norm_place": "pre",
    "norm_eps": 1e-5,
    "mask": "bidirectional",
    "activation": "gelu_erf",
    "gated_mlp": False,
    "final_norm": True,
    "pooling": "mean",
    "head": "linear",
    "n_outputs": len(data.WORDS),
    "labels": data.WORDS,
}


class Block(torch.nn.Module):
    def __init__(self, d, heads, ff, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.attention_norm, self.mlp_norm = torch.nn.LayerNorm(d, CONFIG["norm_eps"]), torch.nn.LayerNorm(d, CONFIG["norm_eps"])
        self.qkv, self.output = torch.nn.Linear(d, 3 * d), torch.nn.Linear(d, d)
        self.up, self.down = torch.nn.Linear(d, ff), torch.nn.Linear(ff, d)

    def forward(self, x):
        b, t, d = x.shape
        drop = lambda x: F.dropout(x, self.dropout, self.training)
        q, k, v = self.qkv(self.attention_norm(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-1, -2)) * (d // self.heads) ** -0.5
        x = x + drop(self.output((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, d)))
        return x + drop(self.down(F.gelu(self.up(self.mlp_norm(x)))))


class Digits(torch.nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        d = CONFIG["d_model"]
        self.embedding = torch.nn.Linear(CONFIG["n_features"], d)
        self.positions = torch.nn.Parameter(torch.randn(CONFIG["max_seq"], d) * 0.02)
        self.layers = torch.nn.ModuleList(Block(d, CONFIG["n_heads"], CONFIG["d_ff"], dropout) for _ in range(CONFIG["n_layers"]))
        self.final_norm = torch.nn.LayerNorm(d, CONFIG["norm_eps"])
        self.head = torch.nn.Linear(d, CONFIG["n_outputs"])

    def forward(self, frames):
        x = self.embedding(frames.reshape(len(frames), CONFIG["max_seq"], CONFIG["n_features"])) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.head(self.final_norm(x).mean(1))

    def tensors(self):
        """The parameters under thumbformer's names."""
        parts = {"embedding": self.embedding, "final_norm": self.final_norm, "head": self.head}
        tensors = {"positions": self.positions}
        for index, layer in enumerate(self.layers):
            prefix = f"layers.{index}."
            parts |= {f"{prefix}{name}": getattr(layer, name) for name in ("attention_norm", "mlp_norm")}
            parts |= {f"{prefix}attention.output": layer.output, f"{prefix}mlp.up": layer.up, f"{prefix}mlp.down": layer.down}
            for name, weight, bias in zip(("query", "key", "value"), layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3)):
                tensors |= {f"{prefix}attention.{name}.weight": weight, f"{prefix}attention.{name}.bias": bias}
        for name, part in parts.items():
            tensors |= {f"{name}.weight": part.weight, f"{name}.bias": part.bias}
        return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def export(model, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    save_file(model.tensors(), folder / "model.safetensors", metadata={"format": "pt"})


def masked(frames):
    """SpecAugment (Park et al. 2019): a stretch of time and a band of mels at the clip's mean."""
    frames = frames.clone()
    mean = frames.mean((1, 2), keepdim=True)
    b, t, m = frames.shape
    for axis, size, widest in ((1, t, 10), (2, m, 5)):
        width = torch.randint(0, widest, (b, 1))
        start = (torch.rand(b, 1) * (size - width)).long()
        index = torch.arange(size)[None]
        mask = (index >= start) & (index < start + width)
        frames = torch.where(mask[:, :, None] if axis == 1 else mask[:, None, :], mean, frames)
    return frames


def warped(frames):
    """Faster or slower, and by a longer or shorter vocal tract: both axes stretched about a point of their own."""
    b, t, m = frames.shape
    axes = []
    for size, widest, shift in ((m, 0.1, 0.5), (t, 0.25, 2.0)):
        scale = torch.exp((torch.rand(b, 1) * 2 - 1) * widest)
        start = (torch.rand(b, 1) * 2 - 1) * shift
        axes.append((torch.arange(size) * scale + start) / (size - 1) * 2 - 1)
    mels, times = axes
    grid = torch.stack([mels[:, None, :].expand(b, t, m), times[:, :, None].expand(b, t, m)], -1)
    return F.grid_sample(frames[:, None], grid, align_corners=True, padding_mode="border")[:, 0]


@torch.no_grad()
def predict(model, frames):
    model.eval()
    return torch.cat([model(part) for part in frames.split(500)]).argmax(1)


def accuracy(model, frames, labels):
    return 100 * (predict(model, frames) == labels).float().mean().item()


def train(args, frames, labels, log, checks):
    """A model of these clips, `[n, FRAMES, MELS]`; the accuracies of `checks` are printed on the way and change nothing."""
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    model, mean = Digits(args.dropout), Digits()
    mean.load_state_dict(model.state_dict())
    decayed = [p for p in model.parameters() if p.ndim == 2]
    plain = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98), fused=True)
    begin, smooth, order = time.time(), None, []
    for step in range(args.steps):
        if len(order) < args.batch:
            order = torch.randperm(len(frames))
        which, order = order[: args.batch], order[args.batch :]
        rate = args.lr * min(1.0, (step + 1) / 300) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / args.steps)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.train()
        x, y = masked(warped(frames[which].float())), F.one_hot(labels[which], CONFIG["n_outputs"]).float()
        # Mixup (Zhang et al. 2018) of half of the batches.
        if rng.random() < 0.5:
            part, other = rng.beta(0.3, 0.3), torch.randperm(len(x))
            x, y = part * x + (1 - part) * x[other], part * y + (1 - part) * y[other]
        loss = F.cross_entropy(model(x), y, label_smoothing=0.05)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        # The result is the mean of the weights of the last few hundred steps.
        with torch.no_grad():
            torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), max(0.004, 1 / (step + 1)))
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        if (step + 1) % 1000 == 0:
            results = "  ".join(f"{name} {accuracy(mean, *check):.2f} %" for name, check in checks.items())
            minutes = (time.time() - begin) / 60
            log(f"step {step + 1:6d}  {minutes:6.2f} min  rate {rate:.2e}  training loss {smooth:.4f}  {results}")
    return mean


class Clips:
    """All clips as frames: of FSDD as they are and varied, of synthetic voices varied, of those that are held out as they are."""

    def __init__(self, args, log):
        rng = np.random.default_rng(args.seed)
        front_end = lambda clips: torch.from_numpy(data.frames(clips, args.thumbformer))
        recordings = data.fsdd(args.recordings)
        self.digits = torch.tensor([digit for _, digit, _, _ in recordings])
        self.speakers = np.array([speaker for _, _, speaker, _ in recordings])
        self.is_test = np.array([is_test for _, _, _, is_test in recordings])
        self.plain = front_end([data.clip(samples) for samples, _, _, _ in recordings])
        self.varied = front_end([data.vary(samples, rng) for samples, _, _, _ in recordings for _ in range(args.variants)])
        spoken = data.voices(rng, args.voices)
        each = args.variants // 2
        self.spoken = front_end([data.vary(samples, rng) for samples, _ in spoken for _ in range(each)])
        self.spoken_digits = torch.tensor([digit for _, digit in spoken]).repeat_interleave(each)
        held_out = data.held_out_voices()
        self.held_out = (front_end([data.clip(samples) for samples, _ in held_out]), torch.tensor([digit for _, digit in held_out]))
        self.variants = args.variants
        log(f"{len(self.plain)} recordings and {len(spoken)} spoken by {args.voices} voices, {len(self.varied)} and {len(self.spoken)} variants")

    def training(self, which):
        """Clips and digits for training: of these recordings, and of the synthetic voices."""
        which = torch.from_numpy(which)
        varied = which.repeat_interleave(self.variants)
        frames = torch.cat([self.plain[which], self.varied[varied], self.spoken])
        return frames, torch.cat([self.digits[which], self.digits.repeat_interleave(self.variants)[varied], self.spoken_digits])

    def recordings(self, which):
        """Clips and digits of recordings as they are."""
        which = torch.from_numpy(which)
        return self.plain[which], self.digits[which]


def confusion(model, frames, labels):
    """How often a digit (row) was taken for a digit (column)."""
    counts = torch.zeros(10, 10, dtype=torch.int64)
    counts.index_put_((labels, predict(model, frames)), torch.tensor(1), accumulate=True)
    return counts.tolist()


def right(counts):
    return 100 * sum(counts[i][i] for i in range(10)) / sum(map(sum, counts))


def official(args, clips, log):
    test = clips.recordings(clips.is_test)
    model = train(args, *clips.training(~clips.is_test), log, {"test split": test, "held-out voices": clips.held_out})
    export(model, args.out)
    results = {"official test split": confusion(model, *test), "held-out synthetic voices": confusion(model, *clips.held_out)}
    for name, counts in results.items():
        log(f"{name}: {right(counts):.2f} % of {sum(map(sum, counts))}")
    return results


def held_out_speakers(args, clips, log):
    total = np.zeros((10, 10), int)
    speakers = sorted(set(clips.speakers)) if args.hold_out == "all" else args.hold_out.split(",")
    for speaker in speakers:
        his = clips.speakers == speaker
        check = clips.recordings(his)
        model = train(args, *clips.training(~his), log, {speaker: check})
        counts = confusion(model, *check)
        total += counts
        log(f"{speaker} held out: {right(counts):.2f} % of {sum(map(sum, counts))}")
    log(f"each speaker held out: {right(total.tolist()):.2f} % of {total.sum()}")
    return {"each speaker held out": total.tolist()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", help="FSDD's folder of WAV files")
    parser.add_argument("--hold-out", metavar="SPEAKER", help="trains without this speaker, or in turn without each (all)")
    parser.add_argument("--thumbformer", default=ROOT / "target/release/thumbformer", help="the program")
    parser.add_argument("--out", type=Path, default=HERE / "checkpoint", help="folder to export to")
    parser.add_argument("--log", type=Path, help="by default train.log, with --hold-out hold_out.log")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--variants", type=int, default=10, help="of each recording")
    parser.add_argument("--voices", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with (args.log or HERE / ("hold_out.log" if args.hold_out else "train.log")).open("w") as file:

        def log(line):
            print(line, flush=True)
            print(line, file=file, flush=True)

        begin = time.time()
        log(f"torch {torch.__version__}, {sum(p.numel() for p in Digits().parameters())} parameters, seed {args.seed}")
        clips = Clips(args, log)
        results = (held_out_speakers if args.hold_out else official)(args, clips, log)
        log(f"{(time.time() - begin) / 60:.1f} minutes")
    file = HERE / "confusion.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(known | results) + "\n")


if __name__ == "__main__":
    main()
