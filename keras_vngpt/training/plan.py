"""How many steps, tokens and epochs a training takes."""

import math
import time
from dataclasses import dataclass

import keras

FEWEST_PASSES = 3  # over a large set, however many steps these are


@dataclass(frozen=True)
class Plan:
    """How many steps of how many rows.

    Args:
        rows: float, rows of one pass over the data.
        fill: float, share of the positions that hold a token.
        batch_size: int, rows in a step.
        length: int, positions in a row.
        steps: int, in all.
        steps_per_epoch: int, steps from one evaluation to the next.
        parts: int, that a step is computed in.
    """

    rows: float
    fill: float
    batch_size: int
    length: int
    steps: int
    steps_per_epoch: int
    parts: int = 1

    @classmethod
    def of(cls, data, task, settings, devices=1):
        """The plan that a task and its settings make for a `TaskData`."""
        rows, n_rows = data.train, len(data.train) / data.passes
        parts = settings.gradient_accumulation_steps
        unit = parts * devices  # as many rows in each
        batch_size = unit * math.ceil(min(settings.batch_size, n_rows) / unit)
        positions = batch_size * rows.length
        if settings.tokens:
            steps = math.ceil(settings.tokens / (positions * rows.fill))
        elif settings.epochs:
            steps = math.ceil(settings.epochs * n_rows / batch_size)
        else:
            fewest, most = (n * n_rows / batch_size for n in (FEWEST_PASSES, data.epochs))
            steps = math.ceil(max(task.steps[0], min(most, max(task.steps[1], fewest))))
        # As many evaluations as asked, or up to half of them fewer, where that fits better.
        most = min(settings.evaluations, steps)
        epochs = min(
            range(most, most // 2, -1), key=lambda n: abs(max(1, round(steps / n)) * n - steps)
        )
        per_epoch = max(1, round(steps / epochs))
        return cls(n_rows, rows.fill, batch_size, rows.length, epochs * per_epoch, per_epoch, parts)

    @property
    def tokens_per_step(self):
        return self.batch_size * self.length * self.fill

    @property
    def tokens(self):
        return round(self.steps * self.tokens_per_step)

    @property
    def passes(self):
        """How often each row is read."""
        return self.steps * self.batch_size / self.rows


def print_plan(task, plan, model):
    """Print the arithmetic."""
    parameters = model.count_params()
    seconds = plan.tokens * 6 * parameters / (0.4 * _matrix_rate(model.backbone.compute_dtype))
    print(f"\n{task.name}")
    print(f"  parameters      {parameters:,} ({model.backbone.dtype_policy.name})")
    print(f"  tokens a step   {plan.tokens_per_step:,.0f} in {plan.batch_size} rows")
    print(f"  steps           {plan.steps:,} = {plan.tokens:,} tokens = {plan.passes:.2f} passes")
    print(f"  estimated time  {in_minutes(seconds)}, and compilation before the first step")


def _matrix_rate(dtype):
    """Floating-point operations a second in a matrix product, for the estimate of the time."""
    matrix = keras.ops.ones((1024, 1024), dtype)
    keras.ops.convert_to_numpy(keras.ops.matmul(matrix, matrix))
    begin = time.perf_counter()
    for _ in range(5):
        keras.ops.convert_to_numpy(keras.ops.matmul(matrix, matrix))
    return 5 * 2 * 1024**3 / (time.perf_counter() - begin)


def in_minutes(seconds):
    """Seconds as people read them."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s"
