"""The optimizer of a stage, and how its learning rate goes."""

import keras
from keras import ops

from keras_vngpt.training.muon import MuonAdamW

ADAM_SHARE = 0.75  # of Muon's learning rate, for embeddings and norms


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


def make_optimizer(
    name,
    learning_rate,
    total_steps,
    warmup=0.01,
    final_learning_rate=0.0,
    weight_decay=0.01,
    clip_norm=1.0,
    gradient_accumulation_steps=1,
    scale_loss=False,
    token_features=None,
):
    """Muon or AdamW with linear warm-up and linear decay.

    Args:
        name: "muon" (AdamW for all but the hidden matrices) or "adamw".
        learning_rate: float, at the end of the warm-up.
        total_steps: int.
        warmup: float, the share of the steps that warm up.
        final_learning_rate: float, the last learning rate as a share of `learning_rate`.
        weight_decay: float, decoupled.
        clip_norm: float, the largest global norm of the gradients; 0 for no limit.
        gradient_accumulation_steps: int, batches whose gradients make one step.
        scale_loss: bool, for float16.
        token_features: optional, from `keras_vngpt.text.features.token_features`.

    Returns:
        A `MuonAdamW`.

    Example:
        >>> model.compile(optimizer=make_optimizer("muon", 6e-3, total_steps=500))
    """
    schedule = LinearDecay(
        learning_rate, total_steps, int(warmup * total_steps), final_learning_rate
    )
    return MuonAdamW(
        schedule,
        adam_share=ADAM_SHARE,
        matrices=name,
        weight_decay=weight_decay,
        global_clipnorm=clip_norm or None,
        gradient_accumulation_steps=gradient_accumulation_steps,
        scale_loss=scale_loss,
        token_features=token_features,
    )


_make = make_optimizer


def make_optimizer(settings, total_steps, token_features=None):  # noqa: F811
    return _make(
        settings.optimizer, settings.learning_rate, total_steps, settings.warmup,
        settings.final_learning_rate, settings.weight_decay, settings.clip_norm,
        settings.gradient_accumulation_steps, token_features=token_features,
    )  # fmt: skip


def skipped_in_a_row(optimizer):
    return int(optimizer.skipped)
