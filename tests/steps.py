"""Trains a small model for some steps and prints the losses and a digest of the weights, as JSON.

    python tests/steps.py --gradient_accumulation_steps 4
    python tests/steps.py --replicas 2 --loss_scale
    KERAS_BACKEND=jax python tests/steps.py

What the tests of equivalence compare; each line runs in a process of its own, because devices and
backend are chosen before anything else.
"""

import argparse
import json

BATCH, LENGTH, VOCABULARY = 8, 24, 64
FAULTS = 5, 6, 11  # steps of which the last row has gradients that are not finite


def triples(steps):
    """Batches with unequal weights, some rows without any, two segments to a row."""
    import numpy as np

    rng = np.random.default_rng(0)
    for _ in range(steps):
        # Half of the tokens follow from the one before: there is something to learn.
        ids = rng.integers(5, VOCABULARY, (BATCH, LENGTH))
        ids[:, 1::2] = (ids[:, 0::2] * 7) % (VOCABULARY - 5) + 5
        segments = np.ones((BATCH, LENGTH), "int32")
        segments[:, LENGTH // 2 :] = 2
        weight = rng.random((BATCH, LENGTH)) * rng.choice([0.0, 0.1, 3.0], (BATCH, 1))
        weight[0] = 1.0
        target = np.roll(ids, -1, axis=1)
        yield {"token_ids": ids.astype("int32"), "padding_mask": segments}, target, weight


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--gradient_accumulation_steps", type=int, default=1)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--loss_scale", action="store_true")
    parser.add_argument("--gradient_checkpointing", action="store_true")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--optimizer", default="muon")
    given = parser.parse_args()

    import keras
    import numpy as np
    import tensorflow as tf

    from keras_vngpt.data.pipeline import normalized, with_soft_share
    from keras_vngpt.models.backbone import VnGPTBackbone
    from keras_vngpt.models.causal_lm import VnGPTCausalLM
    from keras_vngpt.tasks.task import TaskSettings
    from keras_vngpt.training.devices import replicas
    from keras_vngpt.training.optimizers import LossScale, make_optimizer
    from keras_vngpt.training.recipe.ngrams import NGrams
    from keras_vngpt.training.trainer import Trainer

    def fixed(index, shape):
        """The same weights on every backend."""
        return np.random.default_rng(index).normal(scale=0.1, size=shape)

    x, y, w = (
        tf.nest.map_structure(lambda *a: np.concatenate(a), *parts)
        for parts in zip(*triples(given.steps), strict=True)
    )
    logical = [tf.config.LogicalDeviceConfiguration()] * given.replicas
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)
    with replicas(given.replicas):
        backbone = VnGPTBackbone(
            VOCABULARY, num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=24,
            gradient_checkpointing=given.gradient_checkpointing, dropout=given.dropout,
        )  # fmt: skip
        ngrams = NGrams(x["token_ids"], x["padding_mask"], VOCABULARY)
        trainer = Trainer(VnGPTCausalLM(backbone), ngrams=ngrams)
        for i, weight in enumerate(backbone.weights):
            if len(weight.shape) == 2:
                weight.assign(fixed(i, weight.shape))
        parts = given.gradient_accumulation_steps
        settings = TaskSettings(
            optimizer=given.optimizer, learning_rate=1e-2, gradient_accumulation_steps=parts
        )
        features = [[token, token % 7] for token in range(5, VOCABULARY)]
        optimizer = make_optimizer(settings, given.steps, features)
        optimizer = LossScale(optimizer) if given.loss_scale else optimizer
        trainer.compile(optimizer=optimizer, jit_compile=keras.config.backend() != "tensorflow")
    for i, variable in enumerate(v for v in trainer.variables if "seed" in v.path):
        variable.assign([0, i])

    def with_fault(step, triple):
        x, y, w = triple
        is_last = tf.range(BATCH) == BATCH - 1
        is_fault = tf.reduce_any(step == FAULTS) & is_last  # in the gradients alone, not the loss
        return x | {"soft_share": tf.where(is_fault, np.nan, x["soft_share"])}, y, w

    batches = tf.data.Dataset.from_tensor_slices((x, y.astype("int32"), w.astype("float32")))
    batches = batches.batch(BATCH, drop_remainder=True)
    batches = with_soft_share(batches, 0.9, 0.1, 0, given.steps)
    batches = batches.enumerate().map(with_fault)
    batches = normalized(batches, parts)

    class Losses(keras.callbacks.Callback):
        values = []

        def on_train_batch_end(self, batch, logs=None):
            self.values.append(float(logs["loss"]) * (batch + 1))  # Keras shows the mean

    trainer.fit(batches, epochs=1, verbose=0, shuffle=False, callbacks=[Losses()])
    losses = np.diff(Losses.values, prepend=0.0).reshape(given.steps, -1).mean(axis=1)
    weights = [np.asarray(keras.ops.convert_to_numpy(w)).ravel() for w in backbone.weights]
    print(json.dumps({"losses": losses.tolist(), "weights": np.concatenate(weights)[::7].tolist()}))


if __name__ == "__main__":
    main()
