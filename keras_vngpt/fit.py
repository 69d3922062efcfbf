"""`python -m keras_vngpt.fit`: see `keras_vngpt.runs.fit`."""

from keras_vngpt import fit
from keras_vngpt.config import command
from keras_vngpt.runs.settings import FitSettings, old_names

if __name__ == "__main__":
    command(fit, FitSettings, old_names=old_names())
