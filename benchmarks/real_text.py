"""Both stages on real text: modern and classic decoder, with and without pre-training.

    python benchmarks/real_text.py --train vi_train.txt --dev vi_dev.txt --requests slu.jsonl

Each line is one `fit`; a table in Markdown is printed at the end, with versions and the machine.
"""

import argparse

from machine import describe

import keras_vngpt

PRETRAIN = {
    "tokens": 2_050_000,
    "evaluations": 4,
}
TOKENIZER = {"split_digits": False}  # levels and times of day: few numbers, always the same
FINETUNE = {  # few examples, many passes: what is held back in size is taken by regularisation
    "dropout": 0.2,
    "weight_decay": 1.0,
    "epochs": 16,
    "evaluations": 1,  # the weights at the end of the schedule: nothing to choose by validation
    "validation_share": 0.0,
    "patience": 0,
}
FRESH = {"model": {"preset": "nano"}, "epochs": 30}  # 6,000 requests alone: a larger one overfits


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True, help="text to pre-train on")
    parser.add_argument("--dev", required=True, help="text for bits per byte")
    parser.add_argument("--requests", required=True, help="JSONL; a tenth is held out by hash")
    parser.add_argument("--folder", default="runs/real_text", help="where the run folders go")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()

    text = {**PRETRAIN, "data": [given.train], "validation_data": [given.dev]}
    requests = {**FINETUNE, "data": [given.requests], "prompts": []}
    common = {"folder": given.folder, "seed": given.seed, "tokenizer": TOKENIZER}
    pretrained = {}
    for decoder in ("modern", "classic"):
        pretrained[decoder] = keras_vngpt.fit(
            **common,
            model={"preset": "tiny", "decoder": decoder, "dtype": given.dtype},
            name=f"pretrain-{decoder}",
            skip=["finetune"],
            pretrain=text,
        )
    base = pretrained["modern"]
    tuned = keras_vngpt.fit(
        folder=given.folder,
        name="requests-pretrained",
        init=str(base.folder),
        skip=["pretrain"],
        **{f"finetune.{name}": value for name, value in requests.items()},
    )
    fresh = keras_vngpt.fit(
        **common,
        model={**FRESH["model"], "dtype": given.dtype},
        name="requests-from-scratch",
        skip=["pretrain"],
        finetune={**requests, "epochs": FRESH["epochs"]},
    )

    print(f"\n{describe(['tensorflow', 'keras'])}, {given.dtype}, seed {given.seed}")
    print("\n| decoder | parameters | tokens | bits per byte | time |\n|---|---|---|---|---|")
    for decoder, run in pretrained.items():
        m = run.metrics
        print(
            f"| {decoder} | {m['parameters']:,} | {m['tokens']:,} "
            f"| {m['pretrain.bits_per_byte']:.4f} | {m['seconds.pretrain']:.0f} s |"
        )
    print("\n| fine-tuning | parameters | requests held out | exact match | time |")
    print("|---|---|---|---|---|")
    for name, run in (("after pre-training", tuned), ("from random weights", fresh)):
        m = run.metrics
        print(
            f"| {name} | {m['parameters']:,} | {m['finetune.test_requests']:,} "
            f"| {m['finetune.exact_match']:.2%} "
            f"| {m['seconds.finetune']:.0f} s |"
        )


if __name__ == "__main__":
    main()
