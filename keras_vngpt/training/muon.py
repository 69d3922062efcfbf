"""Muon for the hidden matrices and AdamW for the rest, made for exactness and for speed."""

import math

import keras
from keras import ops

from keras_vngpt.training.feature_sums import FeatureSums
from keras_vngpt.training.fusion import fused

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the Newton-Schulz step
UPDATE_SIZE = 0.2  # root mean square of an orthogonal update: about that of AdamW's
GROWTH_STEPS = 2_000  # without overflow, before the scale of a float16 loss doubles


@keras.saving.register_keras_serializable(package="keras_vngpt")
class MuonAdamW(keras.optimizers.Optimizer):
    """Muon for 2-D kernels, AdamW for embeddings and norms, or AdamW for all.

    What `keras.optimizers.Muon` does, and besides:

    - Matrices of one shape are made orthogonal together, as one batched product.
    - All neurons move equally far in a step. Of a matrix that is not square an orthogonal update
      has vectors of unequal length along its longer side; they are given one length.
    - Tokens that share features, such as a syllable, learn from each other: the embeddings move as
      the sums of a vector for the token and one for each feature would, under AdamW. Nothing is
      added to the model.
    - A step whose gradients are not finite changes nothing but the step count, and is counted.
    - Gradients are summed over replicas before their norm is taken, and over micro-batches, so
      that many devices and many parts do what one device does with the whole batch.

    Args:
        learning_rate: float or schedule, of the matrices.
        adam_share: float, the learning rate of embeddings and norms as a share of it.
        matrices: "muon" or "adamw".
        momentum: float, of Muon, with Nesterov's look ahead.
        newton_schulz_steps: int.
        newton_schulz_dtype: "float32" or "bfloat16", of those steps.
        neuron_norm: bool, whether all neurons move equally far.
        beta_1: float, of AdamW.
        beta_2: float, of AdamW.
        epsilon: float, of AdamW.
        weight_decay: float, decoupled, at the learning rate of the matrices; norms and biases have
            none.
        global_clipnorm: float or `None`, the largest norm of all gradients together.
        gradient_accumulation_steps: int, calls whose gradients are averaged to one step.
        scale_loss: bool, whether the loss is scaled dynamically, as float16 wants it.
        token_features: optional int array [pairs, 2] of a row of the embeddings and a feature of
            it, in order.
        name: str.

    Attributes:
        skipped: int variable, steps in a row that were left out and that no scale explains.

    Example:
        >>> model.compile(optimizer=MuonAdamW(6e-3))

    References:
        - [Jordan et al., 2024](https://kellerjordan.github.io/posts/muon/), Muon.
        - [Liu et al., 2025](https://arxiv.org/abs/2502.16982), its scale for each matrix.
        - [Li et al., 2025](https://arxiv.org/abs/2510.05491), equal neurons; here without a memory
          of earlier steps, as in [Muon+](https://arxiv.org/abs/2602.21545).
        - [Loshchilov and Hutter, 2019](https://arxiv.org/abs/1711.05101), AdamW.
        - [Bojanowski et al., 2017](https://arxiv.org/abs/1607.04606), sums of features.
    """

    def __init__(
        self,
        learning_rate=6e-3,
        adam_share=0.5,
        matrices="muon",
        momentum=0.85,
        newton_schulz_steps=5,
        newton_schulz_dtype="float32",
        neuron_norm=True,
        beta_1=0.8,
        beta_2=0.99,
        epsilon=1e-7,
        weight_decay=0.01,
        global_clipnorm=None,
        gradient_accumulation_steps=1,
        scale_loss=False,
        token_features=None,
        name="muon_adamw",
    ):
        super().__init__(learning_rate=learning_rate, name=name)
        self.adam_share = adam_share
        self.matrices = matrices
        self.momentum = momentum
        self.newton_schulz_steps = newton_schulz_steps
        self.newton_schulz_dtype = newton_schulz_dtype
        self.neuron_norm = neuron_norm
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.decay = weight_decay
        self.clip = global_clipnorm
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.scales_loss = scale_loss
        has_features = token_features is not None and len(token_features)
        self.features = FeatureSums(token_features) if has_features else None

    def build(self, var_list):
        if self.built:
            return
        super().build(var_list)

        def like(variables, name):
            return [self.add_variable_from_reference(v, name=name) for v in variables]

        self._is_matrix = [
            self.matrices == "muon" and _is_kernel(v) and "embedding" not in v.path
            for v in var_list
        ]
        self._first = like(var_list, "momentum")
        adam = [v for v, is_matrix in zip(var_list, self._is_matrix, strict=True) if not is_matrix]
        self._second = dict(zip([v.path for v in adam], like(adam, "velocity"), strict=True))
        self._sums = like(var_list, "sum") if self.gradient_accumulation_steps > 1 else []
        self._of_features = [
            self.add_variable((self.features.count, v.shape[1]), dtype=v.dtype, name=name)
            for v in var_list
            for name in ("feature_momentum", "feature_velocity")
            if self._has_features(v)
        ]

        def number(name, dtype, initial):
            return self.add_variable(
                (), initializer=keras.initializers.Constant(initial), dtype=dtype, name=name
            )

        self.micro_step = number("micro_step", "int32", 0)
        self.skipped = number("skipped", "int32", 0)
        self.loss_scale = number("loss_scale", "float32", 2.0**15 if self.scales_loss else 1.0)
        self.good_steps = number("good_steps", "int32", 0)

    def _has_features(self, variable):
        return self.features is not None and variable.path.endswith("token_embedding/embeddings")

    def scale_loss(self, loss):
        return loss * ops.cast(self.loss_scale, loss.dtype) if self.scales_loss else loss

    def apply(self, grads, trainable_variables=None):
        """Take a step, or the part of one that a micro-batch is."""
        variables = list(trainable_variables or self._trainable_variables)
        if not self.built:
            self.build(variables)
        grads = _summed_over_replicas(
            [
                ops.zeros(v.shape, v.dtype) if g is None else ops.convert_to_tensor(g)
                for g, v in zip(grads, variables, strict=True)
            ]
        )
        sums = [self._sums[self._get_variable_index(v)] for v in variables if self._sums]
        if sums:
            grads = [s + ops.cast(g, s.dtype) for s, g in zip(sums, grads, strict=True)]
        state = self._state(variables)

        def keep():
            """Between two steps: only the sums go on."""
            return [ops.convert_to_tensor(v) for v in state], grads if sums else []

        def step():
            norm = _norm(grads)
            new = ops.cond(
                ops.isfinite(norm),
                lambda: self._stepped(grads, variables, norm),
                self._left_out_of(state),
            )
            return new, [ops.zeros_like(g) for g in grads] if sums else []

        if sums:
            micro_step = (self.micro_step + 1) % self.gradient_accumulation_steps
            is_step = ops.equal(micro_step, 0)
            values, new_sums = ops.cond(is_step, step, keep)
            _write([self.micro_step, self._iterations, *state, *sums],
                   [micro_step, self._iterations + ops.cast(is_step, self._iterations.dtype),
                    *values, *new_sums])  # fmt: skip
        else:
            values, _ = step()
            _write([self._iterations, *state], [self._iterations + 1, *values])

    def _state(self, variables):
        """Everything that a step may change, the counter of steps apart."""
        index = [self._get_variable_index(v) for v in variables]
        return [
            *variables,
            *(self._first[i] for i in index),
            *(self._second[v.path] for v in variables if v.path in self._second),
            *self._of_features,
            self.skipped,
            self.loss_scale,
            self.good_steps,
        ]

    def _left_out_of(self, state):
        def left_out():
            *values, skipped, scale, _ = (ops.convert_to_tensor(v) for v in state)
            is_scaled = scale > 1.0
            return [
                *values,
                ops.where(is_scaled, 0, skipped + 1),
                ops.where(is_scaled, scale / 2, scale),
                ops.zeros_like(skipped),
            ]

        return left_out

    def _stepped(self, grads, variables, norm):
        """The state after a step, in the order of `_state`."""
        scale = ops.convert_to_tensor(self.loss_scale)
        factor = 1.0 / (scale * self.gradient_accumulation_steps)
        if self.clip:
            factor = factor * ops.minimum(1.0, self.clip / (norm * factor + 1e-12))

        muon, adam, features = {}, {}, {}  # moments and gradient, by the place of the variable
        for i, (grad, v) in enumerate(zip(grads, variables, strict=True)):
            index = self._get_variable_index(v)
            if self._is_matrix[index]:
                muon[i] = self._first[index], grad
            else:
                adam[i] = self._first[index], self._second[v.path], grad
            if self._has_features(v):
                features[i] = *self._of_features, self.features.of_tokens(grad)

        first, second, updates, of_features = {}, {}, {}, []
        for i, new in _mapped(fused(_momentum_updates), muon, factor, self.momentum).items():
            first[i], updates[i] = new
        updates = self._all_orthogonal(updates)
        of_adam = factor, (self.beta_1, self.beta_2), self.epsilon
        for i, new in _mapped(fused(_adam_updates), adam, *of_adam).items():
            first[i], second[i], updates[i] = new
        for i, new in _mapped(fused(_adam_updates), features, *of_adam).items():
            *of_features, update = new
            updates[i] = updates[i] + self.features.to_tokens(update, variables[i].shape[0])

        rate = ops.cast(self.learning_rate, "float32")
        step = ops.cast(self._iterations + 1, "float32")
        correction = ops.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        share = self.adam_share if self.matrices == "muon" else 1.0
        rates = rate, rate * share * correction
        kept = ops.ones(()), 1 - rate * self.decay  # of a norm or a bias, and of a kernel
        moves = {
            i: (v, updates[i], kept[_is_kernel(v)], rates[i in adam])
            for i, v in enumerate(variables)
        }
        weights = _mapped(fused(_moved), moves)

        good_steps = self.good_steps + 1
        grows = good_steps >= GROWTH_STEPS if self.scales_loss else False
        return [
            *weights.values(),
            *(first[i] for i in range(len(variables))),
            *(second[i] for i in sorted(second)),
            *of_features,
            ops.zeros_like(ops.convert_to_tensor(self.skipped)),
            ops.where(grows, scale * 2, scale),
            ops.where(grows, 0, good_steps),
        ]

    def _all_orthogonal(self, updates):
        """Updates of matrices made orthogonal, those of one shape together."""
        of_shape, found = {}, {}
        for i, x in updates.items():
            of_shape.setdefault(tuple(x.shape), []).append(i)
        for shape, same in of_shape.items():
            size = UPDATE_SIZE * math.sqrt(max(shape))
            whole = self._orthogonal(ops.stack([updates[i] for i in same])) * size
            whole = _balanced(whole) if self.neuron_norm else whole
            found |= zip(same, ops.unstack(whole, len(same)), strict=True)
        return found

    def _orthogonal(self, x):
        """The nearest orthogonal matrices to [matrices, rows, columns], nearly (Newton-Schulz)."""
        is_tall = x.shape[1] > x.shape[2]
        dtype = x.dtype
        if is_tall:
            x = ops.transpose(x, (0, 2, 1))
        norm = ops.sqrt(ops.sum(ops.square(x), axis=(1, 2), keepdims=True))
        x = ops.cast(x / (norm + 1e-7), self.newton_schulz_dtype)
        a, b, c = COEFFICIENTS
        for _ in range(self.newton_schulz_steps):
            square = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
            x = a * x + ops.matmul(b * square + c * ops.matmul(square, square), x)
        x = ops.cast(x, dtype)
        return ops.transpose(x, (0, 2, 1)) if is_tall else x

    def get_config(self):
        config = super().get_config()
        return {
            "name": config["name"],
            "learning_rate": config["learning_rate"],
            "adam_share": self.adam_share,
            "matrices": self.matrices,
            "momentum": self.momentum,
            "newton_schulz_steps": self.newton_schulz_steps,
            "newton_schulz_dtype": self.newton_schulz_dtype,
            "neuron_norm": self.neuron_norm,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "weight_decay": self.decay,
            "global_clipnorm": self.clip,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
            "scale_loss": self.scales_loss,
            "token_features": self.features and self.features.pairs.tolist(),
        }


