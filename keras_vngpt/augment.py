"""`python -m keras_vngpt.augment`: see `keras_vngpt.data.augmentation.augment`."""

from keras_vngpt import augment
from keras_vngpt.arguments import command
from keras_vngpt.data.augmentation.settings import AugmentSettings

if __name__ == "__main__":
    command(augment, AugmentSettings)
