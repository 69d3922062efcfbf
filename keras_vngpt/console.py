"""What the terminal shows: TensorFlow without its notices, progress bars where one looks."""

import logging
import os
import sys


def import_tensorflow():
    """Import TensorFlow without its notices about CPU features and missing GPUs.

    Its log level cannot silence what is printed before it is read, so the error output of the
    process is closed meanwhile.
    """
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # "5 out of the last 5 calls ..."
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


def verbosity():
    """Keras's `verbose`: a progress bar on a terminal and in a notebook, else a line at the end."""
    return 1 if sys.stdout.isatty() or "ipykernel" in sys.modules else 2
