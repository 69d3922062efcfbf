"""The end of training where the gradients of several steps in a row are not finite."""

import keras
import numpy as np

from keras_vngpt.errors import UserError
from keras_vngpt.training.optimizers import (
    is_between_steps,
    learning_rate_now,
    skipped_in_a_row,
    steps_taken,
)

IN_A_ROW = 3  # steps that `Muon` leaves out before training ends
EVERY = 10  # steps from one look to the next


class StopWhereNotFinite(keras.callbacks.Callback):
    """Ends training after a few steps in a row that were left out.

    Args:
        stage: "pretrain" or "finetune", for the message.
        curves: `History`; the mean of the losses begins anew after a step that was left out.
        explain: function from a step to a text about the rows in its batch.
    """

    def __init__(self, stage, curves, explain):
        super().__init__()
        self.stage, self.curves, self.explain = stage, curves, explain

    def on_train_batch_end(self, batch, logs=None):
        optimizer = self.model.optimizer  # the same steps when training was interrupted
        if is_between_steps(optimizer) and steps_taken(optimizer) % EVERY == 0:
            self.look()

    def on_epoch_end(self, epoch, logs=None):
        self.look()

    def look(self):
        """See what became of the last steps.

        Raises:
            UserError: they were left out.
        """
        optimizer = self.model.optimizer
        step, skipped = steps_taken(optimizer), skipped_in_a_row(optimizer)
        if skipped >= IN_A_ROW:
            rate = learning_rate_now(optimizer)
            raise UserError(
                f"{self.stage}: the gradients are not finite, {skipped} steps in a row, the last "
                f"one step {step:,} (learning rate {rate:.3g}): {self.explain(step - 1)}. The last "
                f"good state is kept; try a smaller {self.stage}.learning_rate, in another run"
            )
        metrics = self.model.metrics_variables
        if not all(np.isfinite(variable.numpy()).all() for variable in metrics):
            print(f"\n  before step {step:,}: gradients that are not finite; left out")
            self.model.reset_metrics()
            self.curves.on_epoch_begin(0)
