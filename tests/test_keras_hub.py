"""Other causal language models of KerasHub through the same generator and export."""

import json

import keras_hub
import numpy as np
import pytest
import tensorflow as tf

import keras_vngpt
from keras_vngpt.errors import UserError
from keras_vngpt.generation.loading import load_generator
from keras_vngpt.generation.model_generator import ModelGenerator
from keras_vngpt.generation.saved_model_generator import SavedModelGenerator

WORDS = ["a", "b", "c", "ab", "Ġ", "Ġa", "Ġb", "Ġc", "Ġab"]


def make_gpt2():
    vocabulary = {piece: i for i, piece in enumerate(["!", *WORDS, "<|endoftext|>"])}
    merges = ["a b", "Ġ a", "Ġ b", "Ġ c", "Ġa b"]
    tokenizer = keras_hub.models.GPT2Tokenizer(vocabulary, merges)
    preprocessor = keras_hub.models.GPT2CausalLMPreprocessor(tokenizer, sequence_length=32)
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
    backbone = keras_hub.models.GPT2Backbone(len(vocabulary), max_sequence_length=32, **sizes)
    return keras_hub.models.GPT2CausalLM(backbone, preprocessor)


def make_qwen3():
    """No start token, no learned positions, grouped keys, a padding that is no 0."""
    vocabulary = {piece: i for i, piece in enumerate([*WORDS, "!", "<|im_end|>", "<|endoftext|>"])}
    tokenizer = keras_hub.models.Qwen3Tokenizer(vocabulary, ["a b", "Ġ a", "Ġ b", "Ġ c", "Ġa b"])
    preprocessor = keras_hub.models.Qwen3CausalLMPreprocessor(tokenizer, sequence_length=32)
    backbone = keras_hub.models.Qwen3Backbone(
        vocabulary_size=len(vocabulary), num_layers=2, num_query_heads=4, num_key_value_heads=2,
        head_dim=8, hidden_dim=32, intermediate_dim=64, tie_word_embeddings=True,
    )  # fmt: skip
    return keras_hub.models.Qwen3CausalLM(backbone, preprocessor)


@pytest.mark.parametrize("make", [make_gpt2, pytest.param(make_qwen3, marks=pytest.mark.slow)])
def test_other_models_of_kerashub_answer_from_an_export_as_by_themselves(make, tmp_path):
    model = make()
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
    model = make_gpt2()
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
