"""The arithmetic of Muon and AdamW: moments, updates, moves."""

from keras import ops


def global_norm(grads):
    """The norm of all gradients together, float32."""
    return ops.sqrt(sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in grads))


def moment_updates(moments, grads, clip, taken, decays, epsilon):
    """New moments, and updates that no learning rate has scaled yet.

    Args:
        moments: list of `[momentum]`, for Muon, or `[momentum, velocity]`, for AdamW.
        grads: list of tensors.
        clip: float scalar, a factor of the gradients.
        taken: float scalar, 0 where the step is left out: the moments stay as they are.
        decays: tuple of floats, Muon's momentum and AdamW's beta 1 and beta 2.
        epsilon: float, of AdamW.

    Returns:
        `(moments, updates)`, lists like `moments` and `grads`; Muon's updates are not orthogonal
        yet.

    References:
        - [Jordan et al., 2024](https://kellerjordan.github.io/posts/muon/), with Nesterov momentum.
        - [Loshchilov and Hutter, 2019](https://arxiv.org/abs/1711.05101), AdamW.
    """
    momentum, beta_1, beta_2 = decays
    new, updates = [], []
    for old, g in zip(moments, grads, strict=True):
        g = ops.where(taken > 0, g * ops.cast(clip, g.dtype), 0)
        if len(old) == 1:
            m = old[0] * ops.cast(1 - taken * (1 - momentum), g.dtype) + g
            new.append([m])
            updates.append(g + m * momentum)
        else:
            m = old[0] + (g - old[0]) * ops.cast(taken * (1 - beta_1), g.dtype)
            v = old[1] + (ops.square(g) - old[1]) * ops.cast(taken * (1 - beta_2), g.dtype)
            new.append([m, v])
            updates.append(m / (ops.sqrt(v) + epsilon))
    return new, updates


def moved(variables, updates, rates, kept):
    """Variables after their updates: of each a share is kept, the update at its rate taken off."""
    return [
        v * ops.cast(k, v.dtype) - u * ops.cast(rate, v.dtype)
        for v, u, rate, k in zip(variables, updates, rates, kept, strict=True)
    ]
