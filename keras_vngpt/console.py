"""What the terminal shows: TensorFlow without its notices, progress while long work goes on."""

import logging
import os
import sys
import threading
import time
from contextlib import contextmanager
from importlib.machinery import PathFinder
from importlib.util import find_spec

from keras_vngpt.errors import UserError

NOISY = ("tensorflow", "tensorflow_text")
BACKENDS = ("tensorflow", "jax", "torch")
EVERY = 8  # seconds from one line to the next, where nobody watches: never more than 15 with delays
AT_ONCE = 0.5  # seconds from one look to the next


class QuietImports:
    """A finder of Python's that has TensorFlow imported without its notices.

    They tell of CPU features and missing GPUs, and are written before any log level is read: so
    the error output of the process is closed meanwhile.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = PathFinder.find_spec(name, path, target) if name in NOISY else None
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def in_silence(module):
                with silence():
                    execute(module)
                    if name == "tensorflow":
                        module.config.list_physical_devices()  # looks for GPUs

            spec.loader.exec_module = in_silence
        return spec


@contextmanager
def silence():
    """Nothing is written to the error output of the process, neither by Python nor by others."""
    try:
        screen = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(screen, 2)
        os.close(screen)
        os.close(nowhere)


def import_tensorflow():
    """Import TensorFlow, in silence, and the operations of text; Keras 3 as this project needs it.

    What another project left in the environment or in ~/.keras/keras.json is passed over, and said.

    Raises:
        UserError: `KERAS_BACKEND` names none that is here.
    """
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # "5 out of the last 5 calls ..."
    if "keras" not in sys.modules:
        if os.environ.pop("TF_USE_LEGACY_KERAS", "0") not in ("0", "", "False", "false"):
            print("TF_USE_LEGACY_KERAS is passed over: this needs Keras 3", file=sys.stderr)
        backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        if backend not in BACKENDS or not find_spec(backend):
            raise UserError(f"KERAS_BACKEND={backend}: no backend of Keras 3 that is installed")
    import keras
    import tensorflow_text  # noqa: F401

    if (floatx := keras.config.floatx()) != "float32":
        print(
            f"floatx {floatx}, of keras.json, is passed over; --model.dtype says what it is to be",
            file=sys.stderr,
        )
        keras.config.set_floatx("float32")


def is_watched():
    """Whether somebody looks at the output while it comes: on a terminal, in a notebook."""
    return "ipykernel" in sys.modules or bool(sys.stdout and sys.stdout.isatty())


def verbosity():
    """Keras's `verbose`: a progress bar where somebody looks, else a line at the end."""
    return 1 if is_watched() else 2


class Progress:
    """Tells of long work while it goes on.

    Where somebody looks it is one line that is written over and in the end taken away; elsewhere a
    line now and then. Of several at a time the innermost tells.

    Args:
        what: str, the work.
        total: int, how many items it has; without it there is nothing to watch.
        unit: str, what the items are.
        is_shown: bool, whether to show it where somebody looks: not what has a bar of Keras's.

    Example:
        >>> with Progress("tokenising", len(texts), "texts") as progress:
        ...     for text in texts:
        ...         progress.add()
    """

    at_work, told = [], 0.0  # by all together: the innermost last; when the last line was written

    def __init__(self, what, total=None, unit="", is_shown=True):
        self.what, self.total, self.unit = what, total, unit
        self.is_shown = is_shown and bool(total)
        self.done, self.note = 0, ""

    def add(self, n=1):
        """So many items more are done."""
        self.done += n

    def __enter__(self):
        self._begin, self._first = time.monotonic(), self.done
        self._end, self._width = threading.Event(), 0
        if not self.at_work:
            Progress.told = self._begin
        self.at_work.append(self)
        self._thread = threading.Thread(target=self._tell, daemon=True)
        if self.is_shown or not is_watched():
            self._thread.start()
        return self

    def __exit__(self, *error):
        self._end.set()
        self.at_work.remove(self)
        if self._thread.is_alive():
            self._thread.join()
        if self._width:
            self._write_over("")

    def __str__(self):
        seconds = time.monotonic() - self._begin
        parts = [f"{self.what}{':' * bool(self.total)}"]
        if self.total:
            parts[0] += f" {self.done:,} of {self.total:,} {self.unit}"
        parts += [str(self.note)] if self.note else []
        parts.append(_clock(seconds))
        if self.total and self._first < self.done < self.total:
            left = seconds / (self.done - self._first) * (self.total - self.done)
            parts.append(f"{_clock(left)} left")
        return ", ".join(parts)

    def _tell(self):
        while not self._end.wait(AT_ONCE):
            if self.at_work[-1:] != [self]:
                continue
            if is_watched():
                self._write_over(f"  {self}")
            elif time.monotonic() - Progress.told >= EVERY:
                Progress.told = time.monotonic()
                print(f"  {self}", flush=True)

    def _write_over(self, text):
        print(f"\r{text:<{self._width}}", end="\r" if not text else "", flush=True)
        self._width = len(text)


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
