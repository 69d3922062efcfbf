"""`python -m keras_vngpt.data.beam`: see `prepare_rows`."""

from keras_vngpt.config import command
from keras_vngpt.data.beam.prepare import prepare_rows

if __name__ == "__main__":
    command(prepare_rows, show=print)
