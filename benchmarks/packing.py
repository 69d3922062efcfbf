"""How full the rows of fine-tuning are, beside padding to the longest request of each batch.

    python benchmarks/packing.py sft/*.jsonl

A table in Markdown, one line a file: rows of 256 packed by best fit, the same with text of the
pre-training in the gaps, and batches of 16 in a random order, padded to their longest. A tokenizer
is trained on all the files together.
"""

import argparse
import os
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np

from keras_vngpt import VnGPTCausalLMPreprocessor, train_tokenizer
from keras_vngpt.data.packing import fill_with_replay
from keras_vngpt.data.readers import read_conversations, read_documents
from keras_vngpt.data.tokenise_and_pack import prepare_conversations, prepare_documents
from keras_vngpt.tasks.finetune import FEW_ROWS

BATCH = 16


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--text", nargs="+", default=["samples:prose"], help="for the gaps")
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=4096)
    given = parser.parse_args()
    print(
        f"TensorFlow {version('tensorflow')}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores; rows of {given.length}, vocabulary {given.vocabulary}\n"
    )
    sets = {path: read_conversations([path]) for path in given.files}
    texts = [t for found in sets.values() for c in found for t in (*c.prompts, *c.responses)]
    tokenizer = train_tokenizer(texts, given.vocabulary)
    preprocessor = VnGPTCausalLMPreprocessor(tokenizer, given.length)
    text = prepare_documents(read_documents(given.text), preprocessor).rows
    print(
        "| file | requests | passes | rows | full | with text in the gaps | rows without weight "
        "| full when padded |\n|---|---|---|---|---|---|---|---|"
    )
    for path, conversations in sets.items():
        prepared = prepare_conversations(conversations, preprocessor, path, FEW_ROWS)
        rows = prepared.rows
        numbers = rows["segment_ids"].astype(int) + 10**6 * np.arange(len(rows))[:, None]
        _, sizes = np.unique(numbers[rows["segment_ids"] > 0], return_counts=True)
        sizes = np.random.default_rng(0).permutation(sizes)
        batches = [sizes[i : i + BATCH] for i in range(0, len(sizes), BATCH)]
        padded = sizes.sum() / sum(len(b) * b.max() for b in batches)
        filled = fill_with_replay(rows, text, 0.1, tokenizer.start_token_id)
        empty = int(np.sum(~rows["sample_weight"].any(axis=1)))
        print(
            f"| {Path(path).name} | {len(conversations):,} | {prepared.passes} | {len(rows):,} "
            f"| {rows.fill:.1%} | {filled.fill:.1%} | {empty} | {padded:.1%} |"
        )


if __name__ == "__main__":
    main()
