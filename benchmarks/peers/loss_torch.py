"""The peer of `benchmarks/same_loss.py`: the loss of given rows with given weights.

python loss_torch.py ROWS WEIGHTS SIZES
"""

import json
import sys

import numpy as np
import torch
from torch_training import Training, make_model, read_rows


def main(folder, path, sizes):
    rows = read_rows(folder)
    model = make_model("qwen3", json.loads(sizes), rows[0].shape[1])
    weights = {name: torch.from_numpy(array) for name, array in np.load(path).items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:  # that is the embedding
        sys.exit(f"missing {missing}, unexpected {unexpected}")
    print(Training(model).nats_per_weight(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
