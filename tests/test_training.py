"""The engine: however a step is computed, in parts, on several devices, it is one step."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ROOT
from keras import ops

from keras_vngpt.models import cross_entropy
from keras_vngpt.models.backbone import VnGPTBackbone
from keras_vngpt.models.cross_entropy import as_it_is, chunked_cross_entropy, chunked_scores
from keras_vngpt.tasks.task import TaskSettings
from keras_vngpt.training.muon import Muon
from keras_vngpt.training.optimizers import (
    LinearDecay,
    LossScale,
    make_optimizer,
    skipped_in_a_row,
)
from keras_vngpt.training.xla import fused

RNG = np.random.default_rng(0)


def steps(*arguments, backend="tensorflow"):
    """Twenty steps in a process of their own: losses, and some of the weights."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests/steps.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": backend},
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert len(figures["losses"]) == 20
    return figures


def assert_equal(a, b, rtol=1e-5):
    np.testing.assert_allclose(a["losses"], b["losses"], rtol=rtol)
    np.testing.assert_allclose(a["weights"], b["weights"], atol=2e-4)


@pytest.fixture(scope="module")
def plain():
    return steps()


def test_twenty_steps_learn_although_three_of_them_are_left_out(plain):
    assert np.mean(plain["losses"][-5:]) < np.mean(plain["losses"][:5])
    assert np.isfinite(plain["weights"]).all()


@pytest.mark.parametrize(
    "backend, arguments",
    [
        ("tensorflow", ["--gradient_accumulation_steps", 8]),
        pytest.param(
            "tensorflow",
            ["--gradient_accumulation_steps", 4, "--replicas", 2, "--loss_scale"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "jax", ["--gradient_accumulation_steps", 4, "--loss_scale"], marks=pytest.mark.slow
        ),
    ],
)
def test_a_batch_in_parts_or_on_two_devices_or_on_jax_is_the_same_batch(plain, backend, arguments):
    assert_equal(steps(*arguments, backend=backend), plain)


@pytest.mark.slow
def test_activations_that_are_made_again_are_the_same_with_dropout_too():
    assert_equal(steps("--dropout", 0.3, "--gradient_checkpointing"), steps("--dropout", 0.3))


def head(dtype, positions=50, hidden_dim=8, vocabulary_size=30):
    hidden = ops.cast(RNG.normal(size=(positions, hidden_dim)), dtype)
    embeddings = ops.cast(RNG.normal(size=(vocabulary_size, hidden_dim)), dtype)
    target = RNG.integers(0, vocabulary_size, positions)
    weight = RNG.random(positions).astype("float32")
    weight[RNG.random(positions) < 0.5] = 0  # as the positions of requests
    return hidden, embeddings, target, weight


def gradients(loss, *arguments):
    tf = pytest.importorskip("tensorflow")
    arguments = [tf.convert_to_tensor(a) for a in arguments]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = loss(*arguments)
    found = tape.gradient(value, arguments)
    return float(value), [ops.convert_to_numpy(ops.cast(g, "float32")) for g in found]


def in_chunks_of(positions, monkeypatch):
    """So many positions have their logits at once; `None` for as many as ever."""
    if positions:
        monkeypatch.setattr(cross_entropy, "positions_at_once", lambda size: positions)


@pytest.mark.parametrize("fuse", [as_it_is, fused])
@pytest.mark.parametrize("at_once", [1, 7, None])
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("bfloat16", 5e-2)])
def test_the_loss_in_chunks_is_the_plain_loss(dtype, tolerance, at_once, fuse, monkeypatch):
    in_chunks_of(at_once, monkeypatch)
    hidden, embeddings, target, weight = head(dtype)

    def plain(hidden, embeddings):
        logits = ops.cast(ops.matmul(hidden, ops.transpose(embeddings)), "float32")
        nats = ops.sparse_categorical_crossentropy(target, logits, from_logits=True)
        return ops.sum(nats * weight)

    value, found = gradients(
        lambda h, e: chunked_cross_entropy(h, e, target, weight, fuse=fuse),
        hidden,
        embeddings,
    )
    expected, wanted = gradients(plain, hidden, embeddings)
    assert value == pytest.approx(expected, rel=tolerance)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("fuse", [as_it_is, fused])
