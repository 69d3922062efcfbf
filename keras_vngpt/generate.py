"""`python -m keras_vngpt.generate`: see `keras_vngpt.generation.generate`."""

from keras_vngpt import generate
from keras_vngpt.config import command
from keras_vngpt.generation.generation_config import GenerationConfig

if __name__ == "__main__":
    command(generate, GenerationConfig, show=lambda answers: print("\n".join(answers)))
