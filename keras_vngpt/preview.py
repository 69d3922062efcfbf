"""`python -m keras_vngpt.preview`: see `keras_vngpt.runs.preview`."""

from keras_vngpt import preview
from keras_vngpt.config import command
from keras_vngpt.runs.settings import FitSettings, old_names

if __name__ == "__main__":
    command(preview, FitSettings, old_names=old_names())