@pytest.mark.parametrize("at_once", [7, None])
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("bfloat16", 5e-2)])
def test_soft_targets_change_the_gradient_to_theirs_and_not_the_loss(
    dtype, tolerance, at_once, fuse, monkeypatch
):
    in_chunks_of(at_once, monkeypatch)
    hidden, embeddings, target, weight = head(dtype)
    rng = np.random.default_rng(5)
    ids = rng.integers(0, embeddings.shape[0], (len(target), 6))
    ids[:, 1] = ids[:, 0]  # twice the same
    ids[:, 2] = target
    shares = (rng.random(ids.shape) / 6).astype("float32")
    distribution = np.zeros((len(target), embeddings.shape[0]), "float32")
    np.add.at(distribution, (np.arange(len(target))[:, None], ids), shares)
    distribution[np.arange(len(target)), target] += 1 - shares.sum(axis=1)

    def plain(hidden, embeddings):
        logits = ops.cast(ops.matmul(hidden, ops.transpose(embeddings)), "float32")
        nats = ops.categorical_crossentropy(distribution, logits, from_logits=True)
        return ops.sum(nats * weight)

    def loss(soft):
        return gradients(
            lambda h, e: chunked_cross_entropy(h, e, target, weight, soft, fuse=fuse),
            hidden,
            embeddings,
        )

    value, found = loss((ids, shares))
    _, wanted = gradients(plain, hidden, embeddings)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance)
    assert value == pytest.approx(loss(None)[0], rel=1e-6)


@pytest.mark.parametrize("fuse", [as_it_is, fused])
def test_a_certain_target_has_a_small_gradient_in_bfloat16_too(fuse):
    hidden, embeddings, target, weight = head("bfloat16", positions=4)
    hidden = ops.take(embeddings, target, axis=0) * 6  # its own embedding is by far the likeliest
    _, (to_hidden, _) = gradients(
        lambda h, e: chunked_cross_entropy(h, e, target, weight, fuse=fuse), hidden, embeddings
    )
    nats, is_likeliest = chunked_scores(hidden, embeddings, target)
    for row, n, likeliest in zip(to_hidden, np.array(nats), np.array(is_likeliest), strict=True):
        if likeliest and n < 1e-3:
            assert np.abs(row).max() < 1e-2


def test_scores_in_chunks_are_those_of_all_logits(monkeypatch):
    in_chunks_of(3, monkeypatch)
    hidden, embeddings, target, _ = head("float32")
    logits = np.array(hidden) @ np.array(embeddings).T
    nats, is_likeliest = chunked_scores(hidden, embeddings, target)
    expected = np.log(np.exp(logits).sum(-1)) - logits[np.arange(50), target]
    np.testing.assert_allclose(np.array(nats), expected, rtol=1e-5)
    np.testing.assert_array_equal(np.array(is_likeliest), logits.argmax(-1) == target)


@pytest.mark.parametrize("fuse", [as_it_is, fused])
def test_gradients_in_float16_do_not_vanish_before_they_are_scaled(fuse):
    hidden, embeddings, target, weight = head("float32", 5_000)
    weight = weight / weight.sum()

    def scaled(dtype, scale):
        def loss(h, e):
            return scale * chunked_cross_entropy(h, e, target, weight, fuse=fuse)

        _, found = gradients(loss, *(ops.cast(x, dtype) for x in (hidden, embeddings)))
        return [g / scale for g in found]

    for scale in (2.0**15, 2.0**17):
        for a, b in zip(scaled("float16", scale), scaled("float32", scale), strict=True):
            assert np.linalg.norm(a - b) < 0.01 * np.linalg.norm(b)


def settings(**given):
    return TaskSettings(**{"learning_rate": 0.1, "warmup": 0.0, **given})


