"""An engine of `benchmarks/generation.py`: ours, or KerasHub's `generate` on our model.

python our_answers.py float32|int8|keras_hub FOLDER THREADS
"""

import json
import os
import sys
import types
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from prompts import make_prompts, peak_memory  # noqa: E402
from workers import serve, timed  # noqa: E402

from keras_vngpt import VnGPTBackbone, VnGPTCausalLM  # noqa: E402
from keras_vngpt.generation.model_generator import ModelGenerator  # noqa: E402


def main(engine, folder, threads):
    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    sizes = json.loads(Path(folder, "sizes.json").read_text())
    backbone = VnGPTBackbone(**sizes, max_sequence_length=512)
    backbone.load_weights(Path(folder, "ours.weights.h5"))
    model = VnGPTCausalLM(backbone)
    make = keras_hub_engine if engine == "keras_hub" else our_engine
    answer = make(model, engine)

    def generate(batch, ragged, new):
        prompts = make_prompts(batch, ragged, sizes["vocabulary_size"])
        ids = []
        figures = timed(lambda: ids.extend(answer(prompts, new)))
        return {**figures, "peak_memory": peak_memory(), "beginning": list(map(int, ids[0][:4]))}

    serve({"version": ""}, {"generate": generate})


def padded(prompts, width):
    return np.array([row + [0] * (width - len(row)) for row in prompts], "int32")


def our_engine(model, weights):
    tokenizer = types.SimpleNamespace(end_token_id=-1, _sentence_piece=None)  # nothing ends
    model.preprocessor = types.SimpleNamespace(tokenizer=tokenizer)
    generator = ModelGenerator(model, weights=weights)

    def answer(prompts, new):
        width = max(map(len, prompts))
        return generator.generate_ids(tf.constant(padded(prompts, width)), new).numpy()

    return answer


def keras_hub_engine(model, _):
    model.compile(sampler="greedy")

    def answer(prompts, new):
        width = max(map(len, prompts)) + new
        ids = padded(prompts, width)
        lengths = np.array([[len(row)] for row in prompts])
        inputs = {"token_ids": ids, "padding_mask": np.arange(width) < lengths}
        out = np.asarray(model.generate(inputs, stop_token_ids=None)["token_ids"])
        return [row[n : n + new] for row, n in zip(out, lengths[:, 0], strict=True)]

    return answer


if __name__ == "__main__":
    main(*sys.argv[1:])
