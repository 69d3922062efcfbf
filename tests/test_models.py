"""The model: packed rows, saved presets, the Qwen3 layout."""

import keras
import keras_hub
import numpy as np
import pytest
from conftest import make_model

from keras_vngpt import TransformerDecoder, VnGPTBackbone, VnGPTCausalLM
from keras_vngpt.generation.model_generator import ModelGenerator
from keras_vngpt.models.sizes import PRESETS
from keras_vngpt.models.validation_scores import Scores


def logits(model, ids, segments=None):
    segments = np.ones_like(ids) if segments is None else segments
    return np.array(model({"token_ids": ids, "padding_mask": segments}))


def test_a_packed_row_equals_its_documents_alone(model):
    documents = [np.random.default_rng(i).integers(5, 600, (1, n)) for i, n in enumerate((5, 9, 3))]
    row = np.concatenate([*documents, np.zeros((1, 4), int)], axis=1)
    segments = np.array([[1] * 5 + [2] * 9 + [3] * 3 + [0] * 4])
    packed = logits(model, row, segments)
    start = 0
    for document in documents:
        n = document.shape[1]
        alone = logits(model, document)
        np.testing.assert_allclose(packed[:, start : start + n], alone, atol=2e-5)
        start += n
    assert np.isfinite(packed).all()


def test_the_future_does_not_count(model):
    a = np.random.default_rng(0).integers(5, 600, (1, 12))
    b = a.copy()
    b[0, 7:] = 5
    np.testing.assert_allclose(logits(model, a)[:, :7], logits(model, b)[:, :7], atol=1e-6)


def test_a_saved_preset_reloads_to_the_same_logits(model, tmp_path):
    ids = np.random.default_rng(0).integers(5, 600, (2, 12))
    model.save_to_preset(str(tmp_path / "preset"))
    for cls in (VnGPTCausalLM, keras_hub.models.CausalLM):
        loaded = cls.from_preset(str(tmp_path / "preset"))
        np.testing.assert_array_equal(logits(loaded, ids), logits(model, ids))
    assert loaded.preprocessor.sequence_length == model.preprocessor.sequence_length
    assert list(loaded.preprocessor.tokenizer("hoà")) == list(model.preprocessor.tokenizer("hòa"))


def test_keras_hub_generate_equals_naive_decoding(model, preprocessor):
    model.compile(sampler="greedy")
    inputs = preprocessor.generate_preprocess({"prompts": ["Bật đèn"]}, sequence_length=20)
    n = int(np.sum(inputs["padding_mask"]))
    out = np.array(model.generate_step(inputs)["token_ids"])
    ids = np.array(inputs["token_ids"])[:, :n]
    while ids.shape[1] < 20:
        ids = np.append(ids, logits(model, ids)[:, -1].argmax(-1)[:, None], axis=1)
    np.testing.assert_array_equal(out, ids)
    assert isinstance(model.generate({"prompts": ["Bật đèn"]}, max_length=20)[0], str)


@pytest.mark.parametrize(
    "sampler",
    [
        keras_hub.samplers.BeamSampler(num_beams=1),
        keras_hub.samplers.ContrastiveSampler(k=3, alpha=0.0),
    ],
)
def test_samplers_of_keras_hub_answer_greedily_where_they_have_no_choice(model, sampler):
    prompts = {"prompts": ["Bật đèn", "Tắt quạt phòng ngủ"]}
    model.compile(sampler="greedy")
    greedy = model.generate(prompts, max_length=20)
    model.compile(sampler=sampler)
    assert model.generate(prompts, max_length=20) == greedy


@pytest.mark.parametrize("sampler", ["beam", "contrastive", "random", "top_k", "top_p"])
def test_samplers_of_keras_hub_are_known_by_name(model, sampler):
    model.compile(sampler=sampler)
    assert len(model.generate({"prompts": ["Bật đèn", "Tắt quạt"]}, max_length=12)) == 2


@pytest.mark.parametrize("name, millions", [("nano", 1), ("tiny", 4), ("small", 15), ("base", 124)])
def test_presets_have_the_size_they_say(name, millions):
    with keras.device("meta") if keras.config.backend() == "torch" else keras.name_scope("x"):
        count = VnGPTBackbone(**PRESETS[name]).count_params()
    assert count == pytest.approx(millions * 1e6, rel=0.1)


def test_a_fresh_layer_is_the_identity():
    layer = TransformerDecoder(num_heads=2, intermediate_dim=16)
    x = np.random.default_rng(0).normal(size=(1, 4, 8)).astype("float32")
    angles = (np.ones((1, 4, 1, 2), "float32"), np.zeros((1, 4, 1, 2), "float32"))
    y = layer(x, attention_mask=np.tril(np.ones((1, 4, 4), bool)), angles=angles)
    np.testing.assert_array_equal(y, x)


def test_all_kernels_are_2d_so_that_muon_takes_them(preprocessor):
    shapes = [w.shape for w in make_model("modern", preprocessor).trainable_weights]
    assert {len(shape) for shape in shapes} == {1, 2}


def test_lora_and_quantization_of_keras_hub_work(preprocessor):
    model = make_model("modern", preprocessor)
    before = logits(model, np.array([[2, 7, 8]]))
    model.backbone.enable_lora(2, target_layer_names=["query", "value"])
    np.testing.assert_allclose(logits(model, np.array([[2, 7, 8]])), before, atol=1e-5)
    assert 0 < sum(w.shape.num_elements() for w in model.trainable_weights) < 5_000


def test_wrong_values_say_what_was_received():
    with pytest.raises(ValueError, match="Received: decoder=new"):
        VnGPTBackbone(**PRESETS["nano"], decoder="new")
    with pytest.raises(ValueError, match="Received: hidden_dim=9"):
        TransformerDecoder(num_heads=2, intermediate_dim=4).build((None, None, 9))


def test_whole_responses_are_the_exact_match_of_greedy_decoding(preprocessor):
    model = make_model("modern", preprocessor)
    decoder = ModelGenerator(model)
    prompts = ["Bật đèn", "Tắt quạt đi", "Kéo rèm lên"]
    ids = decoder.generate_ids(decoder.tokenize(prompts), 6).numpy()
    rows = np.zeros((3, 32), int)
    target, weight = np.zeros((3, 32), int), np.zeros((3, 32), "float32")
    for i, prompt in enumerate(decoder.tokenize(prompts).numpy()):
        n = int((prompt > 0).sum())
        rows[i, : n + 5] = [*prompt[:n], *ids[i, :5]]
        target[i, n - 1 : n + 5], weight[i, n - 1 : n + 5] = ids[i], 1
    batch = ({"token_ids": rows, "padding_mask": (rows > 0).astype(int)}, target, weight)
    assert Scores(model)([batch])[1] == 1.0
    target[1, int((rows[1] > 0).sum()) - 1] += 1  # one wrong token, one wrong response
    assert Scores(model)([batch])[1] == pytest.approx(2 / 3)
