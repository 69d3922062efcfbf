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
from keras_vngpt.files import atomic_write

SHARE = 0.02  # of the time may go into writing
KEPT = 2  # states: where the last one is damaged, the one before it serves
FIGURES = ("val_loss", "val_right", "bits_per_byte")  # of an evaluation
DIGEST_SIZE = 32


class Checkpoint(keras.callbacks.Callback):
    """Saves the state of training, so that it goes on as if it had never been interrupted.

    A state is every variable of the model (weights, the seeds of dropout), of the optimizer (its
    step count among them) and of the metrics, with notes of the best so far. It is written from
    time to time between two steps and after evaluations; when it is written changes nothing in what
    is trained. The best weights stand in a file of their own. It comes last among the callbacks:
    what it calls evaluated is on the curves and among the samples.

    Args:
        folder: str or Path.
        counter: `StepCounter`.
        interruption: `Interruption`; what arrived there is raised once the state is saved.
        rank: as `Task.rank`.
        minutes: float, from one state to the next.
        patience: int, evaluations that are no better before training stops; 0 never.

    Example:
        >>> checkpoint = Checkpoint("runs/default/pretrain/checkpoint", counter, interruption, rank)
        >>> checkpoint.restore(model, steps_per_epoch)
    """

    def __init__(self, folder, counter, interruption, rank, minutes=1.0, patience=0):
        super().__init__()
        self.folder, self.counter, self.interruption = Path(folder), counter, interruption
        self.rank, self.minutes, self.patience = rank, minutes, patience
        self.state = {
            "step": 0,
            "evaluated_step": 0,
            "best": None,  # the figures of the best evaluation
            "best_step": 0,
            "waited": 0,
            "stopped": False,
        }
        self.seconds_writing = 0.0
        self._metrics = None  # of an epoch that was interrupted
        self._begin = self._last = time.monotonic()
        self._last_seconds = 0.0

    def restore(self, model, steps_per_epoch):
        """Load the last good state into a compiled model, if there is one.

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
                continue
            return self._load(path, model, arrays, notes, steps_per_epoch)
        if paths:
            print("  no saved state is good: this task begins anew")

    def is_evaluation_due(self, steps_per_epoch):
        """Whether training was interrupted between the end of an epoch and its evaluation."""
        step = self.counter.step
        return step > self.state["evaluated_step"] and step % steps_per_epoch == 0

    def restore_best(self, model):
        """Give the model the weights of the best evaluation.

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
        self.state["step"] = self.counter.step
        path = self.folder / f"step-{self.state['step']:012d}.state"
        write_state(path, _variables(self.model), self.state)
        for old in self._paths()[KEPT:]:
            old.unlink()
        self._last = time.monotonic()
        self._last_seconds = self._last - begin
        self.seconds_writing += self._last_seconds

    def on_epoch_begin(self, epoch, logs=None):
        metrics, self._metrics = self._metrics, None
        if metrics:  # which Keras has just reset
            for variable, value in zip(self.model.metrics_variables, metrics, strict=True):
                variable.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        if not self.counter.is_between_steps:
            return
        is_due = time.monotonic() - self._last >= 60 * self.minutes and self._has_time()
        if is_due or self.interruption.error:
            self.save()
        self.interruption.check()

    def on_epoch_end(self, epoch, logs=None):
        self.evaluated(logs)
        if self._has_time() or self.interruption.error:
            self.save()
        self.interruption.check()

    def evaluated(self, figures):
        """Note how good the weights are; keep them if they are the best.

        Args:
            figures: dictionary, as for `Task.rank`.
        """
        state, step = self.state, self.counter.step
        figures = {name: float(figures[name]) for name in FIGURES}
        if not math.isfinite(figures["val_loss"]):
            figures["val_loss"] = math.inf
        if state["best"] is None or self.rank(figures) < self.rank(state["best"]):
            begin = time.monotonic()
            write_state(self.folder / "best.state", self.model.weights, {"step": step})
            self.seconds_writing += time.monotonic() - begin
            state |= {"best": figures, "best_step": step, "waited": 0}
        else:
            state["waited"] += 1
            state["stopped"] = 0 < self.patience <= state["waited"]
            if state["stopped"]:
                print(f"  no better for {self.patience} evaluations: stopping early")
        state["evaluated_step"] = step

    def _has_time(self):
        """Whether one more state stays within the share of the time that writing may take."""
        elapsed = time.monotonic() - self._begin
        return self.seconds_writing + self._last_seconds <= SHARE * elapsed

    def _paths(self):
        """The states, the last one first."""
        return sorted(self.folder.glob("step-*.state"), reverse=True)

    def _load(self, path, model, arrays, notes, steps_per_epoch):
        variables = _variables(model)
        if _layout(variables) != _layout(arrays) or notes.keys() != self.state.keys():
            raise UserError(f"{path}: is of another model. --restart makes the run anew")
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(np.array(array))  # aligned, as it is not in the file
        self.state = state = notes
        self.counter.batches = state["step"] * self.counter.parts
        _inner(model.optimizer)._iterations.assign(self.counter.batches)  # it counts parts
        if state["step"] % steps_per_epoch:
            self._metrics = [
                np.array(a) for a in arrays[len(arrays) - len(model.metrics_variables) :]
            ]
        if state["best"] is not None:
            try:
                read_state(self.folder / "best.state")
            except (OSError, ValueError) as error:
                print(f"  {self.folder / 'best.state'}: is damaged ({error}); passed over")
                state |= {"best": None, "stopped": False}
                if state["evaluated_step"] == state["step"]:
                    state["evaluated_step"] -= 1  # evaluated again, these weights are the best


def write_state(path, variables, notes):
    """Write variables and notes as one file that is complete and on the disk, or not there.

    It holds the length of its head (8 bytes), the head (JSON: notes, and dtype and shape of each
    array), the arrays, and a BLAKE2 digest of all that (32 bytes).

    Args:
        path: str or Path.
        variables: list of `keras.Variable`; their bits are kept, whatever their dtype.
        notes: what JSON can hold.
    """
    head = json.dumps({"notes": notes, "arrays": _layout(variables)}).encode()
    parts = (keras.ops.convert_to_numpy(v).reshape(-1).view(np.uint8) for v in variables)
    digest = hashlib.blake2b(digest_size=DIGEST_SIZE)
    with atomic_write(path, durable=True) as partial, open(partial, "wb") as file:
        for part in (len(head).to_bytes(8, "little"), head, *parts):
            digest.update(part)
            file.write(part)
        file.write(digest.digest())


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


def _variables(model):
    """All that a step of training reads and changes; the metrics come last.

    The sums of the parts of a step are not among them: between two steps they are nothing, so that
    training may go on in another number of parts.
    """
    sums = {id(v) for v in getattr(_inner(model.optimizer), "_accumulated_gradients", None) or ()}
    of_optimizer = [v for v in model.optimizer.variables if id(v) not in sums]
    return [*model.variables, *of_optimizer, *model.metrics_variables]


def _inner(optimizer):
    """The optimizer within a scale of the loss."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _layout(arrays):
    return [[np.dtype(a.dtype).name, list(a.shape)] for a in arrays]
