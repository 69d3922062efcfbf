"""`python -m keras_vngpt.augment`: see `keras_vngpt.augmentation.augment`."""

from keras_vngpt import augment
from keras_vngpt.augmentation.settings import AugmentSettings
from keras_vngpt.config import command

if __name__ == "__main__":
    command(augment, AugmentSettings)
