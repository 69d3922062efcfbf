"""The optimizer of a task, how its learning rate goes, and how to read it."""

import keras
from keras import ops

from keras_vngpt.training.devices import sum_over_replicas
from keras_vngpt.training.muon import Muon

ADAM_SHARE = 0.75  # of Muon's learning rate, for embeddings and norms
BETA_1, BETA_2, MOMENTUM = 0.8, 0.99, 0.85
NOT_MUON = ["bias$", "lora"]  # matrices by their form alone


@keras.saving.register_keras_serializable(package="keras_vngpt")
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises in a line, and falls in a line until the last step.

    Args:
        learning_rate: float, at the end of the warm-up.
        total_steps: int.
        warmup_steps: int.
        final: float, what it has fallen to after the last step, as a share of `learning_rate`.

    Example:
        >>> round(float(LinearDecay(1e-2, total_steps=100, warmup_steps=10)(9)), 6)
        0.01

    References:
        - [Bergsma et al., 2025](https://arxiv.org/abs/2502.15938): all the way to 0.
    """

    def __init__(self, learning_rate, total_steps, warmup_steps=0, final=0.0):
        self.learning_rate = learning_rate
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.final = final

    def __call__(self, step):
        step = ops.cast(step, "float32")
        left = (self.total_steps - step) / max(1, self.total_steps - self.warmup_steps)
        rising = (step + 1) / max(1, self.warmup_steps)
        falling = self.final + (1 - self.final) * ops.clip(left, 0.0, 1.0)
        return self.learning_rate * ops.minimum(rising, falling)

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "final": self.final,
        }


@keras.saving.register_keras_serializable(package="keras_vngpt")
class LossScale(keras.optimizers.LossScaleOptimizer):
    """Keras's dynamic loss scale for float16, where a step that is left out is still counted.

    Keras hides gradients that are not finite from the inner optimizer, which then does not count
    them: steps would no longer be batches, and accumulation would begin in the middle of one. Nor
    does it look at the gradients of more than one replica. Here the inner optimizer gets them all:
    `Muon` leaves such a step out by itself.

    Args:
        inner_optimizer: a `Muon`.
        **kwargs: as for `keras.optimizers.LossScaleOptimizer`.

    Example:
        >>> model.compile(optimizer=LossScale(Muon(6e-3)))
    """

    stateless_apply = keras.optimizers.Optimizer.stateless_apply

    def apply(self, grads, trainable_variables=None):
        if not self.built:
            self.build(trainable_variables)
        (faults,) = sum_over_replicas([1.0 - ops.cast(self.check_finite(grads), "float32")])
        scale, counter = (ops.convert_to_tensor(v) for v in (self.dynamic_scale, self.step_counter))
        grads = [None if g is None else g / ops.cast(scale, g.dtype) for g in grads]
        self.inner_optimizer.apply(grads, trainable_variables)
        is_finite, grows = faults == 0, counter + 1 == self.dynamic_growth_steps
        factor = ops.where(is_finite, ops.where(grows, 2.0, 1.0), 0.5)
        self.dynamic_scale.assign(scale * factor)
        self.step_counter.assign(ops.where(factor == 1, counter + 1, 0))


def make_optimizer(settings, total_steps, token_features=None):
    """Muon or AdamW with linear warm-up and linear decay.

    Args:
        settings: with `optimizer` ("muon", or "adamw" for all variables), `learning_rate`,
            `warmup`, `final_learning_rate`, `weight_decay`, `clip_norm` and
            `gradient_accumulation_steps`, as `TaskSettings` describes them.
        total_steps: int.
        token_features: optional, from `token_features`.

    Returns:
        A `Muon`.

    Example:
        >>> model.compile(optimizer=make_optimizer(settings.pretrain, total_steps=500))
    """
    schedule = LinearDecay(
        settings.learning_rate,
        total_steps,
        int(settings.warmup * total_steps),
        settings.final_learning_rate,
    )
    is_muon = settings.optimizer == "muon"
    parts = settings.gradient_accumulation_steps
    return Muon(
        schedule,
        token_features=token_features,
        exclude_layers=NOT_MUON if is_muon else [""],
        adam_lr_ratio=ADAM_SHARE if is_muon else 1.0,
        adam_beta_1=BETA_1,
        adam_beta_2=BETA_2,
        momentum=MOMENTUM,
        weight_decay=settings.weight_decay,
        adam_weight_decay=settings.weight_decay,
        global_clipnorm=settings.clip_norm or None,
        gradient_accumulation_steps=parts if parts > 1 else None,
    )


def learning_rate_now(optimizer):
    """What the next step moves the hidden matrices by."""
    return float(ops.convert_to_numpy(optimizer.learning_rate))


def skipped_in_a_row(optimizer):
    """How many of the last steps were left out and no loss scale that was too large explains."""
    scale = getattr(optimizer, "dynamic_scale", None)
    if scale is not None and ops.convert_to_numpy(scale) > 1.0:
        return 0
    return int(ops.convert_to_numpy(getattr(optimizer, "inner_optimizer", optimizer).skipped))
