"""KerasHub's own models through the same commands, with the loss that KerasHub itself computes."""

import json

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from hub_models import make_gpt2, make_qwen3

import keras_vngpt
from keras_vngpt.data.pipeline import evaluation_batches
from keras_vngpt.data.records import Conversation
from keras_vngpt.data.tokenise_and_pack import prepare_conversations
from keras_vngpt.errors import UserError
from keras_vngpt.families import FAMILIES, family_of, family_of_preset
from keras_vngpt.models.validation_scores import Scores
from keras_vngpt.tasks.finetune import FinetuneSettings
from keras_vngpt.training.optimizers import make_optimizer
from keras_vngpt.training.trainer import Trainer

PAIRS = [Conversation((f"số {i}",), (f"là {i}",), "") for i in range(40)]


@pytest.fixture(scope="module", params=[make_gpt2, make_qwen3])
def preset(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset") / "other"
    request.param().save_to_preset(str(folder))
    return folder


def rows_of(model, length=24):
    """Requests as rows for a model, one a row, with weight on the responses."""
    family = FAMILIES["keras_hub"]
    preprocessor = family.preprocessor(model.preprocessor.tokenizer, length, "request")
    return prepare_conversations(PAIRS, preprocessor, packs=family.takes_segments).rows


@pytest.mark.parametrize("make", [make_gpt2, make_qwen3])
def test_the_loss_is_kerashubs_own_on_the_same_triples(make):
    model = make()
    for weight in model.weights:
        noise = np.random.default_rng(0).normal(size=weight.shape)
        weight.assign(weight + noise * 0.3)
    rows = rows_of(model)
    x, target, weight = next(iter(evaluation_batches(rows, len(rows))))
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    expected = float(loss(target, model(x), weight))
    head = family_of(model).head(model)
    ours, _ = Scores(model, head)(evaluation_batches(rows, 7))
    assert ours == pytest.approx(expected, rel=1e-5)
    # And so is the loss that is trained, with its gradients.
    variables = [v.value for v in model.trainable_variables]
    weight = weight / tf.reduce_sum(weight)
    with tf.GradientTape(persistent=True) as tape:
        theirs = loss(target, model(x), weight)
        trained = Trainer(model, head).compute_loss(x, target, model.backbone(x), weight)
    assert float(trained) == pytest.approx(expected, rel=1e-5)
    for a, b in zip(*(tape.gradient(y, variables) for y in (trained, theirs)), strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(a), tf.convert_to_tensor(b), atol=1e-5)


def gemma():
    """Gemma 2's layout: its logits are capped at 5."""
    backbone = keras_hub.models.GemmaBackbone(
        vocabulary_size=50, num_layers=1, num_query_heads=2, num_key_value_heads=1, hidden_dim=16,
        intermediate_dim=32, head_dim=8, final_logit_soft_cap=5.0,
    )  # fmt: skip
    for weight in backbone.weights:
        noise = np.random.default_rng(0).normal(size=weight.shape)
        weight.assign(weight + noise * 0.5)
    return keras_hub.models.GemmaCausalLM(backbone)


def test_capped_logits_are_trained_as_they_are():
    model = gemma()
    rng = np.random.default_rng(1)
    ids, target = rng.integers(1, 50, (2, 3, 12))
    weight = rng.random((3, 12)).astype("float32")
    weight /= weight.sum()
    x = {"token_ids": tf.constant(ids), "padding_mask": tf.ones_like(ids)}
    head = family_of(model).head(model)
    variables = [v.value for v in model.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        nats = keras.losses.sparse_categorical_crossentropy(target, model(x), from_logits=True)
        expected = tf.reduce_sum(nats * weight)
        ours = head.cross_entropy(model.backbone(x), tf.constant(target), tf.constant(weight))
    assert float(ours) == pytest.approx(float(expected), rel=1e-5)
    without_cap = FAMILIES["vngpt"].head(model)
    without_cap.soft_cap = None
    wrong = without_cap.cross_entropy(model.backbone(x), tf.constant(target), tf.constant(weight))
    assert abs(float(wrong) - float(expected)) > 0.1
    gradients = (tape.gradient(loss, variables) for loss in (ours, expected))
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(a), tf.convert_to_tensor(b), atol=1e-6)


def test_a_head_that_is_not_the_models_own_is_refused():
    class Scaled(keras_hub.models.GemmaCausalLM):
        def call(self, *arguments, **more):
            return 3.0 * super().call(*arguments, **more)

    backbone = gemma().backbone
    with pytest.raises(UserError, match="Scaled: its logits are not those of its token embedding"):
        FAMILIES["keras_hub"].head(Scaled(backbone))


def test_a_step_of_training_lowers_the_loss_of_any_family():
    model = make_gpt2()
    rows = rows_of(model)
    settings = FinetuneSettings(optimizer="adamw", learning_rate=1e-2)
    trainer = Trainer(model, family_of(model).head(model))
    trainer.compile(optimizer=make_optimizer(settings, 30))
    x, target, weight = next(iter(evaluation_batches(rows, len(rows))))
    weight = weight / tf.reduce_sum(weight)
    losses = [trainer.train_on_batch(x, target, weight) for _ in range(30)]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.slow
def test_a_preset_of_kerashub_goes_through_fit_evaluate_generate_and_export(preset, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(f"Câu số {i} kể về {i * 7} con chim." for i in range(60)))
    data = tmp_path / "qa.csv"
    data.write_text("request,response\n" + "".join(f"số {i}?,là {i}\n" for i in range(60)))
    common = {"sequence_length": 40, "optimizer": "adamw", "learning_rate": 2e-3, "evaluations": 1}
    run = keras_vngpt.fit(
        folder=str(tmp_path / "runs"),
        name="other",
        init=str(preset),
        pretrain={"data": [str(text)], "epochs": 1, "clean": {"near": 0}, **common},
        finetune={"data": [str(data)], "epochs": 2, "test_share": 0.1, **common},
    )
    metrics = run.metrics
    assert metrics["pretrain.test_bits_per_byte"] > 0 and "finetune.exact_match" in metrics
    assert metrics["finetune.rows"] == metrics["finetune.requests"]  # one a row
    assert family_of_preset(run / "finetune").name == "keras_hub"
    form = json.loads((run / "finetune" / "prompt.json").read_text())
    assert form == {"prompt_format": "request", "separator": "\n", "system": "", "turns": 1}
    figures = keras_vngpt.evaluate(run, data=[str(data)], text=[str(text)])
    assert figures["requests"] == 60 and figures["bits_per_byte"] > 0
    prompts = ["số 3?", "số 12?"]
    answers = keras_vngpt.generate(run, prompts, 12)
    assert answers == keras_vngpt.generate(run / "export" / "1", prompts, 12)
    # What is generated is what the model finds likeliest after the request as it was trained.
    model = keras_hub.models.CausalLM.from_preset(str(run / "finetune"))
    model.compile(sampler="greedy")
    alone = model.generate([f"{p}\n" for p in prompts], max_length=40, strip_prompt=True)
    assert [a[: len(b)] for a, b in zip(alone, answers, strict=True)] == answers
    with pytest.raises(UserError, match="model.hidden_dim: comes with --init"):
        keras_vngpt.fit(folder=str(tmp_path), name="x", init=str(preset), model={"hidden_dim": 64})
