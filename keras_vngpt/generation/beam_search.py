"""Beam search: the likeliest answers as a whole, not token after token."""

import tensorflow as tf

from keras_vngpt.generation.decoding_state import with_token
from keras_vngpt.generation.sampling import NEVER, next_node, processed


def beam_search(backend, state, groups, config, penalties, shared, end):
    """Steps with several beginnings of each answer at once, within XLA; as in transformers.

    Of the continuations of the beams of a group the best `2 * beams` are looked at: those that end
    here, if among the best `beams`, are answers; the best others are the next beams. A group is
    done when it has `beams` answers that nothing can beat any more.

    Args:
        backend, state, config, shared, end: as for `decode`; the rows of `state` are the beams,
            those of one group beside each other and alike.
        groups: float tensor [groups], of any value: their number says how rows make groups.
        penalties: `(length_penalty, early_stopping)`, float and bool tensors. A score is the sum of
            log-probabilities over length ** length_penalty.

    Returns:
        `(tokens, log_probabilities)`, each [groups, beams, columns], the best answers first.

    References:
        - [Vijayakumar et al., 2018](https://arxiv.org/abs/1610.02424), section 2, beam search.
    """
    length_penalty, early_stopping = penalties
    limit = config["max_new_tokens"][0]
    length_penalty = tf.clip_by_value(length_penalty, -10.0, 10.0)  # scores stay above `NEVER`
    groups, rows = tf.shape(groups)[0], tf.shape(state.lengths)[0]
    beams = rows // groups
    first_row = tf.range(groups)[:, None] * beams

    def of_beams(values):
        return tf.reshape(values, [groups, beams, -1])

    def finish(state, parents, chosen, log_probs):
        """The rows of `parents` [groups, n] with a token more: tokens and log-probabilities."""
        flat = tf.reshape(first_row + parents, [-1])
        state = _rows(state, flat)
        state = with_token(state, tf.reshape(chosen, [-1]), tf.reshape(log_probs, [-1]))
        shape = [groups, tf.shape(parents)[1], -1]
        return tf.reshape(state.tokens, shape), tf.reshape(state.log_probabilities, shape)

    def is_settled(i, scores, answers):
        """Groups, bool tensor [groups], that nothing can become better in."""
        length = tf.pow(tf.cast(tf.maximum(i, 1), tf.float32), length_penalty)
        worst, hope = tf.reduce_min(answers[0], axis=1), scores[:, 0] / length
        is_full = (worst > NEVER) & (early_stopping | (hope <= worst))
        return is_full | (scores[:, 0] <= NEVER / 2)

    def is_open(i, state, done, *_):
        return (i < limit) & ~tf.reduce_all(done)

    def body(i, state, done, scores, answers):
        tokens, cache = state.newest(), state.cache
        logits, cache = backend.step(tokens, state.lengths, state.cache_position, cache, shared)
        size = tf.shape(logits)[1]
        raw = tf.nn.log_softmax(logits)
        total = scores[..., None] + of_beams(processed(raw, state._replace(cache=()), end, config))
        best, place = tf.math.top_k(tf.reshape(total, [groups, beams * size]), 2 * beams)
        parents, chosen = place // size, tf.cast(place % size, tf.int32)
        log_probs = tf.gather(tf.reshape(of_beams(raw), [groups, -1]), place, batch_dims=1)
        is_last = (i + 1 >= limit) | (of_beams(state.lengths)[:, 0] + 1 >= backend.max_length)
        is_end = (chosen == end) | is_last

        # Answers: the best of those that were there and of those that end here.
        length = tf.pow(tf.cast(i + 1, tf.float32), length_penalty)
        is_answer = ~done[:, None] & is_end & (tf.range(2 * beams) < beams) & (best > NEVER / 2)
        new = tf.where(is_answer, best / length, NEVER), *finish(state, parents, chosen, log_probs)
        both = [tf.concat(pair, axis=1) for pair in zip(answers, new, strict=True)]
        kept, order = tf.math.top_k(both[0], beams)
        answers = kept, *(tf.gather(each, order, batch_dims=1) for each in both[1:])

        # Beams: the best of the others.
        scores, order = tf.math.top_k(tf.where(is_end, NEVER, best), beams)
        parents, chosen, log_probs = (
            tf.gather(each, order, batch_dims=1) for each in (parents, chosen, log_probs)
        )
        rows = tf.reshape(first_row + parents, [-1])
        state = _rows(state._replace(cache=backend.rows(cache, rows)), rows)
        token = tf.reshape(chosen, [-1])
        state = state._replace(node=next_node(state.node, token, config))
        state = with_token(state, token, tf.reshape(log_probs, [-1]))
        # Once done, always done: a group must not open again while others go on.
        done |= is_settled(i + 1, scores, answers)
        return i + 1, state, done, scores, answers

    # Beams of a group are alike at first: all but one have no share, or each would come again.
    scores = tf.repeat(tf.where(tf.range(beams) == 0, 0.0, NEVER)[None], groups, axis=0)
    none = (
        tf.fill([groups, beams], NEVER),
        of_beams(state.tokens),
        of_beams(state.log_probabilities),
    )
    done = of_beams(state.done)[:, 0, 0]
    state = state._replace(done=tf.zeros_like(state.done))
    *_, (_, tokens, log_probs) = tf.while_loop(is_open, body, (0, state, done, scores, none))
    return tokens, log_probs


def _rows(state, rows):
    """The state with these rows of all but the cache."""
    names = "tokens", "log_probabilities", "lengths", "answered", "done", "node"
    return state._replace(**{name: tf.gather(getattr(state, name), rows) for name in names})
