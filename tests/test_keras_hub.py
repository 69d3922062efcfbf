"""Other causal language models of KerasHub through the same generator and export."""

import json

import numpy as np
import pytest
import tensorflow as tf
from hub_models import FEW, make_gpt2, make_qwen3

import keras_vngpt
from keras_vngpt.errors import UserError
from keras_vngpt.generation.loading import load_generator
from keras_vngpt.generation.model_generator import ModelGenerator
from keras_vngpt.generation.saved_model_generator import SavedModelGenerator


@pytest.mark.parametrize("make", [make_gpt2, pytest.param(make_qwen3, marks=pytest.mark.slow)])
def test_other_models_of_kerashub_answer_from_an_export_as_by_themselves(make, tmp_path):
    model = make(FEW)
    for weight in model.weights:
        weight.assign(weight + np.random.default_rng(0).normal(size=weight.shape) * 0.3)
    model.save_to_preset(str(tmp_path / "preset"))
    prompts = ["ab c!", "c", "a b ab ab c!!"]
    keras_vngpt.export(tmp_path / "preset", to=str(tmp_path / "1"))
    exported = SavedModelGenerator(tmp_path / "1")
    model.compile(sampler="greedy")
    for prompt, answer in zip(prompts, exported.generate(prompts, 8).numpy(), strict=True):
        tokens = len(model.preprocessor.tokenizer(prompt))
        start = model.preprocessor.tokenizer.start_token_id is not None
        whole = model.generate(prompt, max_length=tokens + start + 8, strip_prompt=True)
        assert answer.decode() == whole
        assert "".join(exported.stream(prompt, 8)) == whole
    assert exported.generate(["a"], 8, choices=["ab c", "b"]).numpy()[0] in (b"ab c", b"b")
    generator = ModelGenerator(model)  # by a name: a compiled method alone does not keep its object
    log_probability, count = generator.score(tf.constant(prompts))
    inputs, target, weight = model.preprocessor(prompts)
    nll = tf.nn.sparse_softmax_cross_entropy_with_logits(target, model(inputs))
    np.testing.assert_allclose(
        log_probability, -tf.reduce_sum(nll * tf.cast(weight, tf.float32), -1), rtol=1e-4
    )
    with pytest.raises(UserError, match="regex: only for models with the tokenizer of keras_vngpt"):
        exported.generate(["a"], regex="a")
    with pytest.raises(UserError, match="weights` of the models of KerasHub"):
        keras_vngpt.export(tmp_path / "preset", to=str(tmp_path / "2"), weights="int8")


@pytest.mark.parametrize("form", [{"prompt_format": "request", "separator": " c"}, None])
def test_a_preset_says_what_stands_between_request_and_response(form, tmp_path):
    model = make_gpt2(FEW)
    model.save_to_preset(str(tmp_path))
    if form:
        (tmp_path / "prompt.json").write_text(json.dumps(form))
    ids = load_generator(tmp_path).tokenize(["ab", "a b b"]).numpy().tolist()
    tokenizer, texts = model.preprocessor.tokenizer, ["ab", "a b b"]
    texts = [text + " c" for text in texts] if form else texts
    expected = [[tokenizer.start_token_id, *map(int, row)] for row in tokenizer(texts)]
    assert [[i - 1 for i in row if i] for row in ids] == expected
    (tmp_path / "prompt.json").write_text('{"prompt_format": "riddle"}')
    with pytest.raises(UserError, match='prompt.json: needs "prompt_format"'):
        load_generator(tmp_path)
