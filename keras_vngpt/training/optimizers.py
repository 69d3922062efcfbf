"""The optimizer of a stage, and how its learning rate goes."""

import keras

ADAM_SHARE = 0.5  # of Muon's learning rate, for embeddings and norms


def make_optimizer(
    name,
    learning_rate,
    total_steps,
    warmup=0.05,
    final_learning_rate=0.0,
    weight_decay=0.01,
    clip_norm=1.0,
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

    Returns:
        A `keras.optimizers.Optimizer`.

    Example:
        >>> model.compile(optimizer=make_optimizer("muon", 6e-3, total_steps=500))

    References:
        - [Jordan et al., 2024](https://kellerjordan.github.io/posts/muon/), Muon.
        - [Liu et al., 2025](https://arxiv.org/abs/2502.16982), its scale for each matrix.
    """
    warmup_steps = int(warmup * total_steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else learning_rate,
        decay_steps=max(1, total_steps - warmup_steps),
        alpha=final_learning_rate,
        warmup_target=learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    common = dict(
        learning_rate=schedule,
        weight_decay=weight_decay,
        global_clipnorm=clip_norm or None,
    )
    if name == "muon":
        optimizer = keras.optimizers.Muon(
            adam_lr_ratio=ADAM_SHARE,
            adam_beta_2=0.95,
            adam_weight_decay=weight_decay,
            **common,
        )
    else:
        optimizer = keras.optimizers.AdamW(beta_2=0.95, **common)
    optimizer.exclude_from_weight_decay(var_names=["norm", "scale", "bias"])
    return optimizer
