"""Training steps on one GPU, JAX beside PyTorch: tokens a second and the share of its peak.

    pip install "jax[cuda12]" keras keras-hub && python -m venv peers && \\
        peers/bin/pip install torch transformers
    python benchmarks/gpu.py --peer peers/bin/python

Ours under KERAS_BACKEND=jax, compiled, with fused attention where Keras finds it usable (cuDNN,
from Ampere on); TensorFlow is not needed. The peer is transformers' Qwen3 of the same sizes with
sdpa attention and the same segment mask, compiled. bfloat16 with float32 weights, or float16 on a
GPU without bfloat16. One program after the other, so that each has the memory for itself.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from arithmetic import operations_per_token
from machine import describe
from workers import Worker

HERE = Path(__file__).parent
OURS, THEIRS = HERE / "peers" / "our_steps.py", HERE / "peers" / "torch_steps.py"
# Dense 16-bit matrix products, TFLOP/s, as the data sheets say; the first name that is found.
PEAKS = {"H200": 989, "H100": 989, "A100": 312, "L4": 121, "T4": 65, "V100": 125}
WITHOUT_BFLOAT16 = ("T4", "V100")
T4_MEMORY = 16e9
BYTES_OF_STATE = 16  # of a weight: itself, its gradient, two moments


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="Python with torch and transformers; without it, ours alone")
    parser.add_argument("--preset", action="append", help="small and base; repeat for others")
    parser.add_argument("--optimizer", choices=("adamw", "muon"), default="adamw", help="of ours")
    parser.add_argument("--rows", type=int, default=32, help="in a step")
    parser.add_argument("--length", type=int, default=1024, help="positions in a row")
    parser.add_argument("--steps", type=int, default=30, help="in a round")
    parser.add_argument("--rounds", type=int, default=5, help="the median of them counts")
    parser.add_argument("--peak", type=float, help="TFLOP/s; by default by the name of the GPU")
    parser.add_argument("--cpu", action="store_true", help="try the script where no GPU is")
    given = parser.parse_args()

    gpu = "CPU, for a try" if given.cpu else gpu_name()
    short = next((name for name in PEAKS if name in gpu), None)
    peak = given.peak or PEAKS.get(short)
    if not peak and not given.cpu:
        parser.error(f"--peak: the peak of {gpu} is not known here; give it")
    dtype = "float16" if short in WITHOUT_BFLOAT16 else "bfloat16"
    print(f"{gpu}, {describe(['jax', 'keras', 'keras-hub'])}")
    print(f"{given.rows} rows of {given.length}, {dtype}")
    print(f"{given.rounds} rounds of {given.steps} steps")
    for preset in given.preset or ["small", "base"]:
        lines = measure(given, preset, dtype)
        show(given, preset, lines, peak)


def gpu_name():
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        told = subprocess.run(query, stdout=subprocess.PIPE, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        sys.exit("No GPU here (nvidia-smi does not answer). --cpu tries the script without one")
    return told.strip().split("\n")[0]


def measure(given, preset, dtype):
    """The figures of each program, by its name."""
    shape = ["--rows", given.rows, "--length", given.length]
    ours = [sys.executable, OURS, "--preset", preset, "--optimizer", given.optimizer, "--xla"]
    programs = {
        f"keras_vngpt, JAX, {given.optimizer}": [*ours, "--dtype", f"mixed_{dtype}", *shape]
    }
    if given.peer:
        theirs = [given.peer, THEIRS, "--dtype", dtype, "--compiled", *shape]
        theirs += ["--device", "cpu" if given.cpu else "cuda"]
        programs["transformers Qwen3, PyTorch, adamw"] = theirs
    found, sizes = {}, None
    for name, command in programs.items():
        worker = Worker(
            [*command, *(["--sizes", json.dumps(sizes)] if sizes else [])],
            {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
            | ({"JAX_PLATFORMS": "cpu"} if given.cpu else {}),
        )
        turns = [worker.ask(f"steps {given.steps}") for _ in range(given.rounds)]
        rate = worker.ask("gemm")["rate"]
        worker.close()
        sizes = sizes or worker.facts["sizes"]
        seconds = statistics.median(turn["seconds"] for turn in turns)
        parameters = worker.facts["parameters"]
        operations = operations_per_token(
            parameters, sizes["num_layers"], sizes["hidden_dim"], given.length
        )
        found[name] = {
            "parameters": parameters,
            "speed": given.rows * given.length * given.steps / seconds,
            "operations": operations,
            "products": rate,
            "memory": turns[-1]["memory"],
            "compilation": worker.facts["compilation_seconds"],
        }
    return found


def show(given, preset, lines, peak):
    print(f"\n{preset}\n")
    print(
        "| program | parameters | tokens/s | TFLOP/s | share of the peak | share of the best "
        "matrix product | peak memory | first steps |\n|---|---|---|---|---|---|---|---|"
    )
    for name, line in lines.items():
        rate = line["speed"] * line["operations"]
        share = f"{rate / peak / 1e12:.1%}" if peak else ""
        print(
            f"| {name} | {line['parameters']:,} | {line['speed']:,.0f} | {rate / 1e12:,.2f} "
            f"| {share} | {rate / line['products']:.1%} | {line['memory'] / 1e9:.1f} GB "
            f"| {line['compilation']:.0f} s |"
        )
    ours = next(iter(lines.values()))
    if peak:
        share = ours["speed"] * ours["operations"] / peak / 1e12
        speed = share * PEAKS["T4"] * 1e12 / ours["operations"]
        state = BYTES_OF_STATE * ours["parameters"]
        row = max(1.0, ours["memory"] - state) / given.rows
        print(
            f"\nOn a T4 (65 TFLOP/s in float16, 16 GB) at the same share: at most {speed:,.0f} "
            f"tokens/s, in steps of about {max(0, int((T4_MEMORY - state) / row)):,} such rows. "
            "It has no fused attention under JAX and a narrower memory: less is to be expected."
        )


if __name__ == "__main__":
    main()
