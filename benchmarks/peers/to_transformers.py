"""The model of `benchmarks/generation.py` for its peers: a folder of transformers, and CTranslate2.

python to_transformers.py FOLDER
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from ctranslate2.converters import TransformersConverter
from torch_training import make_model


class Names:
    """CTranslate2 wants names for tokens: here they are the numbers."""

    bos_token, eos_token, unk_token, pad_token = "<1>", "<2>", "<3>", "<0>"

    def __init__(self, size):
        self.size = size

    def get_vocab(self):
        return {f"<{i}>": i for i in range(self.size)}


def main(folder):
    folder = Path(folder)
    sizes = json.loads((folder / "sizes.json").read_text())
    model = make_model("qwen3", sizes, 512)
    weights = {n: torch.from_numpy(w) for n, w in np.load(folder / "weights.npz").items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:  # that is the embedding
        sys.exit(f"missing {missing}, unexpected {unexpected}")
    for config in (model.config, model.generation_config):
        config.bos_token_id, config.eos_token_id, config.pad_token_id = 2, 4, 0
    model.save_pretrained(folder / "transformers")
    converter = TransformersConverter(str(folder / "transformers"))
    converter.load_tokenizer = lambda *args, **kwargs: Names(sizes["vocabulary_size"])
    converter.convert(str(folder / "float32"))
    converter.convert(str(folder / "int8"), quantization="int8")


if __name__ == "__main__":
    main(*sys.argv[1:])
