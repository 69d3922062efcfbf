"""Phrasings never trained on: fine-tuned on the originals, and on what `augment` makes of them.

Once with the answers as they are, once with other wordings of them. An answer has its facts if
its numbers, names and denials are those of the original.

    python benchmarks/augmentation.py

The templates are parted: every third one makes the phrasings to test on, the others those to train
on. All models start from one pre-training. The originals are trained on for as many tokens as the
augmented set and, lest those be too many for so few lines, for `--passes` as well.
"""

import argparse
import collections
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import yaml

import keras_vngpt
from keras_vngpt.augmentation.letters import key
from keras_vngpt.augmentation.names import Names
from keras_vngpt.augmentation.same_facts import same_facts
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
                for kind in ("question", "noun", "request", "statement")
            }
            part["tones"][name] = {**tone, **texts}
        paths.append(folder / f"templates_{'test' if is_test else 'train'}.yaml")
        paths[-1].write_text(yaml.safe_dump(part, allow_unicode=True), encoding="utf-8")
    return paths


def make_sets(given, folder):
    """The files to train on and the one to test on: `({name: path}, path)`."""
    train, test = part_templates(given.templates, folder)
    common = {"data": given.data, "seed": given.seed}
    given_sets = {
        "originals": {"templates": str(train), "variants": 0},
        "augmented": {"templates": str(train), "variants": given.variants},
        "answers varied": {"templates": str(train), "variants": given.variants, "answers": 4},
        "held out": {"templates": str(test), "variants": given.test_variants},
    }
    files = {name: folder / f"{name.replace(' ', '_')}.jsonl" for name in given_sets}
    for name, settings in given_sets.items():
        keras_vngpt.augment(output=str(files[name]), **common, **settings)

    def lines(name):
        return [json.loads(line) for line in files[name].read_text(encoding="utf-8").splitlines()]

    def request(line):
        return key(line["messages"][-2]["content"])

    # Two templates that are not the same may make the same phrasing of a question.
    trained = {request(line) for name in ("originals", "augmented") for line in lines(name)}
    tests = [line for line in lines("held out") if request(line) not in trained]
    files.pop("held out").write_text(
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in tests), encoding="utf-8"
    )
    return files, tests


def score(run, tests, folder):
    """Of the answers of a run: the share that is the original, that has its facts, and F1."""
    answers = keras_vngpt.generate(run, [line["messages"][-2]["content"] for line in tests])
    wanted = [line["messages"][-1]["content"] for line in tests]
    names = Names([]).learned_from(wanted)
    pairs = list(zip(answers, wanted, strict=True))
    (folder / f"{run.folder.name}.answers.json").write_text(json.dumps(pairs, ensure_ascii=False))
    return [
        sum(measure) / len(pairs)
        for measure in (
            [key(a) == key(w) for a, w in pairs],
            [same_facts(a, w, names) for a, w in pairs],
            [token_f1(a, w) for a, w in pairs],
        )
    ]


def token_f1(text, wanted):
    text, wanted = key(text).split(), key(wanted).split()
    n_common = sum((collections.Counter(text) & collections.Counter(wanted)).values())
    return 2 * n_common / max(1, len(text) + len(wanted))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["samples:travel_questions.csv"])
    parser.add_argument("--templates", default="samples:general_templates.yaml")
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
    train_sets, tests = make_sets(given, folder)
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
        "answers varied": (train_sets["answers varied"], {"tokens": given.tokens}),
    }
    for name, (path, stop) in cases.items():
        runs[name] = keras_vngpt.fit(
            **common,
            name=name.replace(",", "").replace(" ", "_"),
            init=str(base.folder),
            skip=["pretrain", "export"],
            finetune={
                "data": [str(path)],
                "test_share": 0.0,  # every question is trained on
                "validation_share": 0.0,
                "rephrasings": 0,
                "unanswerable": 0.0,
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
    print(f"\n| fine-tuned on | {len(tests):,} held-out phrasings: exact match | facts | F1 |")
    print("|---|---|---|---|")
    for name, run in runs.items():
        exact, facts, f1 = score(run, tests, folder)
        print(f"| {name} | {exact:.2%} | {facts:.2%} | {f1:.3f} |", flush=True)


if __name__ == "__main__":
    main()