def trained(optimizer, n_steps=5):
    rng = np.random.default_rng(1)
    shapes = {
        "a": (8, 8),
        "b": (8, 20),
        "c": (20, 8),
        "d": (8, 8),
        "norm": (5,),
        "embedding": (9, 4),
    }
    variables = [
        keras.Variable(rng.normal(size=shape).astype("float32"), name=name)
        for name, shape in shapes.items()
    ]
    optimizer.build(variables)
    for _ in range(n_steps):
        grads = [ops.convert_to_tensor(rng.normal(size=v.shape), "float32") for v in variables]
        optimizer.apply(grads, variables)
    return [v.numpy() for v in variables]


BETAS = {"adam_beta_1": 0.75, "adam_beta_2": 0.97}
PLAIN = {"global_clipnorm": 1.0, "weight_decay": 0.0, "adam_weight_decay": 0.0}


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (
            Muon(1e-2, momentum=0.7, adam_lr_ratio=0.5, **BETAS, **PLAIN),
            keras.optimizers.Muon(1e-2, momentum=0.7, adam_lr_ratio=0.5, **BETAS, **PLAIN),
        ),
        (
            Muon(1e-2, exclude_layers=[""], **BETAS, **PLAIN),
            keras.optimizers.AdamW(
                1e-2, beta_1=0.75, beta_2=0.97, global_clipnorm=1.0, weight_decay=0.0
            ),
        ),
    ],
)
def test_the_optimizer_is_that_of_keras(ours, theirs):
    for a, b in zip(trained(ours), trained(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_matrices_decay_and_nothing_else_does():
    def of(weight_decay):
        decay = {"weight_decay": weight_decay, "adam_weight_decay": weight_decay}
        return trained(Muon(1e-2, **decay), n_steps=1)

    for start, a, b in zip(trained(Muon(), n_steps=0), of(0.0), of(0.1), strict=True):
        decayed = start * 1e-2 * 0.1 if start.ndim == 2 else np.zeros_like(start)
        np.testing.assert_allclose(a - b, decayed, atol=1e-6)


def test_muon_takes_hidden_kernels_alone():
    """Not the embeddings, nor a bias in two dimensions, nor the matrices of an adapter."""
    layer = keras.layers.Dense(4, name="hidden")
    layer.build((None, 6))
    layer.enable_lora(2)
    embedding = keras.layers.Embedding(5, 4)
    embedding.build()
    bias = keras.Variable(np.zeros((3, 4)), name="bias")
    variables = [layer._kernel, layer.lora_kernel_a, layer.lora_kernel_b, layer.bias, bias]
    variables += embedding.weights

    def of_muon(name):
        optimizer = make_optimizer(settings(optimizer=name), total_steps=10)
        optimizer.build(variables)
        return [v is None for v in optimizer.adam_velocities]

    assert of_muon("muon") == [True] + [False] * 5
    assert of_muon("adamw") == [False] * 6


def test_embeddings_move_as_sums_of_a_vector_for_the_token_and_for_each_feature():
    rng = np.random.default_rng(2)
    pairs = np.array([(0, 0), (1, 0), (1, 1), (1, 2), (3, 1), (3, 2)])
    sums = np.zeros((5, 3), "float32")  # the weight of each feature in each token
    for token, feature in pairs:
        sums[token, feature] = (pairs[:, 0] == token).sum() ** -0.5

    def variable(value):
        return keras.Variable(value.astype("float32"), name="variable")

    backbone = VnGPTBackbone(5, num_layers=1, num_heads=1, hidden_dim=4, intermediate_dim=4)
    embeddings = backbone.token_embedding.embeddings
    of_token, of_feature = variable(embeddings.numpy()), variable(np.zeros((3, 4)))
    ours = Muon(1e-2, token_features=pairs, adam_lr_ratio=0.5, adam_weight_decay=0.0, **BETAS)
    ours.build([embeddings])
    theirs = keras.optimizers.Adam(5e-3, beta_1=0.75, beta_2=0.97)
    theirs.build([of_token, of_feature])
    for _ in range(5):
        grad = rng.normal(size=(5, 4)).astype("float32")
        ours.apply([grad], [embeddings])
        theirs.apply([grad, sums.T @ grad], [of_token, of_feature])
    expected = of_token.numpy() + sums @ of_feature.numpy()
    np.testing.assert_allclose(embeddings.numpy(), expected, atol=1e-6)
    copy = Muon.from_config(ours.get_config())
    np.testing.assert_array_equal(copy.features.pairs, pairs)


def test_the_learning_rate_rises_and_falls_in_lines():
    rate = LinearDecay(2.0, total_steps=110, warmup_steps=10, final=0.1)
    steps = [0, 4, 9, 10, 60, 109, 110]
    found = [float(rate(step)) for step in steps]
    np.testing.assert_allclose(found, [0.2, 1.0, 2.0, 2.0, 1.1, 0.218, 0.2], rtol=1e-5)
    assert float(LinearDecay(2.0, total_steps=10)(9)) == pytest.approx(0.2)  # no step without one
    optimizer = make_optimizer(settings(learning_rate=2.0, warmup=0.1), total_steps=100)
    copy = Muon.from_config(optimizer.get_config())
    assert float(copy.learning_rate) == pytest.approx(0.2)


def test_a_schedule_counts_steps_and_not_their_parts():
    variables = [keras.Variable(np.ones((2, 3), "float32"), name="kernel")]
    given = settings(learning_rate=1.0, gradient_accumulation_steps=4)
    optimizer = make_optimizer(given, total_steps=10)
    optimizer.build(variables)
    for part in range(1, 13):
        optimizer.apply([ops.ones((2, 3))], variables)
        assert int(optimizer.iterations) == part // 4
        assert float(optimizer.learning_rate) == pytest.approx(1 - part // 4 / 10)


@pytest.mark.parametrize("name", ["muon", "adamw"])
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("clip_norm", [1.0, 0.0])
def test_a_step_whose_gradients_are_not_finite_changes_nothing(name, parts, clip_norm):
    variables = [keras.Variable(np.ones((2, 3), "float32"), name="kernel")]
    given = settings(
        optimizer=name, gradient_accumulation_steps=parts, weight_decay=0.1, clip_norm=clip_norm
    )
    optimizer = make_optimizer(given, total_steps=10)
    optimizer.build(variables)

    def apply(value):
        for of_part in [0.5] * (parts - 1) + [value]:
            optimizer.apply([ops.full((2, 3), of_part)], variables)
        of_weights = [v for v in optimizer.variables if v.shape == (2, 3)]
        return [v.numpy() for v in (*variables, *of_weights)]

    before = apply(0.5)
    for n, value in enumerate((np.nan, np.inf), 1):
        np.testing.assert_array_equal(apply(value), before)
        assert skipped_in_a_row(optimizer) == n and int(optimizer.iterations) == n + 1
    assert not np.array_equal(apply(0.5), before) and skipped_in_a_row(optimizer) == 0


@pytest.mark.parametrize("parts", [1, 2])
def test_a_scale_of_the_loss_that_was_too_large_is_no_fault(parts):
    variables = [keras.Variable(np.ones(3, "float32"))]
    given = settings(gradient_accumulation_steps=parts, clip_norm=0.0)
    optimizer = LossScale(make_optimizer(given, total_steps=10), dynamic_growth_steps=2 * parts)
    optimizer.build(variables)

    def apply(*values):
        for value in values:
            scale = float(optimizer.dynamic_scale)
            assert float(optimizer.scale_loss(ops.ones(()))) == scale
            optimizer.apply([ops.full((3,), value * scale)], variables)
        return float(optimizer.dynamic_scale)

    first = float(optimizer.dynamic_scale)
    assert apply(*[np.inf] + [1.0] * (parts - 1)) == first / 2
    assert skipped_in_a_row(optimizer) == 0 and int(optimizer.iterations) == 1
    np.testing.assert_array_equal(variables[0].numpy(), np.ones(3))
    assert apply(*[1.0] * parts) == first / 2
    mean = next(v for v in optimizer.variables if "momentum" in v.path)
    np.testing.assert_allclose(mean.numpy(), np.full(3, 0.2), rtol=1e-5)  # of a gradient of 1
    assert apply(*[1.0] * parts) == first
    for _ in range(20 * parts):
        apply(np.nan)
    assert skipped_in_a_row(optimizer) >= 3  # no scale is small enough
