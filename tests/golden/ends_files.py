"""Small encoders whose ends are those that people have: checkpoints as a training script saves them, and what PyTorch computes of them.

Each is an nn.Module around nn.TransformerEncoder, with BatchNorm in inference. The outputs are those of its forward pass before any softmax or
sigmoid; nothing is computed again here. The hidden states are the stream before the encoder and after each of its layers.
"""

import json

from blocks import randomise

D, HEADS, FF, CHANNELS = 12, 2, 20, 3
RECORDINGS = 4

CASES = {
    # A convolution with stride over a sensor's samples, batch norm and ReLU; the mean, a LayerNorm, an MLP of two hidden layers.
    "conv_mlp": {"embedding": "conv", "activation": "relu", "pooling": "mean", "head_norm": True, "hidden": [20, 9],
                 "head_activation": "gelu", "outputs": "classes", "norm_first": True},
    # Two class tokens at the end, their mean, and numbers.
    "class_last": {"embedding": "linear", "pooling": "mean_of_class", "class_tokens": 2, "class_place": "last", "outputs": "numbers",
                   "norm_first": True},
    # A class and a distillation token, each with a matrix of its own in one head; labels.
    "distilled": {"embedding": "linear", "pooling": "classes", "class_tokens": 2, "head_norm": True, "outputs": "labels", "norm_first": False},
    # The patches' mean without the class token; SiLU.
    "patches": {"embedding": "linear", "activation": "gelu", "pooling": "mean_of_inputs", "class_tokens": 1, "hidden": [70],
                "head_activation": "silu", "outputs": "classes", "norm_first": True},
    # The mean with the class token at the end; a pooler of another width, tanh.
    "everything": {"embedding": "linear", "activation": "silu", "pooling": "mean", "class_tokens": 1, "class_place": "last", "hidden": [33],
                   "head_activation": "tanh", "outputs": "classes", "norm_first": False},
    # A number for each step: reconstruction.
    "steps": {"embedding": "linear_norm", "activation": "tanh", "pooling": "none", "hidden": [16], "head_activation": "relu",
              "outputs": "numbers", "norm_first": True},
}


