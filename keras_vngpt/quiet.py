"""TensorFlow's start-up chatter, kept off the screen.

Its log level cannot silence what is printed before it is read, so the error output is closed while
TensorFlow is imported, in the process itself.
"""

import os
import sys


def import_tensorflow():
    """Import TensorFlow without its notices about CPU features and missing GPUs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" in sys.modules:
        return
    screen = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow
        import tensorflow_text  # noqa: F401

        tensorflow.config.list_physical_devices()
    finally:
        os.dup2(screen, 2)
        os.close(screen)
        os.close(nowhere)
