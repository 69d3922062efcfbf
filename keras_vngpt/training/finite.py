"""Steps whose gradients are not finite: left out, and when they go on, the end of training."""

import keras
import numpy as np
from keras import ops

from keras_vngpt.faults import Faults

IN_A_ROW = 3  # steps that are left out before training ends
EVERY = 10  # steps from one look to the next: looking waits for the device


class FiniteSteps(keras.optimizers.LossScaleOptimizer):
    """Any optimizer, that leaves out the steps whose gradients are not finite.

    Such a step changes no weight and no moment, but it counts: the learning rate goes on, and the
    number of steps is that of the batches. In float16 it first takes back the scale of the loss.

    Args:
        inner_optimizer: a `keras.optimizers.Optimizer`.
        scales_loss: bool, whether the loss is scaled, as float16 wants it.

    Attributes:
        skipped: int variable, the steps left out in a row that no scale of the loss explains.

    Example:
        >>> model.compile(optimizer=FiniteSteps(keras.optimizers.AdamW(1e-3)))
    """

    def __init__(self, inner_optimizer, scales_loss=False, **kwargs):
        super().__init__(inner_optimizer, initial_scale=2.0**15 if scales_loss else 1.0, **kwargs)
        self.scales_loss = scales_loss

    def build(self, var_list):
        super().build(var_list)
        self.skipped = self.add_variable(
            shape=(), dtype="int", initializer="zeros", aggregation="none", name="skipped"
        )

    def scale_loss(self, loss):
        return super().scale_loss(loss) if self.scales_loss else loss

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        def applied(function):
            old = [*trainable_variables, *optimizer_variables]
            variables = [*self._trainable_variables, *self.variables]
            with keras.StatelessScope(zip(variables, old, strict=True)) as scope:
                function()
            new = [scope.get_current_value(v) for v in variables]
            return new[: len(trainable_variables)], new[len(trainable_variables) :]

        return ops.cond(
            self.check_finite(grads),
            lambda: applied(lambda: self._stateful_handle_finite_grads(grads, None)),
            lambda: applied(self._stateful_handle_non_finite_grads),
        )

    def _stateful_handle_finite_grads(self, grads, trainable_variables):
        if self.scales_loss:
            grads = [g if g is None else g / self.dynamic_scale for g in grads]
            steps = self.step_counter + 1
            grows = steps >= self.dynamic_growth_steps
            self.step_counter.assign(ops.where(grows, 0, steps))
            self.dynamic_scale.assign(self.dynamic_scale * ops.where(grows, 2.0, 1.0))
        self.inner_optimizer.apply(grads, trainable_variables)
        self.skipped.assign(0)

    def _stateful_handle_non_finite_grads(self):
        self.skipped.assign(ops.where(self.dynamic_scale > 1, 0, self.skipped + 1))
        if self.scales_loss:
            self.step_counter.assign(0)
            self.dynamic_scale.assign(self.dynamic_scale / 2)
        self.inner_optimizer.iterations.assign_add(1)

    def get_config(self):
        config = super().get_config()
        del config["initial_scale"]
        return {**config, "scales_loss": self.scales_loss}


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
        if self.curves.state["steps"] % EVERY == 0:  # the same steps when training was interrupted
            self.look()

    def on_epoch_end(self, epoch, logs=None):
        self.look()

    def look(self):
        """See what became of the last steps.

        Raises:
            Faults: they were left out.
        """
        step, skipped = (int(getattr(self.model.optimizer, n)) for n in ("iterations", "skipped"))
        if skipped >= IN_A_ROW:
            rate = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
            raise Faults(
                f"{self.stage}: the gradients are not finite, {skipped} steps in a row, the last "
                f"one step {step:,} (learning rate {rate:.3g}): {self.explain(step - 1)}. The last "
                f"good state is kept; try a smaller {self.stage}.learning_rate with --restart"
            )
        metrics = self.model.metrics_variables
        if not all(np.isfinite(variable.numpy()).all() for variable in metrics):
            print(f"\n  before step {step:,}: gradients that are not finite; left out")
            self.model.reset_metrics()
            self.curves.on_epoch_begin(0)
