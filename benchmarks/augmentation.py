"""Phrasings never trained on: fine-tuned on the originals, and on what `augment` makes of them.

    python benchmarks/augmentation.py

The templates are parted: every third one makes the phrasings to test on, the others those to train
on. All models start from one pre-training. The originals are trained on for as many tokens as the
augmented set and, lest those be too many for so few lines, for `--passes` as well.
"""

import argparse
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import yaml

import keras_vngpt
from keras_vngpt.augmentation.names import key
from keras_vngpt.data.sources import locate

EVERY = 3  # one template in so many is for testing


def part_templates(path, folder):
    """Two template files that share no template: `(train, test)`."""
    whole = yaml.safe_load(locate(path).read_text(encoding="utf-8"))
    paths = []
    for is_test in (False, True):
        part = {**whole, "tones": {}}
        for name, tone in whole["tones"].items():
            texts = {
                kind: [t for i, t in enumerate(tone.get(kind, ())) if (i % EVERY == 1) == is_test]
                for kind in ("question", "request")
            }
            part["tones"][name] = {**tone, **texts}
        paths.append(folder / f"templates_{'test' if is_test else 'train'}.yaml")
        paths[-1].write_text(yaml.safe_dump(part, allow_unicode=True), encoding="utf-8")
    return paths


def make_sets(given, folder):
    """The files to train on and the one to test on: `({name: path}, path)`."""
    train, test = part_templates(given.templates, folder)
    common = {"data": given.data, "seed": given.seed}
    files = {name: folder / f"{name}.jsonl" for name in ("originals", "augmented", "held_out")}
    for name, templates, variants in (
        ("originals", train, 0),
        ("augmented", train, given.variants),
        ("held_out", test, given.test_variants),
    ):
        keras_vngpt.augment(
            output=str(files[name]), templates=str(templates), variants=variants, **common
        )

    def lines(name):
        return [json.loads(line) for line in files[name].read_text(encoding="utf-8").splitlines()]

    def request(line):
        return key(line["messages"][-2]["content"])

    # Two templates that are not the same may make the same phrasing of a question.
    trained = {request(line) for name in ("originals", "augmented") for line in lines(name)}
    tests = [line for line in lines("held_out") if request(line) not in trained]
    files["held_out"].write_text(
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in tests), encoding="utf-8"
    )
    return {name: files[name] for name in ("originals", "augmented")}, files["held_out"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["samples:travel_questions.csv"])
    parser.add_argument("--templates", default="samples:travel_templates.yaml")
    parser.add_argument("--variants", type=int, default=10, help="to train on, of each question")
    parser.add_argument("--test_variants", type=int, default=3, help="to test on, of each question")
    parser.add_argument("--pretrain_tokens", type=int, default=500_000)
    parser.add_argument("--tokens", type=int, default=1_500_000, help="to fine-tune on")
    parser.add_argument("--passes", type=float, default=20, help="over the originals, once")
    parser.add_argument("--hidden_dim", type=int, help="instead of the preset's, to try the script")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", default="runs/augmentation", help="where everything goes")
    given = parser.parse_args()

    folder = Path(given.folder)
    folder.mkdir(parents=True, exist_ok=True)
    train_sets, held_out = make_sets(given, folder)
    size = {"hidden_dim": given.hidden_dim} if given.hidden_dim else {}
    common = {"folder": given.folder, "seed": given.seed}
    base = keras_vngpt.fit(
        **common,
        name="pretrain",
        model={"preset": "nano", **size},
        pretrain={"tokens": given.pretrain_tokens, "evaluations": 2},
        skip=["finetune", "export"],
    )
    runs = {}
    cases = {
        "originals": (train_sets["originals"], {"tokens": given.tokens}),
        "originals, few passes": (train_sets["originals"], {"epochs": given.passes}),
        "augmented": (train_sets["augmented"], {"tokens": given.tokens}),
    }
    for name, (path, stop) in cases.items():
        runs[name] = keras_vngpt.fit(
            **common,
            name=name.replace(",", ""),
            init=str(base.folder),
            skip=["pretrain", "export"],
            finetune={
                "data": [str(path)],
                "test_data": [str(held_out)],
                "validation_share": 0.0,  # every question is trained on
                **stop,
                "evaluations": 3,
                "patience": 0,
                "prompts": [],
            },
        )
    print(
        f"\nseed {given.seed}, TensorFlow {version('tensorflow')}, Keras {version('keras')}, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores"
    )
    print("\n| fine-tuned on | lines | held-out phrasings | exact match | time |")
    print("|---|---|---|---|---|")
    for name, run in runs.items():
        m = run.metrics
        print(
            f"| {name} | {m['finetune.requests']:,} | {m['finetune.test_requests']:,} "
            f"| {m['finetune.exact_match']:.2%} | {m['seconds.finetune']:.0f} s |"
        )


if __name__ == "__main__":
    main()
