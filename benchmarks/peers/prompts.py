"""The prompts of `benchmarks/generation.py`, the same for every engine."""

from pathlib import Path

import numpy as np


def make_prompts(batch, ragged, vocabulary_size):
    """Lists of ids: 16 each, or from 4 to 200."""
    generator = np.random.default_rng(batch)
    lengths = np.linspace(4, 200, batch).astype(int) if ragged else [16] * batch
    generator.shuffle(lengths)
    return [generator.integers(5, vocabulary_size, length).tolist() for length in lengths]


def peak_memory():
    """Bytes of this process; `getrusage` would count what started it, too."""
    lines = Path("/proc/self/status").read_text().split("\n")
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
