"""Training steps on the CPU beside PyTorch: tokens a second, memory, share of the matrix rate.

    python -m venv peers && peers/bin/pip install torch transformers
    python benchmarks/train_step.py --peer peers/bin/python

Each line of the table is a process that stays alive; they take turns, one at work at a time, so
that whatever else the machine does meets all of them. Medians of rounds, compilation not counted.
The peer is transformers' Qwen3 with the sizes of `modern`, sdpa attention with the same segment
mask, and AdamW. Processor time is the steadier measure on a shared machine.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from arithmetic import operations_per_token
from machine import cores, describe
from workers import Worker

HERE = Path(__file__).parent
OURS, THEIRS = HERE / "peers" / "our_steps.py", HERE / "peers" / "torch_steps.py"
DTYPES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # PyTorch's name, and Keras's


def commands(given, preset):
    """Every line of the table: `(program, configuration, dtype)` to the start of a command."""
    shape = ["--rows", given.rows, "--length", given.length, "--threads", given.threads]
    found = {}
    for dtype, policy in DTYPES.items():
        for optimizer in ("adamw", "muon"):
            for name, flags in (("no XLA", []), ("XLA", ["--xla"])):
                command = [sys.executable, OURS, "--preset", preset, "--optimizer", optimizer]
                command += ["--dtype", policy, *flags, *shape]
                if given.data:
                    command += ["--data", given.data]
                found["keras_vngpt", f"{optimizer}, {name}", dtype] = command
        for name, flags in (("eager", []), ("compiled", ["--compiled"])):
            if given.peer:
                command = [given.peer, THEIRS, "--dtype", dtype, *flags, *shape]
                found["PyTorch", f"adamw, {name}", dtype] = command
    return {
        case: command
        for case, command in found.items()
        if all(any(word in " ".join(case) for word in w.split("|")) for w in given.only)
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="Python of an environment with torch and transformers")
    parser.add_argument("--preset", action="append", help="tiny and small; repeat for others")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each line")
    parser.add_argument("--steps", type=int, default=8, help="in a turn")
    parser.add_argument("--rows", type=int, default=16, help="in a step")
    parser.add_argument("--length", type=int, default=128, help="positions in a row")
    parser.add_argument("--threads", type=int, default=cores(), help="of every program")
    parser.add_argument("--data", help="packed rows: RUN/work/pretrain/train; else random ones")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        help="lines with this word, as 'muon' or 'PyTorch|no XLA'; repeat, and all must be there",
    )
    given = parser.parse_args()
    print(describe(["keras", "tensorflow", "numpy"]))
    print(
        f"{given.rows} rows of {given.length}, {given.rounds} rounds of {given.steps} steps, "
        f"{given.threads} threads"
    )
    for preset in given.preset or ["tiny", "small"]:
        measure(given, preset)


def measure(given, preset):
    cases = commands(given, preset)
    if not cases or not any(case[0] == "keras_vngpt" for case in cases):
        sys.exit("--only: leaves no line of keras_vngpt, which tells the sizes of the model")
    workers, sizes = {}, None
    try:
        for case, command in cases.items():
            if case[0] == "PyTorch":
                command = [*command, "--sizes", sizes]
            workers[case] = Worker(command)
            sizes = sizes or json.dumps(workers[case].facts["sizes"])
        turns = {case: [] for case in cases}
        rates = {}
        for _ in range(given.rounds):
            for case, worker in workers.items():
                turns[case].append(worker.ask(f"steps {given.steps}"))
                kind = (case[0], case[2])
                rates[kind] = max(rates.get(kind, 0), worker.ask("gemm")["rate"])
        ours = [case for case in cases if case[0] == "keras_vngpt"]
        waits = {case: workers[case].ask(f"pipeline {2 * given.steps}") for case in ours}
        facts = {case: worker.facts for case, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.close()
    show(given, preset, facts, turns, rates, waits)


def show(given, preset, facts, turns, rates, waits):
    tokens = given.rows * given.length * given.steps
    lines = {}
    for case, measured in turns.items():
        wall = statistics.median(turn["seconds"] for turn in measured)
        processor = statistics.median(turn["processor_seconds"] for turn in measured)
        lines[case] = tokens / wall, tokens / processor, measured[-1]["memory"]
    best = [max((v[i] for c, v in lines.items() if c[0] == "PyTorch"), default=0) for i in (0, 1)]
    sizes = next(f["sizes"] for f in facts.values() if "sizes" in f)
    torch = {f["version"] for f in facts.values() if "version" in f}
    parameters = next(iter(facts.values()))["parameters"]
    beside = f", PyTorch {torch.pop()}" if torch else ""
    print(
        f"\n{preset}: {parameters:,} parameters{beside}. Best matrix products, in GFLOP/s: ", end=""
    )
    print(", ".join(f"{p} {d} {rate / 1e9:,.0f}" for (p, d), rate in rates.items()))
    print(
        "\n| program | step | dtype | tokens/s | of PyTorch's best | tokens per processor second "
        "| of PyTorch's best | share of the matrix rate | waits for rows | peak memory |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for case, (speed, thrift, memory) in lines.items():
        operations = operations_per_token(
            facts[case]["parameters"], sizes["num_layers"], sizes["hidden_dim"], given.length
        )
        share = speed * operations / rates[case[0], case[2]]
        wait = f"{waits[case]['waited'] / waits[case]['seconds']:.1%}" if case in waits else ""
        print(
            f"| {' | '.join(case)} | {speed:,.0f} | {ratio(speed, best[0])} | {thrift:,.0f} "
            f"| {ratio(thrift, best[1])} | {share:.0%} | {wait} | {memory / 1e9:.2f} GB |",
            flush=True,
        )


def ratio(figure, best):
    return f"{figure / best:.2f}" if best else ""


if __name__ == "__main__":
    main()
