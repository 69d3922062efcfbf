"""Stop strings, streams, constraints and prefixes, from the SavedModel of a run."""

import re

import numpy as np
import tensorflow as tf
from conftest import PROMPTS

from keras_vngpt.generation.config_tensors import TABLES, config_tensors
from keras_vngpt.generation.text_generator import answer

END = 4


def test_an_answer_ends_before_a_stop_string(trained):
    whole = [text.decode() for text in trained.generate(PROMPTS, 12).numpy()]
    assert all(len(text) > 6 for text in whole)
    for stop in (
        ["phòng"],
        [whole[0][3:6]],
        [whole[1][-2:], "?"],
        ["(", "."],
        ["hoà"],
        ["", "zzz"],
    ):
        written = [s.replace("hoà", "hòa") for s in stop if s]
        expected = [min((t.split(s)[0] for s in written), key=len) for t in whole]
        cut = [text.decode() for text in trained.generate(PROMPTS, 12, stop=stop).numpy()]
        assert cut == expected
        assert "".join(trained.stream(PROMPTS[0], 12, stop=stop)) == expected[0]


def test_steps_end_with_a_stop_string(trained):
    """Not only is the text cut: the tokens behind it were not computed, but for a few."""
    (whole,) = trained.generate(PROMPTS[:1], 60, min_new_tokens=60).numpy()
    stop = [whole.decode()[:4]]
    given, ids = {"stop": stop, "min_new_tokens": 60}, trained.tokenize(PROMPTS[:1])
    assert trained.generate(PROMPTS[:1], 60, **given).numpy() == [b""]
    config, stop = config_tensors(given, 1, 60), trained.stop_strings(stop)
    tokens, _ = answer(trained, ids, config, trained.no_prefix(), stop)
    assert tokens.shape[1] < 60


def test_a_stream_gives_what_generate_gives_and_takes_nothing_back(trained):
    for given in ({}, {"temperature": 1.2, "seed": 1}, {"temperature": 2.0, "seed": 5}):
        for prompt in PROMPTS:
            pieces = list(trained.stream(prompt, 30, **given))
            assert "".join(pieces) == trained.generate([prompt], 30, **given).numpy()[0].decode()
            assert all(pieces)


def test_a_long_stream_comes_in_pieces(trained):
    """An answer may be a single word, and that comes whole; of 30 tokens none is."""
    for prompt in PROMPTS:
        assert len(list(trained.stream(prompt, 30, min_new_tokens=30, temperature=1.2))) > 1


def test_a_stream_has_whole_characters_where_tokens_are_bytes(generator, monkeypatch):
    """The letters of "hoàn thử 🙂 xong" as single bytes, one a token."""
    vocabulary = generator.vocabulary().numpy().tolist()
    place = {piece: i for i, piece in enumerate(vocabulary) if len(piece) == 1}
    text = "hoàn thử 🙂 xong"
    ids = [place[bytes([byte])] for byte in text.encode()]
    edges = tf.constant([[i] for i in [*ids, END]])
    nodes = tf.constant([[min(n + 1, len(ids))] for n in range(len(ids) + 1)])
    tables = {"constraint_tokens": edges, "constraint_nodes": nodes}
    monkeypatch.setattr(generator, "tables", lambda *_: tables)
    pieces = list(generator.stream("a", 40, choices=["what it is, byte for byte"]))
    assert "".join(pieces) == text and len(pieces) >= 3
    assert all("\ufffd" not in piece for piece in pieces)


def test_an_answer_is_one_of_the_choices(trained, in_memory):
    choices = ["Đã bật quạt", "Đã bật quạt phòng ngủ", "Đã tắt", "Không", "hoà bình", "?"]
    written = {choice.replace("hoà", "hòa") for choice in choices}
    for given in ({}, {"temperature": 3.0}, {"num_beams": 3}):
        chooses = in_memory if "num_beams" in given else trained
        answers = chooses.generate(PROMPTS * 2, 20, choices=choices, **given).numpy()
        assert {text.decode() for text in answers} <= written
    given = {"temperature": 50.0, "num_return_sequences": 64}
    answers = trained.generate(PROMPTS[:1], 20, choices=choices, **given).numpy()
    assert {text.decode() for text in answers} == written
    for choice in choices:
        assert trained.generate(["a"], 20, choices=[choice]).numpy()[0].decode() in written


