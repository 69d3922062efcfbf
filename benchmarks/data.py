"""From raw text to packed rows: MB/s and peak memory, beside Hugging Face on the same file.

    python -m venv peers && peers/bin/pip install datasets tokenizers
    python benchmarks/data.py --text vi_train.txt --megabytes 1000 --peer peers/bin/python

The file is made by repeating and perturbing the given text. Each program has both cores, trains a
tokenizer of the same size on the same sample first, and is timed from then on; ours once without
cleaning, which is what the peer does, and once with all of it. With --kills N ours is killed at N
random moments as well, and must end with the same bytes.
"""

import argparse
import hashlib
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import psutil

LENGTH, VOCABULARY, SAMPLE_BYTES = 128, 4096, 2**24
OURS = Path(__file__).parent / "peers" / "our_rows.py"
THEIRS = Path(__file__).parent / "peers" / "hf_rows.py"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", required=True)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--peer", help="Python of an environment with datasets and tokenizers")
    parser.add_argument("--rounds", type=int, default=1, help="the programs take turns")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(
        f"seed {given.seed}, TensorFlow {version('tensorflow')}, sentencepiece "
        f"{version('sentencepiece')}, Python {platform.python_version()}, {os.cpu_count()} cores"
    )
    with tempfile.TemporaryDirectory(prefix="rows-") as folder:
        folder = Path(folder)
        text, sample = folder / "text.txt", folder / "sample.txt"
        size = enlarge(Path(given.text), text, given.megabytes * 10**6, given.seed)
        with open(text, "rb") as whole:
            sample.write_bytes(whole.read(SAMPLE_BYTES).rpartition(b"\n\n")[0])
        programs = {
            "keras_vngpt": [sys.executable, OURS, "plain"],
            "keras_vngpt, cleaned": [sys.executable, OURS, "clean"],
        }
        if given.peer:
            programs["datasets + tokenizers"] = [given.peer, THEIRS]
        runs = {name: [] for name in programs}
        for _ in range(given.rounds):
            for name, program in programs.items():
                shutil.rmtree(folder / "out", ignore_errors=True)
                runs[name].append(measure(command(program, text, folder / "out", sample)))
        print(f"\n{size / 1e6:,.0f} MB of text\n")
        print("| program | seconds | MB/s | tokens | peak memory, all processes |")
        print("|---|---|---|---|---|")
        for name, measured in runs.items():
            seconds = statistics.median(m["seconds"] for m in measured)
            memory = max(m["memory"] for m in measured)
            print(
                f"| {name} | {seconds:.0f} | {size / 1e6 / seconds:.2f} "
                f"| {measured[0]['tokens']:,.0f} | {memory / 1e9:.2f} GB |"
            )
        if given.kills:
            seconds = runs["keras_vngpt"][0]["seconds"]
            program = [sys.executable, OURS, "plain"]
            check_kills(command(program, text, folder / "out", sample), folder, seconds, given)


def command(program, text, out, sample):
    script = program[:2]
    return [*map(str, script), str(text), str(out), str(LENGTH), str(VOCABULARY), str(sample)] + (
        program[2:]
    )


def enlarge(source, target, size, seed):
    """Documents again and again, each time with a tenth of the words swapped with a neighbour."""
    generator = random.Random(seed)
    documents = source.read_text(encoding="utf-8").split("\n\n")
    written = 0
    with open(target, "w", encoding="utf-8") as file:
        while written < size:
            for document in documents:
                if written:
                    words = document.split(" ")
                    for i in generator.sample(range(len(words) - 1), len(words) // 10):
                        words[i], words[i + 1] = words[i + 1], words[i]
                    document = " ".join(words)
                written += len((document + "\n\n").encode())
                file.write(document + "\n\n")
                if written >= size:
                    break
    return written


def measure(arguments):
    """Run a program; its own figures, and the most memory that its processes held together."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    whole, memory = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            family = [whole, *whole.children(recursive=True)]
            memory = max(memory, sum(p.memory_full_info().uss for p in family))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.25)
    lines = process.stdout.read().split("\n")
    if process.returncode:
        sys.exit(f"{' '.join(arguments)} failed")
    figures = dict(line.split() for line in lines if line.startswith(("seconds", "tokens")))
    return {name: float(value) for name, value in figures.items()} | {"memory": memory}


def check_kills(arguments, folder, seconds, given):
    """Kill ours at random moments; the result must be the same to the byte."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    measure(arguments)
    expected = digest(folder / "out")
    shutil.rmtree(folder / "out")
    generator = random.Random(given.seed)
    for _ in range(given.kills):
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()  # ready
        time.sleep(generator.uniform(0.05, 0.9) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    measure(arguments)
    same = digest(folder / "out") == expected
    print(f"\nkilled {given.kills} times at random: {'the same bytes' if same else 'DIFFERENT'}")
    if not same:
        sys.exit(1)


def digest(folder):
    """Of every array below a folder."""
    found = {}
    for path in sorted(folder.rglob("*.npy")):
        with open(path, "rb") as file:
            found[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


if __name__ == "__main__":
    main()
