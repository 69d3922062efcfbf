"""What is shown and noted while `model.fit` runs: figures, curves, sample answers."""

import csv
import json
import math
import time
from pathlib import Path

import keras

from keras_vngpt.files import atomic_write

WIDTH = 160  # characters of a sample on the screen
HISTORY_FIELDS = (
    "stage step tokens loss validation_loss bits_per_byte learning_rate tokens_per_second seconds"
).split()


class Throughput(keras.callbacks.Callback):
    """Adds tokens per second to the progress bar.

    Args:
        tokens_per_step: float.
    """

    def __init__(self, tokens_per_step):
        super().__init__()
        self.tokens_per_step = tokens_per_step

    def on_epoch_begin(self, epoch, logs=None):
        self._start, self._steps = None, 0

    def on_train_batch_end(self, batch, logs=None):
        if self._start is None:  # the first step includes compilation
            self._start = time.perf_counter()
            return
        self._steps += 1
        elapsed = time.perf_counter() - self._start
        logs["tokens/s"] = self.tokens_per_step * self._steps / elapsed

    def on_epoch_end(self, epoch, logs=None):
        elapsed = time.perf_counter() - (self._start or 0)
        logs["tokens/s"] = self.tokens_per_step * self._steps / elapsed if self._steps else 0.0


class Validation(keras.callbacks.Callback):
    """Adds the exact validation loss to the figures of an epoch.

    Args:
        measure: function without arguments to nats per scored token and the share of responses
            that are right as a whole.
        bits_per_nat: float, from that to bits per byte of the scored text.
    """

    def __init__(self, measure, bits_per_nat):
        super().__init__()
        self.measure, self.bits_per_nat = measure, bits_per_nat

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"], right = self.measure()
        logs["bits_per_byte"] = logs["val_loss"] * self.bits_per_nat
        said = f"{logs['bits_per_byte']:.4f} bits per byte of scored text"
        if right:
            logs["val_right"] = right
            said += f", {right:.2%} of the responses right"
        print(f"\n  validation loss {logs['val_loss']:.4f}, {said}")


class SampleAnswers(keras.callbacks.Callback):
    """Answers the same few prompts after each epoch, on the screen and in a file.

    Args:
        answer: function from a list of prompts to a list of texts.
        prompts: list of str.
        path: of the JSONL file.
        stage: "pretrain" or "finetune", noted in the file.
    """

    def __init__(self, answer, prompts, path, stage):
        super().__init__()
        self.answer, self.prompts, self.path, self.stage = answer, prompts, Path(path), stage

    def go_on(self, evaluated):
        """Drop the answers after a step: those evaluations come again."""
        _keep(self.path, lambda line: _is_done(json.loads(line), self.stage, evaluated))

    def on_epoch_end(self, epoch, logs=None):
        if not self.prompts:
            return
        step = int(self.model.optimizer.iterations)
        answers = self.answer(self.prompts)
        with open(self.path, "a", encoding="utf-8") as file:
            for prompt, text in zip(self.prompts, answers, strict=True):
                line = f"{prompt} → {text}".replace("\n", "⏎")
                print(f"  {line if len(line) <= WIDTH else line[:WIDTH] + '…'}")
                record = {"stage": self.stage, "step": step, "prompt": prompt, "text": text}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")


class History(keras.callbacks.Callback):
    """Writes the curves: about a hundred points of the loss, and every validation.

    Args:
        path: of the CSV file, shared by the stages.
        stage: "pretrain" or "finetune".
        tokens_per_step: float.
        every: int, steps between two points.

    Attributes:
        state: dictionary, where on the curve this epoch is: its steps so far, and the step and the
            sum of the losses at its last point.
    """

    def __init__(self, path, stage, tokens_per_step, every):
        super().__init__()
        self.path, self.stage = Path(path), stage
        self.tokens_per_step, self.every = tokens_per_step, every
        self._begin = time.perf_counter()
        self.on_epoch_begin(0)

    def go_on(self, step, evaluated):
        """Drop the points of the loss after a step, and the validations after another."""
        header = ",".join(HISTORY_FIELDS)

        def is_done(line):
            row = dict(zip(HISTORY_FIELDS, line.split(","), strict=True))
            last = evaluated if row["validation_loss"] else step
            return line == header or _is_done(row, self.stage, last)

        _keep(self.path, is_done)

    def on_epoch_begin(self, epoch, logs=None):
        self.state = {"steps": 0, "mark": 0, "sum_at_mark": 0.0}

    def on_train_batch_end(self, batch, logs=None):
        state = self.state
        state["steps"] += 1
        if state["steps"] - state["mark"] >= self.every and math.isfinite(logs["loss"]):
            total = float(logs["loss"]) * state["steps"]  # Keras shows the mean of the epoch
            loss = (total - state["sum_at_mark"]) / (state["steps"] - state["mark"])
            state |= {"mark": state["steps"], "sum_at_mark": total}
            self._write(loss=loss, tokens_per_second=logs.get("tokens/s", ""))

    def on_epoch_end(self, epoch, logs=None):
        self._write(
            validation_loss=logs["val_loss"],
            bits_per_byte=logs["bits_per_byte"],
            tokens_per_second=logs.get("tokens/s", ""),
        )

    def _write(self, **figures):
        step = int(self.model.optimizer.iterations)
        row = {
            "stage": self.stage,
            "step": step,
            "tokens": round(step * self.tokens_per_step),
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "seconds": round(time.perf_counter() - self._begin, 2),
            **figures,
        }
        is_new = not self.path.exists() or not self.path.stat().st_size
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, HISTORY_FIELDS, restval="", lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def _is_done(record, stage, step):
    """Whether a record stays when training goes on from a step of a stage."""
    return record["stage"] != stage or int(record["step"]) <= step


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
