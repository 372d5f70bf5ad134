"""Small networks as ONNX files of exporters that need an environment of their own, and what onnxruntime computes of them.

The exporters are tf2onnx and Keras's `model.export`, of Keras's layers, and optimum, of transformers' models. onnx_files.py has those of
torch.onnx. The environment is that of requirements-exporters.txt.
"""

import argparse
import contextlib
import io
import logging
import multiprocessing
import os
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

# Set before the frameworks are imported, in processes of their own: no word on the machine, no GPU, no look for models elsewhere.
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1", KERAS_BACKEND="tensorflow", TF_ENABLE_ONEDNN_OPTS="0", USE_TF="0")

import numpy as np

import onnx_files
from onnx_files import CHANNELS, D, HEADS, HIDDEN, RECORDINGS, VOCAB

HERE = Path(__file__).resolve().parent
STEPS = 7


def keras_models():
    """Keras's networks by name: the model, and the way to its file."""
    from keras import Model, activations, layers, ops

    class Positions(layers.Layer):
        """A weight for each position, added."""

        def build(self, shape):
            self.table = self.add_weight(shape=(STEPS, shape[-1]), name="table")

        def call(self, x):
            return x + self.table[:ops.shape(x)[1]]

    class TokensAndPositions(layers.Layer):
        """As in Keras's example of text classification."""

        def __init__(self, length):
            super().__init__()
            self.tokens, self.positions = layers.Embedding(VOCAB, D), layers.Embedding(length, D)

        def call(self, x):
            return self.tokens(x) + self.positions(ops.arange(0, ops.shape(x)[-1], 1))

    def block(x, pre, activation, width=D // HEADS, causal=False, eps=1e-6):
        first, second = layers.LayerNormalization(epsilon=eps), layers.LayerNormalization(epsilon=eps)
        y = first(x) if pre else x
        y = layers.MultiHeadAttention(HEADS, width, dropout=0.1)(y, y, use_causal_mask=causal)
        x = layers.Add()([x, layers.Dropout(0.1)(y)])
        x = x if pre else first(x)
        y = layers.Dense(HIDDEN, activation=activation)(second(x) if pre else x)
        x = layers.Add()([x, layers.Dropout(0.1)(layers.Dense(D)(y))])
        return x if pre else second(x)

    def frames():
        given = layers.Input((STEPS, CHANNELS))
        x = Positions()(layers.Dense(D)(given))
        for _ in range(2):
            x = block(x, False, "relu", eps=1e-3)
        x = layers.GlobalAveragePooling1D()(x)
        return Model(given, layers.Dense(3, activation="softmax")(x))

    def open_frames():
        # Of any length up to that of the table, features in units of their own, heads of another width, the first vector.
        given = layers.Input((None, CHANNELS))
        x = layers.Normalization(mean=np.arange(CHANNELS) / 4, variance=0.5 + np.arange(CHANNELS))(given)
        x = block(Positions()(layers.Dense(D)(x)), True, "gelu", width=6)
        return Model(given, layers.Dense(3)(layers.LayerNormalization(epsilon=1e-6)(x)[:, 0]))

    def tokens():
        # Keras's own type of an input, float32.
        given = layers.Input((None,))
        x = block(TokensAndPositions(10)(given), False, "relu")
        x = layers.Dropout(0.1)(layers.GlobalAveragePooling1D()(x))
        return Model(given, layers.Dense(2, activation="sigmoid")(layers.Dense(10, activation="relu")(x)))

    def decoder():
        given = layers.Input((8,), dtype="int32")
        x = block(TokensAndPositions(8)(given), True, lambda x: activations.gelu(x, approximate=True), causal=True)
        return Model(given, layers.Dense(VOCAB)(layers.LayerNormalization(epsilon=1e-6)(x)))

    return {
        "keras_frames": (frames, "export"),
        "keras_open": (open_frames, "from_keras"),
        "keras_tokens": (tokens, "from_function"),
        "keras_decoder": (decoder, "export"),
    }


def randomise(model, rng):
    """Numbers that matter everywhere, in steps of 1/64, which take few bytes when they are packed."""
    for weight in model.trainable_weights:
        noise = rng.standard_normal(weight.shape)
        vector = weight.name in ("gamma", "beta", "bias")
        value = 1.0 + 0.3 * noise if weight.name == "gamma" else (0.3 if vector else 0.6) * noise
        weight.assign((np.round(value * 64) / 64).astype(np.float32))


def write_keras(here):
    import keras
    import tensorflow
    import tf2onnx

    for index, (name, (make, way)) in enumerate(keras_models().items()):
        keras.utils.clear_session()
        keras.utils.set_random_seed(20261201 + index)
        rng = np.random.default_rng(20261201 + index)
        model = make()
        randomise(model, rng)
        given, path = model.inputs[0], here / f"{name}.onnx"
        shape = (RECORDINGS, given.shape[1] or STEPS - 1, *given.shape[2:])
        x = rng.standard_normal(shape) if len(shape) == 3 else rng.integers(0, VOCAB, shape)
        x = x.astype(given.dtype)
        outputs = model(x, training=False).numpy()
        signature = (tensorflow.TensorSpec([None, *given.shape[1:]], given.dtype, name="x"),)
        if way == "export":
            model.export(path, format="onnx", verbose=False)
        elif way == "from_keras":
            tf2onnx.convert.from_keras(model, input_signature=signature, output_path=str(path))
        else:
            call = tensorflow.function(lambda x: model(x, training=False), input_signature=signature)
            tf2onnx.convert.from_function(call, input_signature=signature, opset=13, output_path=str(path))
        # tf2onnx leaves Erfc, which GELU is made of, as TensorFlow's own operation in the file, and onnxruntime does not know it.
        onnx_files.write(path, (x,), name, outputs=outputs if name == "keras_open" else None)


def transformers_models():
    """transformers' models by name: the model, optimum's task, the inputs, further settings."""
    from transformers import (BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, ViTConfig,
                              ViTForImageClassification)

    # optimum tries sequences of 16.
    small = dict(hidden_size=D, num_hidden_layers=1, num_attention_heads=HEADS, intermediate_size=HIDDEN, num_labels=3)
    words = dict(vocab_size=VOCAB, max_position_embeddings=20, bos_token_id=0, eos_token_id=0)
    bert = lambda: BertForSequenceClassification(BertConfig(**small, **words))
    vit = lambda: ViTForImageClassification(ViTConfig(**small, image_size=6, patch_size=3, num_channels=2))
    gpt2 = lambda: GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_embd=D, n_layer=1, n_head=HEADS, n_positions=20, bos_token_id=0, eos_token_id=0))
    llama = lambda: LlamaForCausalLM(LlamaConfig(**small, **words, num_key_value_heads=1, tie_word_embeddings=False))
    shape = (RECORDINGS, 6)
    tokens = lambda rng: rng.integers(0, VOCAB, shape)
    ones, positions = np.ones(shape, np.int64), np.tile(np.arange(6), (RECORDINGS, 1))
    cache = np.zeros((RECORDINGS, HEADS, 0, D // HEADS), np.float32)
    return {
        "optimum_bert": (bert, "text-classification", lambda rng: (tokens(rng), ones, 0 * ones), {}),
        "optimum_vit": (vit, "image-classification", lambda rng: (rng.standard_normal((RECORDINGS, 2, 6, 6)).astype(np.float32),), {}),
        "optimum_gpt2": (gpt2, "text-generation-with-past", lambda rng: (tokens(rng), cache, cache, ones, positions), {}),
        "optimum_llama": (llama, "text-generation", lambda rng: (tokens(rng), ones, positions), dict(max_seq=16)),
    }


def write_optimum(here):
    import torch
    from optimum.exporters.onnx import main_export

    torch.set_num_threads(1)
    for index, (name, (make, task, inputs, settings)) in enumerate(transformers_models().items()):
        torch.manual_seed(20261201 + index)
        model = make().eval()
        onnx_files.randomise(model, torch.Generator().manual_seed(20261201 + index))
        path = here / f"{name}.onnx"
        with tempfile.TemporaryDirectory() as scratch:
            saved, exported = Path(scratch) / "saved", Path(scratch) / "exported"
            model.save_pretrained(saved)
            main_export(str(saved), output=exported, task=task, do_validation=False)
            path.write_bytes((exported / "model.onnx").read_bytes())
        onnx_files.write(path, inputs(np.random.default_rng(20261201 + index)), name, **settings)


def quietly(write, here):
    """The exporters tell what they do."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        write(here)


def generate(folder):
    here = folder / "onnx"
    here.mkdir(parents=True, exist_ok=True)
    for write in (write_keras, write_optimum):
        # TensorFlow and PyTorch do not share a process.
        process = multiprocessing.get_context("spawn").Process(target=quietly, args=(write, here))
        process.start()
        process.join()
        if process.exitcode != 0:
            sys.exit(f"{write.__name__}: failed")


def parts(path):
    """Operations and tensors, whatever their order and names are."""
    import onnx

    graph = onnx.load(path).graph
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer]
    return sorted(node.op_type for node in graph.node), sorted((str(array.dtype), array.shape, array.tobytes()) for array in arrays)


def check():
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        for made in sorted((Path(scratch) / "onnx").iterdir()):
            name = made.name
            if made.suffix == ".npz":
                onnx_files.same_outputs(made, HERE / "onnx" / name)
            elif name.startswith("keras"):
                # TensorFlow writes nodes and tensors in another order every time.
                assert parts(made) == parts(HERE / "onnx" / name), f"{name}: other operations or tensors"
            else:
                assert made.read_bytes() == (HERE / "onnx" / name).read_bytes(), f"{name}: differs"
            print(f"{name}: same")


def check_versions():
    for line in (HERE / "requirements-exporters.txt").read_text().splitlines():
        if "==" in line:
            package, pinned = line.split("==")
            found = version(package)
            if found.split("+")[0] != pinned:
                sys.exit(f"{package} is {found}, the files need {pinned}: pip install -r {HERE / 'requirements-exporters.txt'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files instead of writing them")
    arguments = parser.parse_args()
    check_versions()
    check() if arguments.check else generate(HERE)


if __name__ == "__main__":
    main()