def test_an_answer_matches_the_regular_expression(trained, in_memory):
    pattern = r"(bật|tắt) (đèn|quạt) số [0-9]{1,3}( hoà)?"
    written = pattern.replace("hoà", "hòa")
    drawn = {"temperature": 2.0}
    cases = [(trained, drawn | {"seed": seed}) for seed in range(4)] + [
        (in_memory, {"num_beams": 2})
    ]
    for generator, given in cases:
        for text in generator.generate(PROMPTS, 30, regex=pattern, **given).numpy():
            assert re.fullmatch(written, text.decode())
    assert re.fullmatch(written, "".join(trained.stream(PROMPTS[0], 30, regex=pattern)))


def test_bad_words_do_not_come(trained):
    (whole,) = trained.generate(PROMPTS[:1], 12).numpy()
    for word in whole.decode().split()[:3]:
        (other,) = trained.generate(PROMPTS[:1], 12, bad_words=[word, "zzz", ""]).numpy()
        assert word not in other.decode().split()
    (other,) = trained.generate(PROMPTS[:1], 12, bad_words=[" "]).numpy()
    assert other != b""


def test_a_prefix_changes_no_answer_whatever_it_is(trained):
    prompts = ["Bạn là trợ lý trong nhà.\n" + prompt for prompt in PROMPTS] + ["Bạn"]
    ids = trained.tokenize(prompts).numpy()
    plain = trained.generate_ids(ids, 8, min_new_tokens=8).numpy()
    begins = [*range(1, 9), ids.shape[1]]
    for n in begins:
        prefix = trained.prefix_cache(ids[0, :n])
        for rows in (ids, ids[:1], ids[1:3]):
            found = trained.generate_ids(rows, 8, min_new_tokens=8, prefix=prefix).numpy()
            expected = plain[[0]] if len(rows) == 1 else plain if len(rows) == 4 else plain[1:3]
            np.testing.assert_array_equal(found, expected)
    other = trained.prefix_cache([2, 9, 9, 9, 9])
    np.testing.assert_array_equal(
        trained.generate_ids(ids, 8, min_new_tokens=8, prefix=other).numpy(), plain
    )


def test_rows_of_one_batch_have_settings_of_their_own(trained):
    """What a service needs: requests with different settings go together."""
    given = [{}, {"temperature": 1.4, "seed": 7, "top_p": 0.9}, {"repetition_penalty": 1.5}]
    lengths = [9, 5, 7]
    each = [config_tensors(*of_one) for of_one in zip(given, [1] * 3, lengths, strict=True)]
    config = {name: tf.concat([one[name] for one in each], 0) for name in each[0]}
    config |= {name: each[0][name] for name in TABLES}
    state = trained.prefill(trained.tokenize(PROMPTS), tf.constant(9), trained.no_prefix())
    start = int(state.cache_position) + 1
    while not np.all(state.done):
        state = trained.decode_steps(state, tf.constant(2), config)
    for i, row in enumerate(state.tokens.numpy()[:, start:]):
        alone = trained.generate_ids(trained.tokenize(PROMPTS[i : i + 1]), lengths[i], **given[i])
        assert [t for t in row if t] == [t for t in alone.numpy()[0] if t]


def test_nothing_stands_behind_the_end_of_an_answer(trained):
    """Tokens and log-probabilities of a row are the same alone and beside longer answers."""
    for given in ({}, {"temperature": 0.9, "seed": 2}, {"stop": ["o", "n"]}):
        ids = trained.tokenize(PROMPTS)
        rows, shares = (x.numpy() for x in trained.generate_ids(ids, 30, logprobs=True, **given))
        assert ((rows == 0) == (shares == 0)).all()
        alone, own = (
            x.numpy()[0] for x in trained.generate_ids(ids[:1], 30, logprobs=True, **given)
        )
        n = len(alone)
        np.testing.assert_array_equal(rows[0, :n], alone)
        np.testing.assert_allclose(shares[0, :n], own, rtol=1e-3, atol=1e-4)
        assert not rows[0, n:].any()


def test_the_last_token_of_a_stopped_answer_completes_the_stop_string(trained):
    ids = trained.tokenize(PROMPTS)
    for stop in (["ng"], ["t", "q"], ["không có"]):
        for row in trained.generate_ids(ids, 20, stop=stop).numpy():
            tokens = [i for i in row if i]
            whole, before = (
                trained.detokenize([each]).numpy()[0].decode() for each in (tokens, tokens[:-1])
            )
            assert not any(s in before for s in stop)
            assert any(s in whole for s in stop) or len(tokens) == 20 or tokens[-1] == END
