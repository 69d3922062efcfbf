"""Keras's Muon, with what training here needs besides."""

import math

import keras
from keras import ops

from keras_vngpt.training.devices import sum_over_replicas
from keras_vngpt.training.optimizer_math import global_norm, moment_updates, moved
from keras_vngpt.training.recipe.feature_sums import FeatureSums
from keras_vngpt.training.xla import fused


@keras.saving.register_keras_serializable(package="keras_vngpt")
class Muon(keras.optimizers.Muon):
    """Muon for hidden 2-D kernels, AdamW for embeddings, norms and biases.

    Other than in `keras.optimizers.Muon`, a step whose gradients are not finite changes nothing but
    the number of steps; gradients are summed over replicas before they are clipped, and accumulate
    on several replicas too; a schedule counts steps, not the parts of one; norms and biases do not
    decay. Tokens that share features learn from each other: their embeddings move as the sums of a
    vector for the token and one for each feature would; nothing is added to the model.

    Args:
        token_features: optional int array [pairs, 2] of a token and a feature of it, in order.
        **kwargs: as for `keras.optimizers.Muon`.

    Attributes:
        skipped: int variable, how many steps in a row were left out.

    Example:
        >>> model.compile(optimizer=Muon(6e-3, exclude_layers=["bias$", "lora"]))

    References:
        - [Liu et al., 2025](https://arxiv.org/abs/2502.16982), the scale for each matrix.
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
        _assign(sums, [s + g for s, g in zip(sums, grads, strict=True)])

    def _clip_gradients(self, grads):
        return grads  # the step clips, and lets weights decay

    def _apply_weight_decay(self, variables):
        pass

    def _backend_update_step(self, grads, variables, learning_rate):
        norm = global_norm(grads)
        taken = ops.cast(ops.isfinite(norm), "float32")  # where it is 0, all stays as it was
        clip = ops.minimum(1.0, (self.global_clipnorm or math.inf) / (norm + 1e-12))
        rate = taken * ops.cast(learning_rate, "float32")
        step = ops.cast(self.iterations + 1, "float32")
        correction = ops.sqrt(1 - self.adam_beta_2**step) / (1 - self.adam_beta_1**step)

        places = [self._get_variable_index(v) for v in variables]
        moments = [[self.momentums[i], self.adam_velocities[i]] for i in places]
        moments = [[m] if v is None else [m, v] for m, v in moments]
        shared = [i for i, v in enumerate(variables) if self._has_features(v)]
        grads = [*grads, *(self.features.of_tokens(grads[i]) for i in shared)]
        moments += [self.feature_moments for _ in shared]
        decays = self.momentum, self.adam_beta_1, self.adam_beta_2
        new, updates = fused(moment_updates)(moments, grads, clip, taken, decays, self.epsilon)
        for i in shared:
            updates[i] += self.features.to_tokens(updates.pop(), variables[i].shape[0])

        rates, kept = [], []
        for i, variable in enumerate(variables):
            is_muon = len(moments[i]) == 1
            if is_muon:
                update = self.zeropower_via_newtonschulz5(updates[i], self.ns_steps)
                updates[i] = self.lr_adjust(update)
            rates.append(rate if is_muon else rate * self.adam_lr_ratio * correction)
            decay = self.weight_decay if is_muon else self.adam_weight_decay
            kept.append(1 - rate * (decay or 0.0) * _decays(variable))
        _assign(variables, fused(moved)(variables, updates, rates, kept))
        _assign(sum(moments, []), sum(new, []))
        self.skipped.assign(ops.where(taken > 0, 0, self.skipped + 1))

    def get_config(self):
        features = self.features and self.features.pairs.tolist()
        return super().get_config() | {"token_features": features}


def _decays(variable):
    return len(variable.shape) > 1 and not variable.path.endswith("bias")


def _assign(variables, values):
    """Each replica its own copy, of equal values: within a condition Keras's own way fails."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
