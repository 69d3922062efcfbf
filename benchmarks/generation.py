"""Generation on the CPU beside KerasHub, transformers and CTranslate2: tokens a second, memory.

    python -m venv peers && peers/bin/pip install torch transformers ctranslate2
    python benchmarks/generation.py --peer peers/bin/python

One model with random weights in every engine that can load them, `small` by default (15M
parameters): prompts of 16 tokens, 240 new ones, greedy, and a ragged batch of 32 with prompts of 4
to 200. Each engine is a process that stays alive; they take turns, one at work at a time. Medians
of rounds, compilation not counted. CTranslate2's threads are bound to cores, without which it was
two to four times slower on a shared machine.

The last column is the share of the time that reading would take: of the weights and, on average,
the cache for each step, at the rate at which this machine sums an array that no cache holds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from machine import cores, describe
from same_loss import in_their_layout
from workers import Worker

from keras_vngpt import VnGPTBackbone
from keras_vngpt.models.sizes import PRESETS

HERE = Path(__file__).parent / "peers"
CASES = {"1": (1, 0), "8": (8, 0), "32": (32, 0), "32 ragged": (32, 1)}
BOUND = {"OMP_PROC_BIND": "true"}
BYTES = {"float32": 4, "int8": 1}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="Python with torch, transformers and ctranslate2")
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--new", type=int, default=240, help="new tokens")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--only", nargs="*", default=[""], help="engines with one of these words")
    parser.add_argument("--cases", nargs="*", default=list(CASES), metavar="|".join(CASES))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sizes = make_model(Path(folder), given.preset)
        if given.peer:
            told = [given.peer, HERE / "to_transformers.py", folder]
            subprocess.run(list(map(str, told)), check=True, stdout=subprocess.DEVNULL)
        run(given, Path(folder), sizes)


def make_model(folder, preset):
    """Weights as if trained: of a size that makes a difference, none zero."""
    keras.utils.set_random_seed(0)
    sizes = PRESETS[preset]
    backbone = VnGPTBackbone(**sizes, max_sequence_length=512)
    generator = np.random.default_rng(0)
    for weight in backbone.weights:
        if len(weight.shape) == 2:
            deviation = 0.02 if "embed" in weight.path else weight.shape[0] ** -0.5
            weight.assign(generator.normal(0, deviation, weight.shape))
    backbone.save_weights(folder / "ours.weights.h5")
    np.savez(folder / "weights.npz", **in_their_layout(backbone))
    (folder / "sizes.json").write_text(json.dumps(sizes))
    return sizes | {"parameters": backbone.count_params()}


def run(given, folder, sizes):
    ours, peer = [sys.executable, HERE / "our_answers.py"], [given.peer, HERE / "their_answers.py"]
    commands = {
        "keras_vngpt float32": ([*ours, "float32"], {}),
        "keras_vngpt int8": ([*ours, "int8"], {}),
        "KerasHub generate": ([*ours, "keras_hub"], {}),
    }
    if given.peer:
        commands["transformers"] = [*peer, "transformers"], {}
        commands["CTranslate2 float32"] = [*peer, "float32"], BOUND
        commands["CTranslate2 int8"] = [*peer, "int8"], BOUND
    commands = {n: c for n, c in commands.items() if any(w in n for w in given.only)}
    engines = {
        name: Worker([*command, folder, given.threads], environment)
        for name, (command, environment) in commands.items()
    }
    print(describe(["tensorflow", "keras", "keras-hub"]), "; peers:", end=" ")
    print(", ".join(sorted({e.facts["version"] for e in engines.values() if e.facts["version"]})))
    rate = memory_rate()
    print(f"{sizes['parameters']:,} parameters, memory is read at {rate / 1e9:.1f} GB/s\n")
    print(
        "| batch | engine | first token, ms | tokens/s | slowest, fastest | beside KerasHub "
        "| peak memory, GB | share of reading |\n|---|---|---|---|---|---|---|---|"
    )
    for case in given.cases:
        batch, ragged = CASES[case]
        seconds = {name: [] for name in engines}
        first = {name: [] for name in engines}
        said = {}
        for turn in range(given.rounds + 1):  # the first compiles
            for name, engine in engines.items():
                one = engine.ask(f"generate {batch} {ragged} 1")
                all_ = engine.ask(f"generate {batch} {ragged} {given.new}")
                if turn:
                    first[name].append(one["seconds"])
                    seconds[name].append(all_["seconds"])
                said[name] = all_
        show(given, case, batch, ragged, sizes, rate, seconds, first, said)
    for engine in engines.values():
        engine.close()


def show(given, case, batch, ragged, sizes, rate, seconds, first, said):
    new = batch * given.new
    beside = statistics.median(seconds.get("KerasHub generate", [float("nan")]))
    prompts = 102 if ragged else 16
    cache = 8 * batch * sizes["num_layers"] * sizes["hidden_dim"] * (prompts + given.new / 2)
    for name, times in seconds.items():
        middle = statistics.median(times)
        weight = BYTES["int8" if "int8" in name else "float32"]
        reading = given.new * (sizes["parameters"] * weight + cache) / rate
        print(
            f"| {case} | {name} | {statistics.median(first[name]) * 1e3:.0f} | {new / middle:,.0f} "
            f"| {new / max(times):,.0f}, {new / min(times):,.0f} | {beside / middle:.2f} "
            f"| {said[name]['peak_memory'] / 1e9:.2f} | {reading / middle:.0%} |",
            flush=True,
        )
    texts = {name: facts["beginning"] for name, facts in said.items() if "int8" not in name}
    if len({str(text) for text in texts.values()}) > 1:
        print(f"\nThe first tokens of float32 engines differ: {texts}\n")


def memory_rate():
    """Bytes a second that two threads read, by torch's or TensorFlow's sum of half a gigabyte."""
    import tensorflow as tf

    array, times = tf.ones([2**27]), []
    for _ in range(7):
        start = time.perf_counter()
        tf.reduce_sum(array).numpy()
        times.append(time.perf_counter() - start)
    return 2**29 / min(times)


if __name__ == "__main__":
    main()
