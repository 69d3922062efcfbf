"""Bits per byte at equal tokens and at equal time, beside GPT-2 and Qwen3 on PyTorch.

    python -m venv peers && peers/bin/pip install torch transformers
    python benchmarks/quality.py --train vi_train.txt --dev vi_dev.txt --peer peers/bin/python

Ours first: `fit` with its defaults and the preset. Then the peers, on the same packed rows in the
same order. The peers' learning rate is the best of a search on the first seed, over all tokens, and
so, at that one, is their beta 2 (transformers' own is 0.999). Then each model again for as long as
ours took: as many steps as fit, by the median speeds of the first part. Time is of training steps
alone, without preparation, compilation and validation; so the seconds in which ours counts the text
for its embeddings and its soft targets are left out.

Each run is a line of results.jsonl; the same command goes on where it was interrupted. Another
commit or another text wants another --folder.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
from machine import cores, describe

import keras_vngpt
from keras_vngpt.data.dataset import TRIPLE, Mixture, PackedDataset
from keras_vngpt.data.pipeline import training_batches
from keras_vngpt.models.sizes import PRESETS

PEER = Path(__file__).parent / "peers" / "train_torch.py"
OURS = {"keras_vngpt modern": "modern", "keras_vngpt classic": "classic"}
PEERS = {"transformers GPT-2": "gpt2", "transformers Qwen3": "qwen3"}
MODELS = [*OURS, *PEERS]
DTYPES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
FIRST = MODELS[0]  # whose time the others get


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True, help="text to train on")
    parser.add_argument("--dev", required=True, help="text for bits per byte")
    parser.add_argument("--peer", required=True, help="Python with torch and transformers")
    parser.add_argument("--folder", default="runs/quality", help="where runs and results go")
    parser.add_argument("--preset", choices=PRESETS, default="tiny")
    parser.add_argument("--tokens", type=int, default=2_050_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--models",
        nargs="+",
        choices=MODELS[1:],
        default=MODELS[1:],
        metavar="MODEL",
        help=f"beside the first: {', '.join(map(repr, MODELS[1:]))}",
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default="bfloat16",
        help="of products, the fastest for all where the processor has it",
    )
    parser.add_argument("--peer_learning_rates", type=float, nargs="+", default=[1e-3, 3e-3, 6e-3])
    parser.add_argument(
        "--peer_beta2", type=float, nargs="+", default=[0.95, 0.999], help="of AdamW"
    )
    parser.add_argument("--peer_weight_decay", type=float, default=0.1, help="of AdamW")
    parser.add_argument(
        "--peer_eager", action="store_true", help="without torch.compile, where there is no C++"
    )
    given = parser.parse_args()

    may_differ = "folder seeds peer models peer_learning_rates peer_beta2".split()
    settings = {name: value for name, value in vars(given).items() if name not in may_differ}
    results = Results(Path(given.folder, "results.jsonl"), settings)
    models = [m for m in MODELS if m == FIRST or m in given.models]
    for seed in given.seeds:
        for model in models:
            if model in OURS:
                results.get((model, seed, "tokens"), run_ours, given, model, seed, given.tokens)
    first = results[FIRST, given.seeds[0], "tokens"]
    steps = first["steps"]

    def peer(model, seed, recipe):
        key = model, seed, named("tokens", recipe)
        return results.get(key, run_peer, given, model, seed, first, steps, recipe)

    recipes = {}  # of the peers: learning rate and beta 2
    for model in models:
        if model not in PEERS:
            continue
        beta2, *others = given.peer_beta2
        found = {r: peer(model, given.seeds[0], (r, beta2)) for r in given.peer_learning_rates}
        rate = min(found, key=lambda r: found[r]["bits_per_byte"])
        found = {b: peer(model, given.seeds[0], (rate, b)) for b in (beta2, *others)}
        recipes[model] = rate, min(found, key=lambda b: found[b]["bits_per_byte"])
        for seed in given.seeds[1:]:
            peer(model, seed, recipes[model])

    def equal_tokens(model):
        budget = named("tokens", recipes.get(model))
        return [results[model, seed, budget] for seed in given.seeds]

    speeds = {m: statistics.median(r["tokens_per_second"] for r in equal_tokens(m)) for m in models}
    equal_time = {FIRST: equal_tokens(FIRST)}
    for model in models[1:]:
        timed = round(steps * speeds[model] / speeds[FIRST])
        tokens = int(timed * first["tokens_per_step"])
        run = (run_ours, tokens) if model in OURS else (run_peer, first, timed, recipes[model])
        budget = named(f"time, {timed} steps", recipes.get(model))
        equal_time[model] = [
            results.get((model, seed, budget), run[0], given, model, seed, *run[1:])
            for seed in given.seeds
        ]
    show(given, recipes, speeds, {m: equal_tokens(m) for m in models}, equal_time)


def named(budget, recipe):
    """What a run may take, and the recipe of a peer."""
    return f"{budget}, {recipe[0]:g}, {recipe[1]:g}" if recipe else budget


class Results:
    """The runs that are done, a line each in a JSONL file.

    Args:
        path: of the file.
        settings: dict, noted in each line; a file with others is refused.
    """

    def __init__(self, path, settings):
        self.path, self.settings, self.runs = path, settings, {}
        if not path.exists():
            return
        lines = path.read_text(encoding="utf-8").split("\n")
        lines = lines[:-1]  # after the last end of a line: nothing, or a run that was cut short
        for run in map(json.loads, lines):
            if run["settings"] != settings:
                sys.exit(f"{path}: is of other settings, {run['settings']}. Take another --folder")
            self.runs[run["model"], run["seed"], run["budget"]] = run
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def __getitem__(self, key):
        return self.runs[key]

    def get(self, key, run, *arguments):
        """The figures of a run, `run(*arguments)`; it is run if they are not there."""
        if key not in self.runs:
            print(f"\n{', '.join(map(str, key))}", flush=True)
            figures = dict(zip(("model", "seed", "budget"), key, strict=True))
            figures |= {"settings": self.settings} | run(*arguments)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(figures) + "\n")
            self.runs[key] = figures
        return self.runs[key]


def run_ours(given, model, seed, tokens):
    """`fit` with its defaults; the figures of its training steps."""
    run = keras_vngpt.fit(
        folder=given.folder,
        name=run_name(given, model, seed, tokens),
        seed=seed,
        model={
            "preset": given.preset,
            "decoder": OURS[model],
            "dtype": DTYPES[given.dtype],
        },
        skip=["finetune", "export"],
        pretrain={
            "data": [given.train],
            "test_data": [given.dev],  # all of it, as for the peers
            "validation_share": 0.001,  # nothing is chosen by it
            "tokens": tokens,
            "evaluations": 1,  # the weights at the end: nothing to choose by validation
            "prompts": [],
        },
    )
    metrics = run.metrics
    with open(run / "history.csv", encoding="utf-8") as file:
        speed = float(list(csv.DictReader(file))[-1]["tokens_per_second"])
    return {
        "parameters": metrics["parameters"],
        "steps": metrics["pretrain.steps"],
        "tokens": metrics["pretrain.tokens"],
        "tokens_per_step": metrics["pretrain.tokens"] / metrics["pretrain.steps"],
        "batch_size": metrics["pretrain.batch_size"],
        "vocabulary_size": metrics["vocabulary_size"],
        "bits_per_nat": metrics["pretrain.test_bits_per_nat"],
        "tokens_per_second": speed,
        "seconds": metrics["pretrain.tokens"] / speed,
        "bits_per_byte": metrics["pretrain.test_bits_per_byte"],
    }


def run_peer(given, model, seed, ours, steps, recipe):
    """A peer on the rows of our run of the same seed, in their order."""
    work = Path(given.folder, run_name(given, FIRST, seed, given.tokens), "work", "pretrain")
    order = Path(given.folder, f"order-{seed}.npy")
    np.save(order, order_of_rows(work / "train", ours["batch_size"], seed, steps))
    sizes = PRESETS[given.preset] | {"vocabulary_size": ours["vocabulary_size"]}
    command = [given.peer, PEER, "--layout", PEERS[model], "--sizes", json.dumps(sizes)]
    command += ["--rows", work / "train", "--validation", work / "test", "--order", order]
    command += ["--bits_per_nat", ours["bits_per_nat"], "--seed", seed]
    command += ["--threads", cores()]  # as many as TensorFlow takes by itself
    command += ["--learning_rate", recipe[0], "--beta2", recipe[1]]
    command += ["--weight_decay", given.peer_weight_decay, "--dtype", given.dtype]
    command += [] if given.peer_eager else ["--compiled"]
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().split("\n")[-1])


def run_name(given, model, seed, tokens):
    return f"{OURS[model]}-{given.preset}-{tokens}-{seed}"


def order_of_rows(folder, batch_size, seed, steps):
    """The rows of each step, [steps, batch]: what the pipeline makes of rows that hold a number."""
    numbers = np.arange(len(PackedDataset.load(folder)))[:, None]
    rows = PackedDataset(dict.fromkeys(TRIPLE, numbers))
    batches = training_batches(rows, batch_size, seed, 0, steps, Mixture.load(folder))
    return np.stack([x["token_ids"].numpy()[:, 0] for x, _, _ in batches])


def show(given, recipes, speeds, equal_tokens, equal_time):
    packages = "import torch, transformers as t; print(torch.__version__, t.__version__)"
    told = subprocess.run([given.peer, "-c", packages], stdout=subprocess.PIPE, text=True)
    torch, transformers = told.stdout.split()
    print(f"\n{describe(['tensorflow', 'keras'])}, PyTorch {torch}, transformers {transformers}")
    print(
        f"seeds {', '.join(map(str, given.seeds))}, preset {given.preset}, products in "
        f"{given.dtype}; mean (range)"
    )
    step = "eager" if given.peer_eager else "compiled"
    print(
        f"peers: {step}, AdamW, weight decay {given.peer_weight_decay:g}, learning rate and "
        + "beta 2 "
        + ", ".join(f"{rate:g} and {beta2:g} ({m})" for m, (rate, beta2) in recipes.items())
        + f" of {', '.join(f'{r:g}' for r in given.peer_learning_rates)}"
        + f" and {', '.join(f'{b:g}' for b in given.peer_beta2)}\n"
    )
    print(
        "| model | parameters | tokens/s | bits per byte at equal tokens | tokens in equal time "
        "| bits per byte at equal time |\n|---|---|---|---|---|---|"
    )
    for model in equal_time:
        same, timed = equal_tokens[model], equal_time[model]
        print(
            f"| {model} | {same[0]['parameters']:,} | {speeds[model]:,.0f} | {spread(same)} "
            f"| {timed[0]['tokens']:,} | {spread(timed)} |"
        )
    seconds = statistics.median(run["seconds"] for run in equal_tokens[FIRST])
    print(f"\nEqual tokens: {equal_tokens[FIRST][0]['tokens']:,}; equal time: {seconds:.0f} s.")


def spread(runs):
    values = [run["bits_per_byte"] for run in runs]
    return f"{statistics.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"


if __name__ == "__main__":
    main()
