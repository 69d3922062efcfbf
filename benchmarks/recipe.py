"""What each choice of the pre-training is worth: the recipe with one choice taken back at a time.

    python benchmarks/recipe.py --train vi_train.txt --dev vi_dev.txt --tokens 1025000

Each line is one `fit`; bits per byte of all of the second text, as many tokens each. A run that is
done is not done again: the same command goes on where it was interrupted.
"""

import argparse

from machine import describe

import keras_vngpt
from keras_vngpt.models.sizes import PRESETS

CHOICES = {
    "the defaults": {},
    "tokens do not share features": {"model.token_features": False},
    "targets are the token that came alone": {"pretrain.soft_targets": 0.0},
    "embeddings start by chance": {"model.embeddings": "random"},
    "neither": {"model.token_features": False, "model.embeddings": "random"},
    "no tokens of several syllables": {"tokenizer.words": 0.0},
    "unigram, not BPE": {"tokenizer.kind": "unigram"},
    "AdamW at 3e-3 for all": {"pretrain.optimizer": "adamw", "pretrain.learning_rate": 3e-3},
    "GPT-2's decoder layer": {"model.decoder": "classic"},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True, help="text to train on")
    parser.add_argument("--dev", required=True, help="text for bits per byte")
    parser.add_argument("--folder", default="runs/recipe", help="where the run folders go")
    parser.add_argument("--preset", choices=PRESETS, default="tiny")
    parser.add_argument("--tokens", type=int, default=2_050_000)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", type=int, nargs="+", default=range(len(CHOICES)), help="numbers of choices"
    )
    given = parser.parse_args()
    lines = []
    for number in given.only:
        choice, settings = list(CHOICES.items())[number]
        run = keras_vngpt.fit(
            **{
                "folder": given.folder,
                "name": f"{number}-{given.tokens}-{given.seed}",
                "seed": given.seed,
                "model.preset": given.preset,
                "model.dtype": given.dtype,
                "skip": ["finetune", "export"],
                "pretrain.data": [given.train],
                "pretrain.test_data": [given.dev],
                "pretrain.validation_share": 0.001,  # nothing is chosen by it
                "pretrain.tokens": given.tokens,
                "pretrain.evaluations": 1,
                "pretrain.prompts": [],
                **settings,
            }
        )
        m = run.metrics
        lines.append(f"| {choice} | {m['parameters']:,} | {m['pretrain.test_bits_per_byte']:.4f} |")
    print(f"\n{describe(['tensorflow', 'keras'])}")
    print(f"preset {given.preset}, {given.dtype}, {given.tokens:,} tokens, seed {given.seed}\n")
    print("| choice | parameters | bits per byte |\n|---|---|---|", *lines, sep="\n")


if __name__ == "__main__":
    main()
