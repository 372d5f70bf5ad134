"""Files for `verify --expected`, as a user's script writes them: numpy's archives of what transformers computes of golden checkpoints."""

from pathlib import Path

HERE = Path(__file__).resolve().parent
# "Once upon a time, there was" for the default model.
STORY = [1, 467, 468, 326, 465, 462, 352]


def generate(folder, golden):
    """`golden`: the folder whose checkpoints are read, in the repository."""
    import numpy as np
    import torch
    from transformers import GPT2LMHeadModel, LlamaForCausalLM

    (folder / "expected").mkdir(parents=True, exist_ok=True)
    for name, Model, save, length in [("llama", LlamaForCausalLM, np.savez_compressed, 12), ("gpt2", GPT2LMHeadModel, np.savez, 8)]:
        model = Model.from_pretrained(golden / name / "checkpoint", dtype=torch.float32, attn_implementation="eager").eval()
        generator = torch.Generator().manual_seed(20261129)
        ids = torch.randint(0, model.config.vocab_size, (2, length), generator=generator)
        with torch.no_grad():
            result = model(ids, output_hidden_states=True)
        arrays = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "logits": result.logits,
                  "hidden_states": torch.stack(result.hidden_states)}
        save(folder / "expected" / f"{name}.npz", **{key: value.numpy() for key, value in arrays.items()})
    stories = LlamaForCausalLM.from_pretrained(HERE.parent.parent / "models" / "stories" / "checkpoint", dtype=torch.float32).eval()
    with torch.no_grad():
        result = stories(torch.tensor([STORY]), output_hidden_states=True)
    arrays = {"tokens": torch.tensor([STORY], dtype=torch.int32), "logits": result.logits, "hidden": torch.stack(result.hidden_states)}
    np.savez_compressed(folder / "expected" / "stories.npz", **{key: value.numpy() for key, value in arrays.items()})
