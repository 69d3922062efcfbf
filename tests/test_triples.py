"""The triple: what goes in, what is predicted, what is scored."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vngpt import VnGPTCausalLMPreprocessor, train_tokenizer
from keras_vngpt.data.tokenise_and_pack import tokenise

PAD, UNK, BOS, SEP, EOS = range(5)


@pytest.fixture(scope="module")
def by_words():
    """A tokenizer whose tokens are the words of the reference examples."""
    pair = ["Bật quạt phòng ngủ lên mức 2", "Đã bật quạt phòng ngủ lên mức 2"]
    tokenizer = train_tokenizer(
        ["Tôi đang bật đèn phòng khách", *pair] * 30, 363, split_digits=False
    )
    for text in pair:
        assert len(tokenizer(text)) == len(text.split()), "one token a word"
    return tokenizer


def pieces(tokenizer, ids):
    return [tokenizer.id_to_token(int(i)).lstrip("▁") for i in ids]


def test_pretraining_example_token_by_token(by_words):
    preprocessor = VnGPTCausalLMPreprocessor(by_words, sequence_length=7)
    x, y, w = preprocessor("Tôi đang bật đèn phòng khách")
    words = "Tôi đang bật đèn phòng khách".split()
    assert pieces(by_words, x["token_ids"]) == ["[BOS]", *words]
    assert pieces(by_words, y) == [*words, "[EOS]"]
    assert np.array(w).tolist() == [1.0] * 7


@pytest.mark.parametrize(
    "response, length",
    [
        ("Đã bật quạt phòng ngủ mức 2", 16),  # 7 words for 7: 8 unweighted, then 8 weighted
        ("Đã bật quạt phòng ngủ lên mức 2", 17),  # the reference pair itself, one word more
    ],
)
def test_finetuning_example_token_by_token(by_words, response, length):
    preprocessor = VnGPTCausalLMPreprocessor(by_words, sequence_length=length)
    request, words = "Bật quạt phòng ngủ lên mức 2", response.split()
    x, y, w = preprocessor({"prompts": [request], "responses": [response]})
    assert pieces(by_words, x["token_ids"][0]) == ["[BOS]", *request.split(), "[SEP]", *words]
    assert pieces(by_words, y[0]) == ["[PAD]"] * 8 + [*words, "[EOS]"]
    assert np.array(w[0]).tolist() == [0.0] * 8 + [1.0] * (len(words) + 1)
    assert np.array(x["padding_mask"][0]).all()


def test_eos_weight_zero_leaves_eos_out_of_the_loss(tokenizer):
    x = {"prompts": ["Bật đèn"], "responses": ["Đã bật đèn"]}
    _, y, w = VnGPTCausalLMPreprocessor(tokenizer, 32)(x)
    _, y0, w0 = VnGPTCausalLMPreprocessor(tokenizer, 32, eos_weight=0.0)(x)
    is_eos = np.array(y) == EOS
    assert is_eos.sum() == 1 and np.array(w)[is_eos] == 1
    assert np.array(w0).sum() == np.array(w).sum() - 1
    assert EOS not in np.array(y0)


def test_later_turns_follow_and_every_response_is_scored(tokenizer, preprocessor):
    x, y, w = preprocessor(
        {"prompts": [["Bật đèn", "Tắt đèn"]], "responses": [["Đã bật", "Đã tắt"]]}
    )
    ids = np.array(x["token_ids"][0])
    ids = ids[ids != PAD]
    assert [i for i in ids if i in (BOS, SEP, EOS)] == [BOS, SEP, EOS, BOS, SEP]
    scored = np.array(y[0])[np.array(w[0]) > 0]
    assert tokenizer.detokenize(scored[scored != EOS].tolist()) == "Đã bật Đã tắt"
    assert (scored == EOS).sum() == 2


def documents(tokenizer, x, length):
    """The triples of requests or texts as they are packed, and the cuts."""
    turns = (x["prompts"], x["responses"]) if isinstance(x, dict) else (None, [[t] for t in x])
    ids = (texts and tokenise(texts, tokenizer) for texts in turns)
    preprocessor = VnGPTCausalLMPreprocessor(tokenizer)  # a tf.function holds it weakly
    return preprocessor.triples(*ids, length)


def test_too_long_the_request_loses_its_beginning(tokenizer):
    request, response = "một hai ba bốn năm sáu bảy tám chín mười", "vâng ạ"
    x = {"prompts": [[request]], "responses": [[response]]}
    ids, target, _, cuts = documents(tokenizer, x, 14)
    ids = ids[0].numpy()
    whole = np.array(tokenizer(request))
    place = list(ids).index(SEP)
    assert len(ids) == 14 and ids[0] == BOS
    assert ids[1:place].tolist() == whole[-(place - 1) :].tolist(), "the end of the request stays"
    assert target[0].numpy()[-1] == EOS, "the response is whole"
    assert {k: int(v) for k, v in cuts.items()} == {
        "requests cut": 1,
        "responses cut": 0,
        "turns dropped": 0,
    }


def test_a_response_that_does_not_fit_by_itself_is_cut_and_gets_no_eos(tokenizer):
    x = {"prompts": [["Kể đi"]], "responses": [["một hai ba bốn năm sáu bảy tám chín mười"]]}
    ids, target, weight, cuts = documents(tokenizer, x, 8)
    assert len(ids[0]) == 8 and ids[0].numpy()[:2].tolist() == [BOS, SEP]
    assert EOS not in target[0].numpy() and weight[0].numpy()[1:].all()
    assert int(cuts["responses cut"]) == 1


def test_too_long_a_conversation_loses_its_oldest_turns(tokenizer):
    x = {"prompts": [["một", "hai", "ba"]], "responses": [["bốn", "năm", "sáu"]]}
    n = len(documents(tokenizer, x, 64)[0][0])
    ids, _, _, cuts = documents(tokenizer, x, n - 1)
    assert (ids[0].numpy() == SEP).sum() == 2 and int(cuts["turns dropped"]) == 1


def test_a_passed_sample_weight_counts(preprocessor):
    x = {"prompts": ["a", "b"], "responses": ["c", "d"]}
    _, _, w = preprocessor(x)
    _, _, half = preprocessor(x, sample_weight=tf.constant([0.5, 0.0]))
    np.testing.assert_allclose(half, np.array(w) * [[0.5], [0.0]])


def test_the_same_in_a_tf_data_pipeline(preprocessor):
    pairs = {"prompts": ["Bật đèn", "Tắt quạt đi"], "responses": ["Đã bật", "Đã tắt quạt"]}
    direct = preprocessor(pairs)
    mapped = next(iter(tf.data.Dataset.from_tensor_slices(pairs).batch(2).map(preprocessor)))
    for a, b in zip(tf.nest.flatten(direct), tf.nest.flatten(mapped), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("length", [5, 9, 32])
def test_documents_are_the_rows_without_their_padding(tokenizer, length):
    preprocessor = VnGPTCausalLMPreprocessor(tokenizer, sequence_length=length)
    turns = {
        "prompts": [["Bật đèn", "Tắt đi nhé"], ["Mấy giờ rồi em ơi"]],
        "responses": [["Đã bật đèn phòng khách", "Đã tắt"], ["Ba giờ"]],
    }
    for x in (turns, ["Một hai ba bốn năm sáu", "", "Bảy"]):
        rows, target, weight = preprocessor(x)
        found = documents(tokenizer, x, length)
        for row, document in zip((rows["token_ids"], target, weight), found, strict=False):
            np.testing.assert_array_equal(row, document.to_tensor(shape=[None, length]))


def test_the_loss_divides_by_the_weights_alone(model, preprocessor):
    model.compile()
    x, y, w = preprocessor({"prompts": ["Bật đèn phòng khách"], "responses": ["Đã bật"]})
    nll = tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x))
    true = float(tf.reduce_sum(nll * w) / tf.reduce_sum(w))
    assert float(model.compute_loss(x, y, model(x), w)) == pytest.approx(true, rel=1e-5)


@pytest.mark.parametrize("eos_weight", [1.0, 0.0])
@pytest.mark.parametrize("length", [1, 3, 6, 16])
def test_texts_to_score_are_the_first_stage(tokenizer, length, eos_weight):
    preprocessor = VnGPTCausalLMPreprocessor(tokenizer, length, eos_weight=eos_weight)
    texts = ["", "A B C D", "B", "A B C D A B C D"]
    x, *expected = preprocessor(texts)
    token_ids, lengths, *found = preprocessor._first_stage(tf.constant(texts), length)
    assert np.array_equal(lengths, tf.reduce_sum(x["padding_mask"], axis=-1))
    for each, other in zip((x["token_ids"], *expected), (token_ids, *found), strict=True):
        assert np.array_equal(each[:, : other.shape[1]], other)
        assert not np.any(each[:, other.shape[1] :])
    nothing = preprocessor._first_stage(tf.zeros([0], tf.string), length)
    assert [len(each) for each in nothing] == [0, 0, 0, 0]
