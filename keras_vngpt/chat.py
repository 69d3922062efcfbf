"""`python -m keras_vngpt.chat`: see `keras_vngpt.generation.chat`."""

from keras_vngpt import chat
from keras_vngpt.config import command
from keras_vngpt.generation.generation_config import GenerationConfig

if __name__ == "__main__":
    command(chat, GenerationConfig)
