"""Trains the default language model of thumbformer: a Llama-style decoder that tells children's stories.

    pip install -r requirements.txt
    python train.py STORIES.txt --minutes 60            # tokenizer, training, export, held-out loss, samples

STORIES.txt holds one story after the other, each closed by a line `<|end|>`; the last 600 stories are held out: neither the
tokenizer nor the model ever sees them. The export is a Hugging Face folder (config.json, model.safetensors, tokenizer.json).
The learning rate decays over the time budget, so that a slower machine gets fewer steps but a finished schedule.
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
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "head_dim": 8,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 176,
    "max_position_embeddings": 512,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 8,
    "num_hidden_layers": 5,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "vocab_size": 512,
}
BOS, EOS = CONFIG["bos_token_id"], CONFIG["eos_token_id"]
HELD_OUT = 600
END = "<|end|>"
MARK = "\u2581"  # what stands for a space, as in Llama's tokenizer


def read_stories(path):
    stories = [story.strip() for story in Path(path).read_text(encoding="utf-8").split(END)]
    stories = [story for story in stories if story]
    return stories[:-HELD_OUT], stories[-HELD_OUT:]


def train_tokenizer(stories):
    """BPE with all bytes as fallback. While it learns, words are split at spaces, so no merge crosses a word boundary."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme="first")
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=CONFIG["vocab_size"], special_tokens=specials, limit_alphabet=80, show_progress=False
    )
    tokenizer.train_from_iterator(stories, trainer)
    # Inference does it as Llama's tokenizer.json: the whole text is one piece, spaces are marks. Bytes are ordinary tokens
    # of the vocabulary, not special ones, or decoding would drop them.
    learned = json.loads(tokenizer.to_str())
    learned["added_tokens"] = [token for token in learned["added_tokens"] if token["id"] <= EOS]
    tokenizer = Tokenizer.from_str(json.dumps(learned))
    tokenizer.pre_tokenizer = None
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", BOS)]
    )
    # `to_str` writes a null pre-tokenizer only when it was never set.
    plain = json.loads(tokenizer.to_str())
    plain["pre_tokenizer"] = None
    return Tokenizer.from_str(json.dumps(plain))


def encode(tokenizer, stories):
    """The token stream `<s> story </s> <s> story </s> …` and where each story starts."""
    stream, starts = [], []
    for encoding in tokenizer.encode_batch(stories, add_special_tokens=False):
        starts.append(len(stream))
        stream += [BOS, *encoding.ids, EOS]
    return torch.tensor(np.array(stream, dtype=np.int64)), starts


def attend(q, k, v):
    """Causal attention; written out for short sequences, where heads of 8 values make the fused kernel the slower one."""
    t = q.shape[-2]
    if t > 128:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return (scores + torch.full((t, t), -1e9).triu(1)).softmax(-1) @ v


class Llama(torch.nn.Module):
    """Parameters under their Hugging Face names without the prefix `model.`; the forward pass in the fewest operations."""

    def __init__(self):
        super().__init__()
        d, ff, layers = CONFIG["hidden_size"], CONFIG["intermediate_size"], CONFIG["num_hidden_layers"]
        self.h, self.kv, self.dk = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"], CONFIG["head_dim"]
        linear = lambda out, into: torch.nn.Parameter(torch.randn(out, into) * into**-0.5)
        self.embed = torch.nn.Parameter(torch.randn(CONFIG["vocab_size"], d) * 0.02)
        self.norm = torch.nn.Parameter(torch.ones(d))
        self.layers = torch.nn.ModuleList()
        for _ in range(layers):
            layer = torch.nn.Module()
            layer.qkv = linear((self.h + 2 * self.kv) * self.dk, d)
            layer.o = torch.nn.Parameter(torch.randn(d, self.h * self.dk) * (self.h * self.dk * 2 * layers) ** -0.5)
            layer.gate_up = linear(2 * ff, d)
            layer.down = torch.nn.Parameter(torch.randn(d, ff) * (ff * 2 * layers) ** -0.5)
            layer.norm1 = torch.nn.Parameter(torch.ones(d))
            layer.norm2 = torch.nn.Parameter(torch.ones(d))
            self.layers.append(layer)
        positions = torch.arange(CONFIG["max_position_embeddings"]).float()
        angles = torch.outer(positions, CONFIG["rope_theta"] ** (-torch.arange(0, self.dk, 2).float() / self.dk))
        self.register_buffer("cos", torch.cat([angles.cos(), angles.cos()], -1))
        self.register_buffer("sin", torch.cat([-angles.sin(), angles.sin()], -1))

    def forward(self, tokens):
        b, t = tokens.shape
        d, eps = CONFIG["hidden_size"], CONFIG["rms_norm_eps"]
        x = F.embedding(tokens, self.embed)
        cos, sin = self.cos[:t], self.sin[:t]
        for layer in self.layers:
            qkv = F.linear(F.rms_norm(x, (d,), layer.norm1, eps), layer.qkv)
            qkv = qkv.view(b, t, self.h + 2 * self.kv, self.dk).transpose(1, 2)
            qk, v = qkv[:, : self.h + self.kv], qkv[:, self.h + self.kv :]
            qk = qk * cos + qk.roll(self.dk // 2, -1) * sin
            q, k = qk[:, : self.h], qk[:, self.h :]
            group = self.h // self.kv
            k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
            heads = attend(q, k, v)
            x = x + F.linear(heads.transpose(1, 2).reshape(b, t, self.h * self.dk), layer.o)
            gate, up = F.linear(F.rms_norm(x, (d,), layer.norm2, eps), layer.gate_up).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, layer.down)
        return F.linear(F.rms_norm(x, (d,), self.norm, eps), self.embed)

    def hugging_face(self):
        q, kv, tensors = self.h * self.dk, self.kv * self.dk, {}
        tensors["model.embed_tokens.weight"], tensors["model.norm.weight"] = self.embed, self.norm
        for index, layer in enumerate(self.layers):
            prefix = f"model.layers.{index}."
            query, key, value = layer.qkv.split([q, kv, kv])
            gate, up = layer.gate_up.chunk(2)
            named = {
                "input_layernorm": layer.norm1, "self_attn.q_proj": query, "self_attn.k_proj": key,
                "self_attn.v_proj": value, "self_attn.o_proj": layer.o, "post_attention_layernorm": layer.norm2,
                "mlp.gate_proj": gate, "mlp.up_proj": up, "mlp.down_proj": layer.down,
            }
            tensors |= {f"{prefix}{name}.weight": tensor for name, tensor in named.items()}
        return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def export(model, tokenizer, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    save_file(model.hugging_face(), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))


