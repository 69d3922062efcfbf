"""`python -m keras_vngpt.export`: see `keras_vngpt.exporting.export`."""

from keras_vngpt import export
from keras_vngpt.config import command

if __name__ == "__main__":
    command(export, show=print)
