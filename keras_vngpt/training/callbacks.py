"""What happens while `model.fit` runs: figures, sample answers, saved states."""

import csv
import json
import time
from pathlib import Path

import keras
import numpy as np

from keras_vngpt.faults import Faults
from keras_vngpt.whole import whole

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
    """

    def __init__(self, path, stage, tokens_per_step, every):
        super().__init__()
        self.path, self.stage = Path(path), stage
        self.tokens_per_step, self.every = tokens_per_step, every
        self._begin = time.perf_counter()

    def go_on(self, step, evaluated):
        """Drop the points of the loss after a step, and the validations after another."""
        header = ",".join(HISTORY_FIELDS)

        def is_done(line):
            row = dict(zip(HISTORY_FIELDS, line.split(","), strict=True))
            last = evaluated if row["validation_loss"] else step
            return line == header or _is_done(row, self.stage, last)

        _keep(self.path, is_done)

    def on_epoch_begin(self, epoch, logs=None):
        self._steps = self._mark = 0
        self._sum_at_mark = 0.0

    def on_train_batch_end(self, batch, logs=None):
        self._steps += 1
        if self._steps - self._mark >= self.every:
            total = logs["loss"] * self._steps  # Keras shows the mean since the epoch began
            loss = (total - self._sum_at_mark) / (self._steps - self._mark)
            self._mark, self._sum_at_mark = self._steps, total
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


class Checkpoint(keras.callbacks.Callback):
    """Saves the state of training after each epoch, keeps the best weights, stops early.

    A state is the weights, the optimizer (its step count among it) and the best so far; it is
    written beside the old one and renamed.

    Args:
        folder: str or Path.
        patience: int, epochs that are no better before training stops; 0 never.

    Example:
        >>> checkpoint = Checkpoint("runs/default/pretrain/checkpoint")
        >>> first_step = checkpoint.restore(model)
    """

    def __init__(self, folder, patience=0):
        super().__init__()
        self.folder = Path(folder)
        self.patience = patience
        self.state = {
            "step": 0,
            "evaluated_step": 0,
            "best_loss": None,
            "best_right": 0.0,
            "best_step": 0,
            "waited": 0,
            "stopped": False,
        }

    def restore(self, model):
        """Load the last saved state into a compiled model; returns its step, 0 without one."""
        try:
            state = json.loads((self.folder / "state.json").read_text())
            model.optimizer.build(model.trainable_variables)
            model.load_weights(self.folder / f"step-{state['step']}.weights.h5")
        except FileNotFoundError:
            return 0
        except (ValueError, OSError, KeyError):
            raise Faults(
                f"{self.folder}: the saved state is damaged. --restart makes the run anew"
            ) from None
        self.state = state
        return state["step"]

    def restore_best(self, model):
        """Give the model the weights with the best validation loss."""
        if self.state["best_loss"] is not None:
            with np.load(self.folder / "best.npz") as arrays:
                model.set_weights([arrays[name] for name in arrays.files])

    def save(self):
        """Write the state as it is now."""
        self.state["step"] = int(self.model.optimizer.iterations)
        name = f"step-{self.state['step']}.weights.h5"
        with whole(self.folder / name) as partial:
            self.model.save_weights(partial)
        with whole(self.folder / "state.json") as partial:
            partial.write_text(json.dumps(self.state))
        for old in self.folder.glob("*.weights.h5"):
            if old.name != name:
                old.unlink()

    def on_epoch_end(self, epoch, logs=None):
        self.evaluated(logs["val_loss"], logs.get("val_right", 0.0))
        self.save()

    def evaluated(self, loss, right):
        """Note how good the weights are; keep them if they are the best.

        The best have the most responses right, and among equals the lowest loss: late in
        fine-tuning the loss rises by a few confident mistakes while ever more answers are right.
        """
        state, step = self.state, int(self.model.optimizer.iterations)
        best = (-state["best_right"], state["best_loss"])
        if state["best_loss"] is None or (-right, loss) < best:
            # In float32: NumPy's files do not know bfloat16.
            weights = (np.asarray(w, "float32") for w in self.model.get_weights())
            with whole(self.folder / "best.npz") as partial:
                np.savez(partial, *weights)
            news = {"best_loss": loss, "best_right": right, "best_step": step, "waited": 0}
        else:
            news = {"waited": state["waited"] + 1}
            news["stopped"] = 0 < self.patience <= news["waited"]
            if news["stopped"]:
                print(f"  no better for {self.patience} evaluations: stopping early")
                self.model.stop_training = True
        state |= {"evaluated_step": step, **news}  # at once: a Ctrl-C may come at any moment


def _is_done(record, stage, step):
    """Whether a record stays when training goes on from a step of a stage."""
    return record["stage"] != stage or int(record["step"]) <= step


def _keep(path, is_kept):
    """Leave only the lines of a file that are to be kept; a line that was cut short is not."""

    def is_good(line):
        try:
            return is_kept(line)
        except (ValueError, KeyError):
            return False

    if path.exists():
        lines = [line for line in path.read_text(encoding="utf-8").split("\n") if is_good(line)]
        with whole(path) as partial:
            partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
