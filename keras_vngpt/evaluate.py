"""`python -m keras_vngpt.evaluate`: see `keras_vngpt.evaluation.evaluate`."""

from keras_vngpt import evaluate
from keras_vngpt.config import command

if __name__ == "__main__":
    command(evaluate, show=lambda f: print("\n".join(f"{k}: {v:,.6g}" for k, v in f.items())))
