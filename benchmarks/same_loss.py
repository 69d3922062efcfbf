"""Our modern decoder and transformers' Qwen3, at equal weights, find the same loss in packed rows.

    python benchmarks/same_loss.py --peer peers/bin/python

So the benchmarks compare like with like: mask, positions, weights of the loss, and the layout.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_vngpt import VnGPTBackbone, VnGPTCausalLM
from keras_vngpt.data.dataset import TRIPLE, PackedDataset
from keras_vngpt.data.pipeline import evaluation_batches
from keras_vngpt.models.sizes import PRESETS
from keras_vngpt.models.validation_scores import Scores

PEER = Path(__file__).parent / "peers" / "loss_torch.py"
N_ROWS, LENGTH, TOLERANCE = 8, 64, 1e-4
NAMES = {  # of a layer: ours to the Qwen3 layout's
    "attention_norm": "input_layernorm",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "query_norm": "self_attn.q_norm",
    "key_norm": "self_attn.k_norm",
    "attention_output": "self_attn.o_proj",
    "feedforward_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", required=True, help="Python with torch and transformers")
    parser.add_argument("--preset", choices=PRESETS, default="nano")
    given = parser.parse_args()

    keras.utils.set_random_seed(0)
    sizes = PRESETS[given.preset]
    backbone = VnGPTBackbone(**sizes, max_sequence_length=LENGTH)
    generator = np.random.default_rng(0)
    for variable in backbone.weights:  # some start from zero or one: they would hide a difference
        variable.assign(variable + generator.normal(0, 0.05, variable.shape))
    rows = random_rows(generator, sizes["vocabulary_size"])
    ours = Scores(VnGPTCausalLM(backbone))(evaluation_batches(rows, N_ROWS))[0]
    with tempfile.TemporaryDirectory() as folder:
        rows.save(f"{folder}/rows")
        np.savez(f"{folder}/weights.npz", **in_their_layout(backbone))
        command = [given.peer, PEER, f"{folder}/rows", f"{folder}/weights.npz", json.dumps(sizes)]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    theirs = float(told.split()[-1])
    print(f"keras_vngpt {ours:.6f}, transformers {theirs:.6f}")
    if abs(ours - theirs) > TOLERANCE:
        sys.exit(f"They differ by more than {TOLERANCE:g}")


def random_rows(generator, vocabulary_size):
    """Rows of three documents of any length, padding, and any weights."""
    shape = (N_ROWS, LENGTH)
    ends = np.sort(generator.integers(1, LENGTH, (N_ROWS, 3)), axis=1)
    place = np.arange(LENGTH)
    segments = 1 + (place[None, :, None] >= ends[:, None, :]).sum(-1)
    segments[segments == 4] = 0
    token_ids, target = (generator.integers(5, vocabulary_size, shape) for _ in range(2))
    weight = generator.integers(0, 3, shape) / 2 * (segments > 0)
    columns = token_ids, segments, target, weight.astype("float16")
    return PackedDataset(dict(zip(TRIPLE, columns, strict=True)))


def in_their_layout(backbone):
    """The weights under the names of the Qwen3 layout; its kernels are [out, in]."""
    weights = {
        "model.embed_tokens.weight": backbone.token_embedding.embeddings,
        "model.norm.weight": backbone.final_norm.scale,
    }
    for i, layer in enumerate(backbone.transformer_layers):
        for ours, theirs in NAMES.items():
            part = getattr(layer, ours)
            weight = part.scale if ours.endswith("norm") else keras.ops.transpose(part.kernel)
            weights[f"model.layers.{i}.{theirs}.weight"] = weight
    return {name: keras.ops.convert_to_numpy(weight) for name, weight in weights.items()}


if __name__ == "__main__":
    main()