@torch.no_grad()
def held_out_loss(model, tokenizer, stories):
    """Nats per predicted token over whole stories, each from its own `<s>`, cut at the context."""
    total = count = 0
    for encoding in tokenizer.encode_batch(stories, add_special_tokens=False):
        tokens = torch.tensor([BOS, *encoding.ids, EOS])[: CONFIG["max_position_embeddings"]]
        logits = model(tokens[None, :-1])[0]
        total += F.cross_entropy(logits, tokens[1:], reduction="sum").item()
        count += len(tokens) - 1
    return total / count, count


@torch.no_grad()
def sample(model, tokenizer, prompt, temperature, seed):
    torch.manual_seed(seed)
    tokens = [BOS, *tokenizer.encode(prompt, add_special_tokens=False).ids]
    while len(tokens) < CONFIG["max_position_embeddings"]:
        logits = model(torch.tensor([tokens]))[0, -1]
        token = logits.argmax() if temperature == 0 else torch.multinomial(F.softmax(logits / temperature, -1), 1)
        if int(token) == EOS:
            break
        tokens.append(int(token))
    return tokenizer.decode(tokens[1:])


def train(args, model, tokenizer, stream, starts, heldout, log):
    decayed = [p for p in model.parameters() if p.ndim == 2]
    plain = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.95), fused=True)
    context = CONFIG["max_position_embeddings"]
    starts = torch.tensor([start for start in starts if start + context + 1 < len(stream)])
    begin, step, smooth, exported = time.time(), 0, None, 0.0
    while (done := (time.time() - begin) / (60 * args.minutes)) < 1:
        warm = min(1.0, (step + 1) / 300)
        rate = args.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        # Short windows from anywhere first, which are cheap; then whole stories from their beginning, so that every
        # position of the context is trained.
        if done < args.short:
            seq, first = args.seq, torch.randint(len(stream) - args.seq - 1, (args.tokens // args.seq, 1))
        else:
            seq, first = context, starts[torch.randint(len(starts), (args.tokens // context, 1))]
        window = stream[first + torch.arange(seq + 1)]
        loss = F.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        step += 1
        if step % 250 == 0:
            minutes = (time.time() - begin) / 60
            log(f"step {step:6d}  {minutes:6.2f} min  rate {rate:.2e}  training loss {smooth:.4f}")
        if step % 2000 == 0:
            log(f"step {step:6d}  held-out loss {held_out_loss(model, tokenizer, heldout[:60])[0]:.4f} (60 stories)")
        if time.time() - exported > 120:
            export(model, tokenizer, args.out)
            exported = time.time()
    log(f"{step} steps of {args.tokens} tokens in {(time.time() - begin) / 60:.1f} minutes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stories", help="text file, stories closed by a line <|end|>")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "checkpoint", help="folder to export to")
    parser.add_argument("--log", type=Path, default=Path(__file__).parent / "train.log")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--tokens", type=int, default=4096, help="tokens in a step")
    parser.add_argument("--seq", type=int, default=128, help="window of the first part of the time")
    parser.add_argument("--short", type=float, default=0.75, help="how large that part is")
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    training, heldout = read_stories(args.stories)
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    with args.log.open("w") as file:

        def log(line):
            print(line, flush=True)
            print(line, file=file, flush=True)

        tokenizer = train_tokenizer(training)
        stream, starts = encode(tokenizer, training)
        model = Llama()
        log(f"torch {torch.__version__}, {sum(p.numel() for p in model.parameters())} parameters, seed {args.seed}")
        log(f"{len(training)} stories for training: {len(stream)} tokens; {len(heldout)} held out")
        train(args, model, tokenizer, stream, starts, heldout, log)
        export(model, tokenizer, args.out)
        loss, count = held_out_loss(model, tokenizer, heldout)
        log(f"held-out loss {loss:.4f} nats per token, perplexity {math.exp(loss):.3f}, {count} tokens")
        for temperature in (0, 0.7):
            log(f"--- sample at temperature {temperature}, seed 1")
            log(sample(model, tokenizer, "Once upon a time", temperature, 1))


if __name__ == "__main__":
    main()
