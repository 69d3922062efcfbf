"""Rows that join a running batch, and leave it, answer as alone."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vngpt.generation.config_tensors import TABLES, config_tensors

SLOTS, LONGEST, STEPS = 4, 16, 3
ROOM = 60  # of the batch: the longest prompt with its answer; rounded up, 64 columns


def requests_of(seed, count):
    """Prompts and settings of many kinds; the longest answer is of one power of two."""
    rng = np.random.default_rng(seed)
    drawn = {"temperature": 1.2, "top_p": 0.9}
    return [
        {
            "prompt": [2, *rng.integers(5, 99, rng.integers(0, 40)).tolist(), 3],
            "config": drawn | {"seed": i} if i % 2 else {},
            "most": int(rng.integers(LONGEST // 2 + 1, LONGEST + 1)),
        }
        for i in range(count)
    ]


def serve(generator, requests):
    """Answer requests in a few slots, as a server does; gives tokens and log-probabilities."""
    nothing, waiting, answers = generator.no_prefix(), list(range(len(requests))), {}
    slots = [None] * SLOTS
    config = config_tensors({}, SLOTS, LONGEST)
    of_rows = config.keys() - TABLES
    state = generator.prefill(tf.zeros([SLOTS, 0], tf.int32), tf.constant(ROOM), nothing)
    columns = state.tokens.shape[1]
    while waiting or any(slot is not None for slot in slots):
        free = [row for row, slot in enumerate(slots) if slot is None][: len(waiting)]
        if free:
            joining = [waiting.pop(0) for _ in free]
            prompts = [requests[i]["prompt"] for i in joining]
            new = tf.ragged.constant(prompts, tf.int32).to_tensor()
            new = generator.prefill(new, tf.constant(LONGEST), nothing)
            state = generator.insert(state, new, tf.constant(free))
            for row, i in zip(free, joining, strict=True):
                slots[row] = i
                own = config_tensors(requests[i]["config"], 1, requests[i]["most"])
                for name in of_rows:
                    config[name] = tf.tensor_scatter_nd_update(config[name], [[row]], own[name])
        state = generator.decode_steps(state, tf.constant(STEPS), config)
        ended = [row for row in range(SLOTS) if slots[row] is not None and bool(state.done[row])]
        if ended:
            state, ids, log_probabilities = generator.remove(state, tf.constant(ended))
            for row, *answer in zip(ended, ids.numpy(), log_probabilities.numpy(), strict=True):
                answers[slots[row]], slots[row] = answer, None
            assert not tf.gather(state.lengths, ended).numpy().any()
    went_around = int(state.cache_position) > columns
    return [answers[i] for i in range(len(requests))], went_around


def check(generator, count):
    requests = requests_of(0, count)
    answers, went_around = serve(generator, requests)
    for request, (ids, log_probabilities) in zip(requests, answers, strict=True):
        given = request["most"], None, True
        alone, own = generator.generate_ids([request["prompt"]], *given, **request["config"])
        n = int(alone.shape[1])
        np.testing.assert_array_equal(ids[:n], alone[0])
        assert not ids[n:].any()
        np.testing.assert_allclose(log_probabilities[:n], own[0], rtol=1e-3, atol=1e-3)
    return went_around


@pytest.mark.parametrize("decoder", ["modern", pytest.param("classic", marks=pytest.mark.slow)])
def test_rows_that_join_a_running_batch_answer_as_alone(small, decoder):
    _, generator = small(decoder)
    assert check(generator, 40 if decoder == "modern" else 24)  # around the columns too


@pytest.mark.slow
def test_they_do_in_a_saved_model_too(trained):
    check(trained, 24)


def test_a_row_that_is_taken_out_early_leaves_what_it_has_and_does_not_harm_others(generator):
    ids = tf.constant([[2, 17, 9, 3], [2, 30, 3, 0], [2, 8, 41, 3]])
    config = config_tensors({"min_new_tokens": 12}, 3, 12)
    state = generator.prefill(ids, tf.constant(12), generator.no_prefix())
    state = generator.decode_steps(state, tf.constant(5), config)
    state, tokens, _ = generator.remove(state, tf.constant([1]))
    alone = generator.generate_ids(ids, 12, min_new_tokens=12).numpy()
    np.testing.assert_array_equal(tokens[0], alone[1, :5])
    state = generator.decode_steps(state, tf.constant(12), config)
    _, tokens, _ = generator.remove(state, tf.constant([2, 0]))
    np.testing.assert_array_equal(tokens, alone[[2, 0]])


def test_rows_that_do_not_fit_into_the_batch_are_refused(small):
    _, generator = small("classic")
    narrow, wide = (
        generator.prefill(tf.ones([2, n], tf.int32), tf.constant(4), generator.no_prefix())
        for n in (3, 20)
    )
    generator.insert(wide, narrow, tf.constant([1, 0]))
    for state, new, rows in ((narrow, wide, [0, 1]), (wide, narrow, [0, 2])):
        with pytest.raises(tf.errors.InvalidArgumentError):
            generator.insert(state, new, tf.constant(rows))
