"""A worker: training steps of a transformers model on PyTorch, whenever told to.

    python torch_steps.py --sizes '{"vocabulary_size": 4096, ...}' --rows 16 --length 128

`steps N` trains for N steps and `gemm` measures matrix products; both answer in JSON.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import torch
from torch_training import Training, make_model

sys.path.append(str(Path(__file__).parent.parent))
from products import best_rate, shapes
from workers import serve, timed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", required=True, type=json.loads, help="JSON, of the model")
    parser.add_argument("--layout", choices=("qwen3", "gpt2"), default="qwen3")
    parser.add_argument("--rows", type=int, default=16, help="in a step")
    parser.add_argument("--length", type=int, default=128, help="positions in a row")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--compiled", action="store_true", help="torch.compile")
    parser.add_argument("--implementation", choices=("fused", "foreach"), default="fused")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="by default as PyTorch chooses")
    given = parser.parse_args()

    if given.threads:
        torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    model = make_model(given.layout, given.sizes, given.length).to(given.device)
    training = Training(model, given.dtype, given.compiled, implementation=given.implementation)
    shape = (given.rows, given.length)
    ids = torch.randint(5, given.sizes["vocabulary_size"], shape, device=given.device)
    # Two documents a row: what they hold makes no difference to the speed.
    segments = 1 + (torch.arange(given.length, device=given.device) >= given.length // 2).long()
    batch = (ids, segments.repeat(given.rows, 1), ids, torch.ones(shape, device=given.device))

    def train(steps):
        for _ in range(steps):
            loss = training.step(batch)
        return float(loss)  # waits for the device

    def memory():
        if given.device == "cuda":
            return torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def gemm():
        def product(m, k, n):
            dtype = getattr(torch, given.dtype)
            a = torch.ones(m, k, device=given.device, dtype=dtype)
            b = torch.ones(k, n, device=given.device, dtype=dtype)

            def multiply(times):
                for _ in range(times):
                    c = a @ b
                float(c[0, 0])

            return multiply

        return {"rate": best_rate(product, shapes(given.sizes, given.rows * given.length))}

    begin = time.perf_counter()
    train(3)
    compiled = torch._dynamo.utils.counters["stats"]["unique_graphs"] if given.compiled else 0
    facts = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "compilation_seconds": time.perf_counter() - begin,
        "graphs": compiled,
        "device": torch.cuda.get_device_name() if given.device == "cuda" else "cpu",
        "version": torch.__version__,
    }
    serve(
        facts,
        {"steps": lambda n: timed(lambda: train(n)) | {"memory": memory()}, "gemm": gemm},
    )


if __name__ == "__main__":
    main()
