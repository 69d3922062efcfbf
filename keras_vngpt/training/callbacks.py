"""What is shown and written while `model.fit` runs: figures, curves, sample answers."""

import csv
import json
import math
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_vngpt.errors import UserError
from keras_vngpt.files import atomic_write
from keras_vngpt.training.optimizers import learning_rate_now, skipped_in_a_row

WIDTH = 160  # characters of a sample on the screen
IN_A_ROW = 3  # steps left out before training ends
EVERY = 10  # steps from one look at what was left out to the next
HISTORY_FIELDS = (
    "stage step tokens loss validation_loss bits_per_byte learning_rate tokens_per_second seconds"
).split()


class StepCounter(keras.callbacks.Callback):
    """Counts steps, each of several batches where gradients are accumulated; the others ask it.

    Args:
        parts: int, batches of a step.
    """

    def __init__(self, parts=1):
        super().__init__()
        self.parts, self.batches = parts, 0

    @property
    def step(self):
        """Steps that were taken."""
        return self.batches // self.parts

    @property
    def is_between_steps(self):
        """Whether the last step is complete."""
        return self.batches % self.parts == 0

    def is_at(self, every):
        """Whether so many steps more are complete."""
        return self.batches % (every * self.parts) == 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True  # a call of `fit` is an epoch, whatever number it has


class TellStep(keras.callbacks.Callback):
    """Keeps a `Progress` at the step that training is at, with its loss.

    Args:
        progress: `Progress`.
        counter: `StepCounter`.
    """

    def __init__(self, progress, counter):
        super().__init__()
        self.progress, self.counter = progress, counter
        progress.done = counter.step

    def on_train_batch_end(self, batch, logs=None):
        self.progress.done = self.counter.step
        self.progress.note = f"loss {logs['loss']:.4f}"


class Throughput(keras.callbacks.Callback):
    """Adds tokens per second to the progress bar.

    Args:
        tokens_per_batch: float.
    """

    def __init__(self, tokens_per_batch):
        super().__init__()
        self.tokens_per_batch = tokens_per_batch

    def on_epoch_begin(self, epoch, logs=None):
        self._start, self._batches = None, 0

    def on_train_batch_end(self, batch, logs=None):
        if self._start is None:  # the first step includes compilation
            self._start = time.perf_counter()
            return
        self._batches += 1
        elapsed = time.perf_counter() - self._start
        logs["tokens/s"] = self.tokens_per_batch * self._batches / elapsed

    def on_epoch_end(self, epoch, logs=None):
        elapsed = time.perf_counter() - (self._start or 0)
        logs["tokens/s"] = self.tokens_per_batch * self._batches / elapsed if self._batches else 0.0


class Validation(keras.callbacks.Callback):
    """Adds the exact validation loss to the figures of an epoch.

    Args:
        measure: function without arguments to nats per scored token and the share of responses
            that are right as a whole.
        bits_per_nat: float, from that to bits per byte of the scored text.
        shows_right: bool, whether that share says anything: of texts none is ever right.
    """

    def __init__(self, measure, bits_per_nat, shows_right):
        super().__init__()
        self.measure, self.bits_per_nat, self.shows_right = measure, bits_per_nat, shows_right

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"], right = self.measure()
        logs["bits_per_byte"] = logs["val_loss"] * self.bits_per_nat
        said = f"{logs['bits_per_byte']:.4f} bits per byte of scored text"
        logs["val_right"] = right if self.shows_right else 0.0
        if logs["val_right"]:
            said += f", {right:.2%} of the responses right"
        print(f"\n  validation loss {logs['val_loss']:.4f}, {said}")


class SampleAnswers(keras.callbacks.Callback):
    """Answers the same few prompts after each epoch, on the screen and in a file.

    Args:
        answer: function from a list of prompts to a list of texts.
        prompts: list of str.
        path: of the JSONL file.
        task: str, noted in the file.
        counter: `StepCounter`.
    """

    def __init__(self, answer, prompts, path, task, counter):
        super().__init__()
        self.answer, self.prompts, self.path = answer, prompts, path
        self.task, self.counter = task, counter

    def resume(self, evaluated):
        """Drop the answers after a step: those evaluations come again."""
        _keep(self.path, lambda line: _is_done(json.loads(line), self.task, evaluated))

    def on_epoch_end(self, epoch, logs=None):
        if not self.prompts:
            return
        answers = self.answer(self.prompts)
        with open(self.path, "a", encoding="utf-8") as file:
            for prompt, text in zip(self.prompts, answers, strict=True):
                line = f"{prompt} → {text}".replace("\n", "⏎")
                print(f"  {line if len(line) <= WIDTH else line[:WIDTH] + '…'}")
                record = {"stage": self.task, "step": self.counter.step}
                record |= {"prompt": prompt, "text": text}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")


