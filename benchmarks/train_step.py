"""Training steps with and without XLA, alternating: tokens a second, medians.

    python benchmarks/train_step.py --preset nano --preset tiny

Processor time is printed beside wall time: on a shared machine it is the steadier of the two.
"""

import argparse
import os
import platform
import statistics
import time
from importlib.metadata import version

import keras
import numpy as np
import tensorflow as tf

from keras_vngpt import VnGPTBackbone, VnGPTCausalLM
from keras_vngpt.models.backbone import PRESETS
from keras_vngpt.training.optimizers import make_optimizer

ROWS, LENGTH, STEPS = 16, 128, 12


def make_trainer(preset, optimizer, jit_compile):
    """A function that trains a fresh model for a number of steps."""
    model = VnGPTCausalLM(VnGPTBackbone(**PRESETS[preset], max_sequence_length=LENGTH))
    model.compile(
        optimizer=make_optimizer(optimizer, 1e-3, total_steps=10_000),
        weighted_metrics=[],
        jit_compile=jit_compile,
    )
    ids = np.random.default_rng(0).integers(5, PRESETS[preset]["vocabulary_size"], (ROWS, LENGTH))
    ones = np.ones_like(ids, "int32")
    triple = ({"token_ids": ids, "padding_mask": ones}, ids, ones.astype("float32"))
    batches = tf.data.Dataset.from_tensors(triple).repeat()
    return lambda steps: model.fit(batches, steps_per_epoch=steps, verbose=0, shuffle=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", action="append", choices=PRESETS, help="repeat for several")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(
        f"TensorFlow {version('tensorflow')}, Keras {version('keras')}, backend "
        f"{keras.config.backend()}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"{ROWS} rows of {LENGTH}"
    )
    print("\n| preset | optimizer | XLA | tokens/s | tokens per processor second |")
    print("|---|---|---|---|---|")
    for preset in given.preset or ["nano"]:
        cases = [(o, jit) for o in ("adamw", "muon") for jit in (False, True)]
        trainers = {case: make_trainer(preset, *case) for case in cases}
        times = {case: [] for case in cases}
        for train in trainers.values():
            train(2)  # compiles
        for _ in range(given.rounds):
            for case, train in trainers.items():
                wall, processor = time.perf_counter(), time.process_time()
                train(STEPS)
                times[case].append((time.perf_counter() - wall, time.process_time() - processor))
        for (optimizer, jit), measured in times.items():
            wall, processor = map(statistics.median, zip(*measured, strict=True))
            tokens = ROWS * LENGTH * STEPS
            print(
                f"| {preset} | {optimizer} | {'yes' if jit else 'no'} "
                f"| {tokens / wall:,.0f} | {tokens / processor:,.0f} |"
            )


if __name__ == "__main__":
    main()
