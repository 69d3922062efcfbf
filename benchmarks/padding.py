"""Fine-tuning on packed rows beside padding: weighted tokens a second.

    python benchmarks/padding.py smarthome_slu.jsonl --preset tiny

The same requests, packed by best fit into rows of 256, and padded to 256, one to a row, as most
fine-tuning does it; the same model takes turns with both. Only tokens that the loss counts are
counted: those of the responses.
"""

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np
from machine import describe

from keras_vngpt import VnGPTBackbone, VnGPTCausalLM, VnGPTCausalLMPreprocessor, train_tokenizer
from keras_vngpt.data.dataset import PackedDataset
from keras_vngpt.data.pipeline import normalized, training_batches
from keras_vngpt.data.readers import read_conversations
from keras_vngpt.data.tokenise_and_pack import prepare_conversations
from keras_vngpt.models.sizes import PRESETS
from keras_vngpt.tasks.finetune import FinetuneSettings
from keras_vngpt.training.optimizers import make_optimizer
from keras_vngpt.training.trainer import Trainer

sys.path.append(str(Path(__file__).parent))
from workers import timed  # noqa: E402


def padded(rows):
    """Every segment of packed rows in a row of its own."""
    taken = [
        (row, numbers == segment)
        for row, numbers in enumerate(rows["segment_ids"])
        for segment in np.unique(numbers[numbers > 0])
    ]

    def column(values):
        out = np.zeros((len(taken), rows.length), values.dtype)
        for i, (row, where) in enumerate(taken):
            out[i, : where.sum()] = values[row][where]
        return out

    columns = {name: column(values) for name, values in rows.columns.items()}
    return PackedDataset({**columns, "segment_ids": np.minimum(columns["segment_ids"], 1)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="JSONL, CSV or TSV of requests and responses")
    parser.add_argument("--preset", choices=PRESETS, default="tiny")
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12, help="in a round")
    given = parser.parse_args()
    print(describe(["keras", "tensorflow"]))

    conversations = read_conversations([given.file])
    texts = [t for c in conversations for t in (*c.prompts, *c.responses)]
    sizes = PRESETS[given.preset]
    tokenizer = train_tokenizer(texts, sizes["vocabulary_size"])
    preprocessor = VnGPTCausalLMPreprocessor(tokenizer, given.length)
    packed = prepare_conversations(conversations, preprocessor).rows
    kinds = {"packed": packed, "padded": padded(packed)}
    assert kinds["padded"].weight == packed.weight

    sizes = sizes | {"vocabulary_size": tokenizer.vocabulary_size()}
    trainer = Trainer(VnGPTCausalLM(VnGPTBackbone(**sizes, max_sequence_length=given.length)))
    trainer.compile(make_optimizer(FinetuneSettings(), total_steps=100_000), jit_compile=False)
    weighted, times = {}, {kind: [] for kind in kinds}
    for turn in range(-1, given.rounds):  # the first one compiles
        for kind, rows in kinds.items():
            start = max(0, turn) * given.steps
            batches = training_batches(rows, given.batch_size, 0, start, start + given.steps)
            weight = sum(float(np.sum(w)) for *_, w in batches)
            taken = timed(
                lambda b=batches: trainer.fit(normalized(b), epochs=1, verbose=0, shuffle=False)
            )
            if turn >= 0:
                times[kind].append(weight / taken["seconds"])
            weighted[kind] = rows.weight / len(rows)
    print(
        f"\n{len(conversations):,} requests, rows of {given.length}, {given.batch_size} a step, "
        f"`{given.preset}`\n\n| rows | number | weighted tokens in a row | weighted tokens/s |"
        "\n|---|---|---|---|"
    )
    speed = {kind: statistics.median(of_kind) for kind, of_kind in times.items()}
    for kind, rows in kinds.items():
        print(f"| {kind} | {len(rows):,} | {weighted[kind]:.1f} | {speed[kind]:,.0f} |")
    print(f"\nPacked / padded: {speed['packed'] / speed['padded']:.2f}")


if __name__ == "__main__":
    main()
