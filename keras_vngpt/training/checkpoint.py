"""Saved states of training: whole files with a checksum, the last few of them and the best."""

import hashlib
import json
import math
import time
from pathlib import Path

import keras
import ml_dtypes  # noqa: F401  NumPy knows bfloat16 by it
import numpy as np

from keras_vngpt.errors import UserError
from keras_vngpt.files import atomic_write, remove
from keras_vngpt.training.optimizers import is_between_steps

SHARE = 0.02  # of the time may go into writing
DIGEST_SIZE = 32


class Checkpoint(keras.callbacks.Callback):
    """Saves the state of training, so that it goes on as if it had never been interrupted.

    A state is every variable of the model (weights, the seeds of dropout), of the optimizer (its
    step count among them) and of the metrics, with notes: the best so far, the curve. It is
    written from time to time between two steps and after evaluations; when it is written changes
    nothing in what is trained. The best weights stand in a file of their own.

    Args:
        folder: str or Path.
        curves: `History`, whose place on the curve is part of the state.
        signals: `Signals`, that wait while a step is under way.
        minutes: float, from one state to the next.
        keep: int, states that are kept.
        patience: int, evaluations that are no better before training stops; 0 never.

    Example:
        >>> checkpoint = Checkpoint("runs/default/pretrain/checkpoint", curves, signals)
        >>> first_step = checkpoint.restore(model)
    """

    def __init__(self, folder, curves, signals, minutes=1.0, keep=2, patience=0):
        super().__init__()
        self.folder, self.curves, self.signals = Path(folder), curves, signals
        self.minutes, self.keep, self.patience = minutes, keep, patience
        self.state = {
            "step": 0,
            "evaluated_step": 0,
            "best_loss": None,
            "best_right": 0.0,
            "best_step": 0,
            "waited": 0,
            "stopped": False,
        }
        self.seconds_writing = 0.0
        self._within_epoch = None  # metrics and curve of an epoch that was interrupted
        self._begin = self._last = time.monotonic()
        self._last_seconds = 0.0

    def restore(self, model, steps_per_epoch):
        """Load the last good state into a compiled model; returns its step, 0 without one.

        Raises:
            UserError: a state is of another model.
        """
        model.optimizer.build(model.trainable_variables)
        for partial in self.folder.glob(".partial-*"):  # of a process that was killed
            partial.unlink()
        paths = self._paths()
        for path in paths:
            try:
                arrays, notes = read_state(path)
            except (OSError, ValueError) as error:
                print(f"  {path}: is damaged ({error}); passed over")
                _clear(path)
                continue
            self._load(path, model, arrays, notes, steps_per_epoch)
            return self.state["step"]
        if paths:
            print("  no saved state is good: this stage begins anew")
        return 0

    def restore_best(self, model):
        """Give the model the weights with the best validation loss.

        Raises:
            UserError: they are damaged.
        """
        try:
            arrays, _ = read_state(self.folder / "best.state")
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.folder / 'best.state'}: is damaged ({error}). The same command goes on "
                "from the last saved state"
            ) from None
        model.set_weights([np.array(array) for array in arrays])

    def save(self):
        """Write the state as it is now."""
        begin = time.monotonic()
        self.state["step"] = int(self.model.optimizer.iterations)
        path = self.folder / f"step-{self.state['step']:012d}.state"
        notes = {"state": self.state, "curve": self.curves.state}
        write_state(path, _variables(self.model), notes)
        for old in self._paths()[self.keep :]:
            old.unlink()
        self._last = time.monotonic()
        self._last_seconds = self._last - begin
        self.seconds_writing += self._last_seconds

    def on_epoch_begin(self, epoch, logs=None):
        if self._within_epoch:
            (metrics, self.curves.state), self._within_epoch = self._within_epoch, None
            for variable, value in zip(self.model.metrics_variables, metrics, strict=True):
                variable.assign(value)
        self.signals.release()

    def on_train_batch_begin(self, batch, logs=None):
        self.signals.hold()  # until optimizer, metrics and curve are at one step

    def on_train_batch_end(self, batch, logs=None):
        if not is_between_steps(self.model.optimizer):
            return
        if time.monotonic() - self._last >= 60 * self.minutes and self._has_time():
            self.save()
        self.signals.release()

    def on_epoch_end(self, epoch, logs=None):
        self.evaluated(logs["val_loss"], logs.get("val_right", 0.0))
        if self._has_time():
            self.save()

    def evaluated(self, loss, right):
        """Note how good the weights are; keep them if they are the best.

        The best have the most responses right, and among equals the lowest loss: late in
        fine-tuning the loss rises by a few confident mistakes while ever more answers are right.
        """
        state, step = self.state, int(self.model.optimizer.iterations)
        loss = loss if math.isfinite(loss) else math.inf
        best = (-state["best_right"], state["best_loss"])
        if state["best_loss"] is None or (-right, loss) < best:
            begin = time.monotonic()
            write_state(self.folder / "best.state", self.model.weights, {"step": step})
            self.seconds_writing += time.monotonic() - begin
            news = {"best_loss": loss, "best_right": right, "best_step": step, "waited": 0}
        else:
            news = {"waited": state["waited"] + 1}
            news["stopped"] = 0 < self.patience <= news["waited"]
            if news["stopped"]:
                print(f"  no better for {self.patience} evaluations: stopping early")
                self.model.stop_training = True
        state |= {"evaluated_step": step, **news}  # at once: a Ctrl-C may come at any moment

    def _has_time(self):
        """Whether one more state stays within the share of the time that writing may take."""
        elapsed = time.monotonic() - self._begin
        return self.seconds_writing + self._last_seconds <= SHARE * elapsed

    def _paths(self):
        """The states, the last one first."""
        return sorted(self.folder.glob("step-*.state"), reverse=True)

    def _load(self, path, model, arrays, notes, steps_per_epoch):
        variables = _variables(model)
        if _layout(variables) != _layout(arrays):
            raise UserError(f"{path}: is of another model. --restart makes the run anew")
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(np.array(array))  # aligned, as it is not in the file
        self.state = state = notes["state"]
        if state["step"] % steps_per_epoch:
            metrics = [np.array(a) for a in arrays[len(arrays) - len(model.metrics_variables) :]]
            self._within_epoch = metrics, notes["curve"]
        if state["best_loss"] is not None:
            try:
                read_state(self.folder / "best.state")
            except (OSError, ValueError) as error:
                print(f"  {self.folder / 'best.state'}: is damaged ({error}); passed over")
                _clear(self.folder / "best.state")
                state |= {"best_loss": None, "best_right": 0.0}
                if state["evaluated_step"] == state["step"]:
                    state["evaluated_step"] -= 1  # evaluated again, these weights are the best


