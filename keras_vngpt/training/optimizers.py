"""The optimizer of a stage, and how its learning rate goes."""

import keras

from keras_vngpt.training.muon import MuonAdamW

ADAM_SHARE = 0.5  # of Muon's learning rate, for embeddings and norms


def make_optimizer(
    name,
    learning_rate,
    total_steps,
    warmup=0.02,
    final_learning_rate=0.0,
    weight_decay=0.01,
    clip_norm=1.0,
    micro_batches=1,
    scale_loss=False,
    token_features=None,
):
    """Muon or AdamW with linear warm-up and cosine decay.

    Args:
        name: "muon" (AdamW for all but the hidden matrices) or "adamw".
        learning_rate: float, at the end of the warm-up.
        total_steps: int.
        warmup: float, the share of the steps that warm up.
        final_learning_rate: float, the last learning rate as a share of `learning_rate`.
        weight_decay: float, decoupled.
        clip_norm: float, the largest global norm of the gradients; 0 for no limit.
        micro_batches: int, batches whose gradients make one step.
        scale_loss: bool, for float16.
        token_features: optional, from `keras_vngpt.text.features.token_features`.

    Returns:
        A `MuonAdamW`.

    Example:
        >>> model.compile(optimizer=make_optimizer("muon", 6e-3, total_steps=500))
    """
    warmup_steps = int(warmup * total_steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else learning_rate,
        decay_steps=max(1, total_steps - warmup_steps),
        alpha=final_learning_rate,
        warmup_target=learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    return MuonAdamW(
        schedule,
        adam_share=ADAM_SHARE,
        matrices=name,
        weight_decay=weight_decay,
        global_clipnorm=clip_norm or None,
        micro_batches=micro_batches,
        scale_loss=scale_loss,
        token_features=token_features,
    )
