"""From `tf.saved_model.load` to the first answer, each time in a fresh process, imports done.

    python benchmarks/first_answer.py

An export with random weights, a prompt of about 16 tokens, an answer of 16. The time holds the
reading of the file and the compilation by XLA.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile

from machine import describe

import keras_vngpt
from keras_vngpt import VnGPTBackbone, VnGPTCausalLM, VnGPTCausalLMPreprocessor
from keras_vngpt.data.readers import read_documents
from keras_vngpt.exporting.saved_model import save_generator
from keras_vngpt.generation.generation_config import WEIGHTS
from keras_vngpt.generation.model_generator import ModelGenerator
from keras_vngpt.models.sizes import PRESETS

ALONE = """
import sys, time
import tensorflow as tf
import tensorflow_text
start = time.perf_counter()
model = tf.saved_model.load(sys.argv[1])
loaded = time.perf_counter() - start
controls = dict(temperature=0.0, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0, seed=0)
controls = {name: tf.constant(value) for name, value in controls.items()}
prompts = {"prompts": tf.constant(["Bật quạt phòng ngủ lên mức 2"])}
if "generate" not in model.signatures:
    prompts = {"token_ids": tf.range(5, 21)[None]}
generate = model.signatures["generate_ids" if "token_ids" in prompts else "generate"]
for _ in range(2):
    answer = generate(**prompts, max_new_tokens=tf.constant(16), **controls)
    next(iter(answer.values())).numpy()
    print(loaded, time.perf_counter() - start)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", choices=WEIGHTS, default="float32")
    parser.add_argument("--ids", action="store_true", help="an export that takes and gives ids")
    given = parser.parse_args()
    tokenizer = keras_vngpt.train_tokenizer(read_documents(["samples:prose"]), 2_000)
    backbone = VnGPTBackbone(**PRESETS[given.preset], max_sequence_length=512)
    model = VnGPTCausalLM(backbone, VnGPTCausalLMPreprocessor(tokenizer, 512))
    with tempfile.TemporaryDirectory() as folder:
        save_generator(
            ModelGenerator(model, weights=given.weights), f"{folder}/1", text=not given.ids
        )
        found = []
        for _ in range(given.rounds):
            command = [sys.executable, "-c", ALONE, f"{folder}/1"]
            told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            (loaded, first), (_, second) = (map(float, line.split()) for line in told.splitlines())
            found.append((loaded, first, second - first))
    print(describe(["tensorflow"]))
    print(f"{model.count_params():,} parameters, {given.weights}\n")
    for name, seconds in zip(
        ("loaded", "first answer", "second"), zip(*found, strict=True), strict=True
    ):
        print(f"{name}: {statistics.median(seconds):.2f} s ({min(seconds):.2f}-{max(seconds):.2f})")


if __name__ == "__main__":
    main()
