"""How the cost of training grows: time and memory against parameters and against row length.

    python benchmarks/cost.py

Each line is a process of its own that trains on random rows; AdamW, 2,048 tokens a step.
"""

import argparse
import sys
from pathlib import Path

from machine import describe
from workers import Worker

OURS = Path(__file__).parent / "peers" / "our_steps.py"
TOKENS = 2_048  # a step


def measure(preset, length, dtype, steps):
    """Tokens a second and the peak of memory."""
    command = [sys.executable, OURS, "--preset", preset, "--dtype", dtype, "--length", length]
    worker = Worker([*command, "--rows", TOKENS // length])
    try:
        worker.ask("steps 1")
        told = worker.ask(f"steps {steps}")
        return worker.facts["parameters"], TOKENS * steps / told["seconds"], told["memory"]
    finally:
        worker.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", choices=("float32", "mixed_bfloat16"), default="float32")
    parser.add_argument("--presets", nargs="+", default=["nano", "tiny", "small", "base"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[128, 256, 512, 1024, 2048])
    parser.add_argument("--length_preset", default="tiny", help="whose rows grow")
    given = parser.parse_args()
    print(describe(["keras", "tensorflow"]), f"{given.dtype}", sep=", ")
    print("\n| preset | row length | parameters | tokens/s | peak memory |\n|---|---|---|---|---|")
    cases = [(preset, 128) for preset in given.presets]
    cases += [(given.length_preset, n) for n in given.lengths if n != 128]
    for preset, length in cases:
        steps = {"nano": 60, "tiny": 30, "small": 12}.get(preset, 4)
        parameters, speed, memory = measure(preset, length, given.dtype, steps)
        print(
            f"| {preset} | {length:,} | {parameters:,} | {speed:,.0f} | {memory / 1e9:.2f} GB |",
            flush=True,
        )


if __name__ == "__main__":
    main()