def generate(folder):
    import numpy as np
    import torch
    from safetensors.torch import save_file
    from torch import nn

    functions = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh, None: nn.Identity}

    class Net(nn.Module):
        def __init__(self, case):
            super().__init__()
            kind, self.case = case["embedding"], case
            self.embedding = nn.Conv1d(CHANNELS, D, kernel_size=4, stride=2) if kind == "conv" else nn.Linear(5, D)
            if kind != "linear":
                self.batch_norm = nn.BatchNorm1d(D, eps=1e-3 if kind == "conv" else 1e-5)
            self.activation = functions[case.get("activation")]()
            count = case.get("class_tokens", 0)
            if count == 1:
                self.cls_token = nn.Parameter(torch.zeros(1, 1, D))
            elif count == 2:
                self.cls_token, self.dist_token = nn.Parameter(torch.zeros(1, 1, D)), nn.Parameter(torch.zeros(1, 1, D))
            self.position = nn.Parameter(torch.zeros(1, 9 + count, D))
            layer = nn.TransformerEncoderLayer(D, HEADS, FF, dropout=0.0, activation="gelu", batch_first=True,
                                               norm_first=case["norm_first"])
            norm = nn.LayerNorm(D) if case["norm_first"] else None
            self.encoder = nn.TransformerEncoder(layer, 1, norm=norm, enable_nested_tensor=False)
            width = D * count if case["pooling"] == "classes" else D
            if case.get("head_norm"):
                self.fc_norm = nn.LayerNorm(width)
            layers = []
            for hidden in case.get("hidden", []):
                layers += [nn.Linear(width, hidden), functions[case["head_activation"]]()]
                width = hidden
            self.head = nn.Sequential(*layers, nn.Linear(width, 4))

        def forward(self, x):  # convolution: [batch, samples, channels], else [batch, seq, 5]
            case = self.case
            if case["embedding"] == "conv":
                x = self.batch_norm(self.embedding(x.transpose(1, 2))).transpose(1, 2)
            else:
                x = self.embedding(x)
                if case["embedding"] == "linear_norm":
                    x = self.batch_norm(x.transpose(1, 2)).transpose(1, 2)
            x = self.activation(x)
            tokens = [token.expand(len(x), 1, D) for token in [getattr(self, "cls_token", None), getattr(self, "dist_token", None)]
                      if token is not None]
            count, last = len(tokens), case.get("class_place") == "last"
            x = torch.cat([x, *tokens] if last else [*tokens, x], dim=1)
            x = x + self.position[:, :x.shape[1]]
            self.stream = x
            x = self.encoder(x)
            of_class, of_inputs = (x[:, -count:], x[:, :-count]) if last else (x[:, :count], x[:, count:])
            x = {"mean": lambda: x.mean(1), "mean_of_class": lambda: of_class.mean(1), "mean_of_inputs": lambda: of_inputs.mean(1),
                 "classes": lambda: of_class.flatten(1), "none": lambda: x}[case["pooling"]]()
            if hasattr(self, "fc_norm"):
                x = self.fc_norm(x)
            return self.head(x)

    torch.backends.mha.set_fastpath_enabled(False)
    for name, case in CASES.items():
        generator = torch.Generator().manual_seed(20261129)
        net = randomise(Net(case), generator)
        count, conv = case.get("class_tokens", 0), case["embedding"] == "conv"
        with torch.no_grad():
            for token in ["cls_token", "dist_token"][:count]:
                getattr(net, token).copy_(torch.randn(1, 1, D, generator=generator).half().float())
            if hasattr(net, "batch_norm"):
                net.batch_norm.running_mean.copy_((0.5 * torch.randn(D, generator=generator)).half().float())
                net.batch_norm.running_var.copy_((0.5 + torch.rand(D, generator=generator)).half().float())
            # Eight frames of four samples, two from one to the next; or nine frames, or fewer.
            samples = torch.randn(RECORDINGS, 18, CHANNELS, generator=generator)
            frames = samples.unfold(1, 4, 2).transpose(2, 3).flatten(2) if conv else torch.randn(RECORDINGS, 7, 5, generator=generator)
            logits = net(samples if conv else frames)
            hidden = torch.stack([net.stream, net.encoder.layers[0](net.stream)])
        config = {"nhead": HEADS, "norm_first": case["norm_first"], "activation": "gelu", "mask": "bidirectional", "input": "frames",
                  "embedding": "embedding", "positions": "position", "pooling": case["pooling"], "outputs": case["outputs"]}
        if conv:
            config |= {"embedding_stride": 2, "embedding_padding": 0, "columns": ["x", "y", "z"], "batch_norm_eps": 1e-3}
        if hasattr(net, "batch_norm"):
            config["embedding_batch_norm"] = "batch_norm"
        if "activation" in case:
            config["embedding_activation"] = case["activation"]
        if count:
            config["class_token"] = "cls_token" if count == 1 else ["cls_token", "dist_token"]
        if "class_place" in case:
            config["class_place"] = case["class_place"]
        if case.get("head_norm"):
            config["head_norm"] = "fc_norm"
        layers = [f"head.{2 * index}" for index in range(len(case.get("hidden", [])) + 1)]
        config["head"] = layers if len(layers) > 1 else layers[0]
        if len(layers) > 1:
            config["head_activation"] = case["head_activation"]
        here = folder / "ends" / name
        (here / "checkpoint").mkdir(parents=True, exist_ok=True)
        state = {key: value.half() if value.dtype == torch.float32 else value for key, value in net.state_dict().items()}
        save_file(state, here / "checkpoint" / "model.safetensors")
        (here / "checkpoint" / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        arrays = {"frames": frames, "logits": logits, "hidden": hidden}
        np.savez_compressed(here / "expected.npz", **{key: value.numpy() for key, value in arrays.items()})