def write_state(path, variables, notes):
    """Write variables and notes as one file, which is whole and on the disk, or not there.

    It holds the length of its head (8 bytes), the head (JSON: notes, and dtype and shape of each
    array), the arrays, and a BLAKE2 digest of all that (32 bytes).

    Args:
        path: str or Path.
        variables: list of `keras.Variable`; their bits are kept, whatever their dtype.
        notes: what JSON can hold.

    Raises:
        OSError: it cannot be written; its `needed` says how many bytes it wanted.
    """
    head = json.dumps({"notes": notes, "arrays": _layout(variables)}).encode()
    parts = (np.asarray(v.numpy()).reshape(-1).view(np.uint8) for v in variables)
    digest = hashlib.blake2b(digest_size=DIGEST_SIZE)
    try:
        with atomic_write(path, durable=True) as partial, open(partial, "wb", buffering=0) as file:
            for part in (len(head).to_bytes(8, "little"), head, *parts):
                digest.update(part)
                _write(file, part)
            _write(file, digest.digest())
    except OSError as error:
        error.filename = str(path)
        error.needed = sum(v.numpy().nbytes for v in variables)
        raise


def read_state(path):
    """What `write_state` wrote.

    Returns:
        `(arrays, notes)`; the arrays are mapped from the file.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: it is not what was written.
    """
    data = np.memmap(path, np.uint8, "r")
    body, digest = data[:-DIGEST_SIZE], data[-DIGEST_SIZE:]
    if hashlib.blake2b(body, digest_size=DIGEST_SIZE).digest() != digest.tobytes():
        raise ValueError("its checksum is wrong")
    start = 8 + int.from_bytes(body[:8].tobytes(), "little")
    head = json.loads(body[8:start].tobytes())
    arrays = []
    for dtype, shape in head["arrays"]:
        dtype = np.dtype(dtype)
        stop = start + dtype.itemsize * int(np.prod(shape))
        arrays.append(body[start:stop].view(dtype).reshape(shape))
        start = stop
    return arrays, head["notes"]


def _clear(path):
    """Take away a folder in the place of a state, where no file could be put; a file stays."""
    if path.is_dir():
        remove(path)


def _write(file, part):
    """All of it: an unbuffered file may take a part alone."""
    part = memoryview(part)
    while len(part):
        part = part[file.write(part) :]


def _variables(model):
    """All that a step of training reads and changes; the metrics come last."""
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def _layout(arrays):
    return [[np.dtype(a.dtype).name, list(a.shape)] for a in arrays]