def _norm(grads):
    """Of all gradients together, as they come: scaled, and summed over micro-batches."""
    return ops.sqrt(sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in grads))


def _mapped(function, of_variables, *arguments):
    """A function of a list on the values of a dictionary."""
    values = list(of_variables.values())
    return dict(zip(of_variables, function(values, *arguments), strict=True)) if values else {}


def _adam_updates(variables, factor, betas, epsilon):
    """Moments and gradients, scaled by a factor, to moments and updates without their rate."""
    found = []
    for first, second, grad in variables:
        grad = grad * ops.cast(factor, grad.dtype)
        first = first * betas[0] + grad * (1 - betas[0])
        second = second * betas[1] + ops.square(grad) * (1 - betas[1])
        found.append((first, second, first / (ops.sqrt(second) + epsilon)))
    return found


def _momentum_updates(variables, factor, momentum):
    """The same with one moment, and Nesterov's look ahead."""
    found = []
    for first, grad in variables:
        grad = grad * ops.cast(factor, grad.dtype)
        first = first * momentum + grad
        found.append((first, grad + first * momentum))
    return found


def _balanced(x):
    """[matrices, rows, columns], the vectors along the longer side made equal in each matrix."""
    shorter = 1 + (x.shape[1] > x.shape[2])
    of_vector = ops.mean(ops.square(x), axis=shorter, keepdims=True)
    of_matrix = ops.mean(of_vector, axis=(1, 2), keepdims=True)
    return x * ops.sqrt(of_matrix / (of_vector + 1e-8))


def _moved(variables):
    """Weights after their updates: of each a share is kept, the update at its rate taken off."""
    return [
        v * ops.cast(kept, v.dtype) - ops.cast(update, v.dtype) * ops.cast(rate, v.dtype)
        for v, update, kept, rate in variables
    ]


def _is_kernel(variable):
    """Not a norm, nor a bias, which some layers keep in two dimensions."""
    return len(variable.shape) == 2 and not variable.path.endswith("bias")


def _replicas():
    """TensorFlow's context of a replica among several, or nothing."""
    if keras.config.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context and context.num_replicas_in_sync > 1 else None


def _summed_over_replicas(grads):
    replicas = _replicas()
    return replicas.all_reduce("SUM", grads) if replicas else grads


def _write(variables, values):
    """Assign to variables, on every replica."""
    replicas = _replicas()
    if not replicas:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return

    def on_all(strategy, *values):
        for variable, value in zip(variables, values, strict=True):
            variable = getattr(variable, "value", variable)
            strategy.extended.update(variable, lambda v, x: v.assign(x), (value,), group=False)

    replicas.merge_call(on_all, tuple(map(ops.convert_to_tensor, values)))
