"""Trains a transformers model on rows of ours, the same rows in the same order.

    python train_torch.py --rows WORK/pretrain/train --validation WORK/pretrain/validation \\
        --order order.npy --sizes '{"vocabulary_size": 4096, ...}' --bits_per_nat 0.3068

Prints one line of JSON. Needs torch, transformers and numpy, nothing of keras_vngpt. Compilation
and a few steps to measure the speed come first and are not counted; the weights then start anew.
"""

import argparse
import copy
import json
import resource
import time

import numpy as np
import torch
from torch_training import Training, make_model, read_rows, take

WARM, MEASURED = 3, 20  # steps before training: to compile, and to see how fast they are


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", required=True, help="folder with the arrays to train on")
    parser.add_argument("--validation", required=True, help="the same, for bits per byte")
    parser.add_argument("--order", required=True, help=".npy of row numbers, [steps, batch]")
    parser.add_argument("--sizes", required=True, type=json.loads, help="JSON, of the model")
    parser.add_argument("--bits_per_nat", required=True, type=float, help="per byte, from the loss")
    parser.add_argument("--layout", choices=("qwen3", "gpt2"), default="qwen3")
    parser.add_argument("--steps", type=int, help="by default as many as the order has")
    parser.add_argument("--tokens", type=int, help="instead: steps for so many tokens")
    parser.add_argument(
        "--seconds", type=float, help="instead: steps that fit, by the speed measured just before"
    )
    parser.add_argument("--learning_rate", type=float, default=3e-3)
    parser.add_argument("--beta2", type=float, default=0.95, help="transformers' own is 0.999")
    parser.add_argument("--weight_decay", type=float, default=0.1, help="transformers' own is 0")
    parser.add_argument("--warmup", type=float, default=0.05, help="share of the steps")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--compiled", action="store_true", help="torch.compile")
    parser.add_argument("--threads", type=int, help="by default as PyTorch chooses")
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    given = parser.parse_args()

    if given.threads:
        torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    order, rows = np.load(given.order, mmap_mode="r"), read_rows(given.rows)
    fill = np.count_nonzero(rows[1]) / rows[1].size
    tokens_per_step = order.shape[1] * rows[0].shape[1] * fill
    model = make_model(given.layout, given.sizes, rows[0].shape[1])

    def training(steps):
        return Training(
            model,
            given.dtype,
            given.compiled,
            steps,
            given.learning_rate,
            (0.9, given.beta2),
            given.weight_decay,
            given.warmup,
        )

    start = copy.deepcopy(model.state_dict())
    trial = training(10_000)
    for step in range(WARM + MEASURED):
        if step == WARM:
            begin = time.perf_counter()
        trial.step(take(rows, order[step % len(order)]))
    seconds_per_step = (time.perf_counter() - begin) / MEASURED
    model.load_state_dict(start)
    del trial, start
    model.zero_grad()

    steps = given.steps or len(order)
    if given.tokens:
        steps = int(np.ceil(given.tokens / tokens_per_step))
    if given.seconds:
        steps = int(given.seconds / seconds_per_step)
    if steps > len(order):
        parser.error(f"--order: has {len(order):,} steps, {steps:,} are wanted")
    real = training(steps)
    begin, processor = time.perf_counter(), time.process_time()
    for step in range(steps):
        loss = real.step(take(rows, order[step]))
    loss = float(loss)
    seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    nats = real.nats_per_weight(read_rows(given.validation))
    print(
        json.dumps(
            {
                "layout": given.layout,
                "parameters": sum(p.numel() for p in model.parameters()),
                "steps": steps,
                "tokens": round(steps * tokens_per_step),
                "seconds": seconds,
                "tokens_per_second": steps * tokens_per_step / seconds,
                "tokens_per_processor_second": steps * tokens_per_step / processor,
                "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "last_loss": loss,
                "bits_per_byte": nats * given.bits_per_nat,
            }
        )
    )


if __name__ == "__main__":
    main()