class History(keras.callbacks.Callback):
    """Writes the curves: about a hundred points of the loss, and every validation.

    The loss that Keras shows begins anew after each point, so that a point is the mean of the
    steps since the one before.

    Args:
        path: of the CSV file, shared by the tasks of a run.
        task: str, noted in the file.
        plan: `Plan`.
        counter: `StepCounter`.
    """

    def __init__(self, path, task, plan, counter):
        super().__init__()
        self.path, self.task, self.plan, self.counter = Path(path), task, plan, counter
        self.every = max(1, plan.steps // 100)
        self._begin = time.perf_counter()

    def resume(self, step, evaluated):
        """Drop the points of the loss after a step, and the validations after another."""
        header = ",".join(HISTORY_FIELDS)

        def is_done(line):
            row = dict(zip(HISTORY_FIELDS, line.split(","), strict=True))
            last = evaluated if row["validation_loss"] else step
            return line == header or _is_done(row, self.task, last)

        _keep(self.path, is_done)

    def on_train_batch_begin(self, batch, logs=None):
        if self.counter.is_at(self.every):
            self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        if self.counter.is_at(self.every) and math.isfinite(loss := float(logs["loss"])):
            self._write(loss=loss, tokens_per_second=logs.get("tokens/s", ""))

    def on_epoch_end(self, epoch, logs=None):
        self._write(
            validation_loss=logs["val_loss"],
            bits_per_byte=logs["bits_per_byte"],
            tokens_per_second=logs.get("tokens/s", ""),
        )

    def _write(self, **figures):
        step = self.counter.step
        row = {
            "stage": self.task,
            "step": step,
            "tokens": round(step * self.plan.tokens_per_step),
            "learning_rate": learning_rate_now(self.model.optimizer),
            "seconds": round(time.perf_counter() - self._begin, 2),
            **figures,
        }
        is_new = not self.path.exists() or not self.path.stat().st_size
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, HISTORY_FIELDS, restval="", lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


class StopWhereNotFinite(keras.callbacks.Callback):
    """Ends training where the gradients of several steps in a row are not finite.

    Args:
        task: str, for the message.
        counter: `StepCounter`.
    """

    def __init__(self, task, counter):
        super().__init__()
        self.task, self.counter = task, counter

    def on_train_batch_end(self, batch, logs=None):
        if self.counter.is_at(EVERY):  # the same steps when training was interrupted
            self.check()

    def on_epoch_end(self, epoch, logs=None):
        self.check()

    def check(self):
        """See what became of the last steps.

        Raises:
            UserError: they were left out.
        """
        step, skipped = self.counter.step, skipped_in_a_row(self.model.optimizer)
        if skipped >= IN_A_ROW:
            rate = learning_rate_now(self.model.optimizer)
            raise UserError(
                f"{self.task}: the gradients are not finite, {skipped} steps in a row, the last "
                f"one step {step:,} (learning rate {rate:.3g}). The last good state is kept; try a "
                f"smaller {self.task}.learning_rate, in another run"
            )
        metrics = self.model.metrics_variables
        if not all(np.isfinite(ops.convert_to_numpy(variable)).all() for variable in metrics):
            print(f"\n  before step {step:,}: gradients that are not finite; left out")
            self.model.reset_metrics()


def _is_done(record, task, step):
    """Whether a record stays when training goes on from a step of a task."""
    return record["stage"] != task or int(record["step"]) <= step


def _keep(path, is_kept):
    """Leave only the lines of a file that are to be kept; a line that was cut short is not."""

    def is_good(line):
        try:
            return is_kept(line)
        except (ValueError, KeyError, TypeError):
            return False

    if path.exists():
        text = path.read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.split("\n") if is_good(line)]
        with atomic_write(path) as partial:
            partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
