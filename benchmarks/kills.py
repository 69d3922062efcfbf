"""Kills a run with SIGKILL again and again; does it end with the weights of one left in peace?

    python benchmarks/kills.py --kills 50

Each start is killed once its training has come to the next of many places, spread over both stages:
at any moment, while a state is being written, or within an evaluation. The run that comes out must
have the same bits in its weights, the same losses on its curves and the same sample answers. Exit
status 1 if it has not.
"""

import argparse
import csv
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import h5py
import yaml

STAGES = ("pretrain", "finetune")
MOMENTS = ("any moment", "while a state is written", "any moment", "within an evaluation")
OF_BOTH = {"dropout": 0.1, "evaluations": 4, "checkpoint_minutes": 0, "validation_share": 0.02}
SETTINGS = {
    "skip": ["evaluate", "export"],
    "model": {"num_layers": 1, "num_heads": 2, "hidden_dim": 32, "intermediate_dim": 64},
    "tokenizer": {"vocabulary_size": 500},
    "pretrain": {"sequence_length": 32, "batch_size": 4, "epochs": 2, "prompts": ["Buổi"]},
    "finetune": {"sequence_length": 64, "batch_size": 16, "epochs": 0.3, "prompts": ["Bật đèn"]},
}
BEGINNING = (-1, 0)  # the place before the first step of the first stage
LONGEST = 300  # seconds, until a process has come to its place


class Process:
    """`python -m keras_vngpt.fit` in a process, with what it says in a file."""

    def __init__(self, config, folder):
        self.folder, self.log = folder, folder.parent / f"{folder.name}.log"
        self.start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("a") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "keras_vngpt.fit", "--config", str(config)],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def said(self):
        return self.log.read_text(errors="replace")[self.start :]

    def is_over(self):
        return self.popen.poll() is not None

    def wait_for(self, happened, until):
        """Look again and again, fast, whether something has happened; false if it did not."""
        while not happened():
            if self.is_over() or time.monotonic() > until:
                return False
            time.sleep(0.0005)
        return True

    def is_writing(self):
        return any(self.folder.glob("work/*/checkpoint/.partial-*"))

    def kill(self, moment, place, rng):
        """Kill it at a moment after training has come to a place; what it was at, or `None`."""
        until = time.monotonic() + LONGEST
        if not self.wait_for(lambda: progress(self.folder) >= place, until):
            return None
        if moment == "while a state is written":
            self.wait_for(self.is_writing, until)
        elif moment == "within an evaluation":
            n = self.said().count("validation loss")
            self.wait_for(lambda: self.said().count("validation loss") > n, until)
        else:
            time.sleep(rng.uniform(0, 0.5 if place > BEGINNING else 10))
        self.popen.send_signal(signal.SIGKILL)
        if self.popen.wait() != -signal.SIGKILL:
            return None
        if moment == "while a state is written" and not self.is_writing():
            moment = "any moment"  # it was too fast
        return current_stage(self.folder), moment


def current_stage(folder):
    """What a run is at: its stage, or the preparation."""
    try:
        done = json.loads((folder / "metrics.json").read_text())
    except OSError:
        return "prepare"
    return STAGES["seconds.pretrain" in done]


def progress(folder):
    """(stage, step) of the last point of the curves."""
    rows = curves(folder)
    if not rows:
        return BEGINNING
    return STAGES.index(rows[-1]["stage"]), int(rows[-1]["step"])


def curves(folder):
    """The rows of history.csv that are whole."""
    path = folder / "history.csv"
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]
    return [row for row in csv.DictReader(lines) if row["step"]]


def outcome(folder):
    """All of a run that must not depend on when it was interrupted."""
    weights = {}
    for stage in STAGES:
        with h5py.File(folder / stage / "model.weights.h5") as file:
            file.visititems(
                lambda name, item, stage=stage: (
                    weights.update({f"{stage} {name}": (str(item.dtype), item[()].tobytes())})
                    if isinstance(item, h5py.Dataset)
                    else None
                )
            )
    of_time = {"tokens_per_second", "seconds"}
    points = [{k: v for k, v in row.items() if k not in of_time} for row in curves(folder)]
    return {
        "weights": weights,
        "losses": points,
        "samples": (folder / "samples.jsonl").read_text(),
    }


def run(name, folder):
    """The configuration of a run, and its folder; its data is prepared for it alone."""
    folder /= name
    folder.mkdir(parents=True)
    stages = {stage: {**SETTINGS[stage], **OF_BOTH} for stage in STAGES}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**SETTINGS, **stages, "folder": str(folder), "name": name}))
    return path, folder / name


def finish(config, folder):
    """Let a run come to its end."""
    process = Process(config, folder)
    if process.popen.wait():
        sys.exit(process.said())


def places(kills, whole):
    """So many places: the beginning, and evenly over the curves of an uninterrupted run."""
    points = [(STAGES.index(row["stage"]), int(row["step"])) for row in curves(whole)]
    return [BEGINNING, *(points[int(i / kills * len(points))] for i in range(1, kills))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="of the runs; a temporary one by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        rng, counts = random.Random(given.seed), Counter()
        config, whole = run("whole", folder)
        finish(config, whole)
        config, killed = run("killed", folder)
        for i, place in enumerate(places(given.kills, whole)):
            counts[Process(config, killed).kill(MOMENTS[i % len(MOMENTS)], place, rng)] += 1
        finish(config, killed)
        outcomes = outcome(whole), outcome(killed)
        metrics = json.loads((whole / "metrics.json").read_text())
    print(
        f"TensorFlow {version('tensorflow')}, Keras {version('keras')}, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}\n"
    )
    print("| killed | times |\n|---|---|")
    for (stage, moment), n in sorted((key, n) for key, n in counts.items() if key):
        print(f"| {stage}, {moment} | {n} |")
    print(f"| in all | {sum(n for key, n in counts.items() if key)} |")
    print("\n| after all of them | |\n|---|---|")
    for name in outcomes[0]:
        same = outcomes[0][name] == outcomes[1][name]
        print(f"| {name}: the same bits | {'yes' if same else 'NO'} |")
    for stage in STAGES:
        share = metrics[f"{stage}.checkpoint_seconds"] / metrics[f"seconds.{stage}"]
        print(f"| {stage}: share of the time spent on writing states | {share:.2%} |")
    sys.exit(outcomes[0] != outcomes[1])


if __name__ == "__main__":
    main()
