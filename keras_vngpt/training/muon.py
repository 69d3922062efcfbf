"""Keras's Muon, with what training here needs besides."""

import keras
from keras import ops

from keras_vngpt.training.devices import sum_over_replicas
from keras_vngpt.training.fusion import fused
from keras_vngpt.training.recipe.feature_sums import FeatureSums


@keras.saving.register_keras_serializable(package="keras_vngpt")
class Muon(keras.optimizers.Muon):
    """Muon for hidden 2-D kernels, AdamW for embeddings, norms and biases.

    It does what `keras.optimizers.Muon` does, but for this:

    - A step whose gradients are not finite changes nothing but the number of steps.
    - Gradients are summed over replicas before their norm is taken. Keras clips those of each
      replica by themselves, and cannot accumulate on several.
    - A learning rate schedule counts steps, not the parts that gradients are accumulated over.
    - Norms and biases do not decay.
    - Tokens that share features learn from each other: the embeddings move as the sums of a vector
      for the token and one for each of its features would. Nothing is added to the model.
    - Element-wise work goes through memory once.

    Args:
        token_features: optional int array [pairs, 2] of a token and a feature of it, in order.
        **kwargs: as for `keras.optimizers.Muon`.

    Attributes:
        skipped: int variable, how many steps in a row were left out.

    Example:
        >>> model.compile(optimizer=Muon(6e-3, exclude_layers=["bias$", "lora"]))

    References:
        - [Jordan et al., 2024](https://kellerjordan.github.io/posts/muon/), Muon.
        - [Liu et al., 2025](https://arxiv.org/abs/2502.16982), its scale for each matrix.
        - [Bojanowski et al., 2017](https://arxiv.org/abs/1607.04606), sums of features.
    """

    def __init__(self, learning_rate=6e-3, token_features=None, **kwargs):
        super().__init__(learning_rate, **kwargs)
        has_features = token_features is not None and len(token_features) > 0
        self.features = FeatureSums(token_features) if has_features else None

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.skipped = self.add_variable((), dtype="int32", name="skipped")
        self.feature_moments = [
            self.add_variable((self.features.count, v.shape[1]), dtype=v.dtype, name=name)
            for v in filter(self._has_features, variables)
            for name in ("feature_momentum", "feature_velocity")
        ]

    def _has_features(self, variable):
        return self.features and variable.path.endswith("token_embedding/embeddings")

    def _get_current_learning_rate(self):
        rate = self._learning_rate
        is_schedule = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
        return rate(self.iterations) if is_schedule else super()._get_current_learning_rate()

    def _backend_apply_gradients(self, grads, variables):
        super()._backend_apply_gradients(sum_over_replicas(grads), variables)

    def _backend_increment_gradient_accumulators(self, grads, sums):
        for grad, so_far in zip(grads, sums, strict=True):
            so_far.assign(so_far + grad)

    def _clip_gradients(self, grads):
        return grads  # they are clipped and weights decay within the step

    def _apply_weight_decay(self, variables):
        pass

    def _backend_update_step(self, grads, variables, learning_rate):
        norm = _norm(grads)
        is_finite = ops.isfinite(norm)
        taken = ops.cast(is_finite, "float32")
        clip = ops.minimum(1.0, (self.global_clipnorm or float("inf")) / (norm + 1e-12))
        rate = taken * ops.cast(learning_rate, "float32")
        step = ops.cast(self.iterations + 1, "float32")
        correction = ops.sqrt(1 - self.adam_beta_2**step) / (1 - self.adam_beta_1**step)

        sums = [self.features.of_tokens(g) for g, v in zip(grads, variables) if self._has_features(v)]
        moments = [self._moments(v) for v in variables] + [self.feature_moments] * len(sums)
        decays = self.momentum, self.adam_beta_1, self.adam_beta_2
        found = fused(_updates)(moments, [*grads, *sums], clip, taken, decays, self.epsilon)
        for variable, value in zip(sum(moments, []), sum((new for _, new in found), [])):
            variable.assign(value)

        updates, sizes, kept = [], [], []
        for variable, (update, new) in zip(variables, found):
            is_muon = len(new) == 1
            if is_muon:
                update = self.lr_adjust(self.zeropower_via_newtonschulz5(update, self.ns_steps))
            if self._has_features(variable):
                update = update + self.features.to_tokens(found[-1][0], variable.shape[0])
            decay = self.weight_decay if is_muon else self.adam_weight_decay
            updates.append(update)
            sizes.append(rate if is_muon else rate * self.adam_lr_ratio * correction)
            kept.append(1 - rate * decay * _decays(variable))
        for variable, value in zip(variables, fused(_moved)(variables, updates, sizes, kept)):
            variable.assign(value)
        self.skipped.assign(ops.where(is_finite, 0, self.skipped + 1))

    def _moments(self, variable):
        i = self._get_variable_index(variable)
        return [m for m in (self.momentums[i], self.adam_velocities[i]) if m is not None]

    def get_config(self):
        features = self.features and self.features.pairs.tolist()
        return super().get_config() | {"token_features": features}


def _decays(variable):
    return len(variable.shape) == 2 and not variable.path.endswith("bias")


def _norm(grads):
    return ops.sqrt(sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in grads))


def _updates(moments, grads, clip, taken, decays, epsilon):
    momentum, beta_1, beta_2 = decays
    found = []
    for old, g in zip(moments, grads, strict=True):
        g = ops.where(taken > 0, g * ops.cast(clip, g.dtype), ops.zeros_like(g))
        if len(old) == 1:
            m = old[0] * ops.cast(1 - taken * (1 - momentum), g.dtype) + g
            found.append((g + m * momentum, [m]))
        else:
            m, v = old
            m = m + (g - m) * ops.cast(taken * (1 - beta_1), g.dtype)
            v = v + (ops.square(g) - v) * ops.cast(taken * (1 - beta_2), g.dtype)
            found.append((m / (ops.sqrt(v) + epsilon), [m, v]))
    return found


def _moved(variables, updates, sizes, kept):
    return [
        v * ops.cast(k, v.dtype) - u * ops.cast(s, v.dtype)
        for v, u, s, k in zip(variables, updates, sizes, kept, strict=True)
    ]
