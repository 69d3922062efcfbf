"""Where a text ends, and how much of it will not change any more."""

import re

import tensorflow as tf

CHUNK = 16  # steps between two looks at the texts; what is beyond a stop string is thrown away


def has_stopped(texts, stop):
    """Whether texts have a stop string.

    Args:
        texts: string tensor [batch].
        stop: string tensor [n], none empty; n may be 0.

    Returns:
        bool tensor [batch].
    """
    found = tf.strings.regex_full_match(texts, "(?s).*(?:" + _any_of(stop) + ").*")
    return found & (tf.size(stop) > 0)


def cut(texts, stop):
    """Texts without their first stop string and what is behind it."""
    shorter = tf.strings.regex_replace(texts, "(?s)(?:" + _any_of(stop) + ").*", "")
    return tf.where(tf.size(stop) > 0, shorter, texts)


def until_stop(token_ids, log_probabilities, stop, detokenize):
    """Answers up to the first token with which their text has a stop string.

    Args:
        token_ids, log_probabilities: int and float tensors [batch, new], padded with 0.
        stop: string tensor [n], none empty; n may be 0.
        detokenize: from int tensor [batch, length] to string tensor [batch].

    Returns:
        `token_ids` and `log_probabilities`, zeros behind that token.
    """
    columns = tf.range(tf.shape(token_ids)[1])

    def halve(low, high):
        middle = (low + high) // 2
        texts = detokenize(tf.where(columns < middle[:, None], token_ids, 0))
        is_enough = has_stopped(texts, stop)
        return tf.where(is_enough, low, middle + 1), tf.where(is_enough, middle, high)

    none = tf.zeros(tf.shape(token_ids)[:1], tf.int32)
    all_ = none + tf.shape(token_ids)[1]
    fewest = tf.cond(
        tf.size(stop) > 0,
        lambda: tf.while_loop(lambda low, high: tf.reduce_any(low < high), halve, (none, all_))[0],
        lambda: all_,
    )
    is_kept = columns < fewest[:, None]
    return tf.where(is_kept, token_ids, 0), tf.where(is_kept, log_probabilities, 0.0)


def _any_of(strings):
    """A pattern for RE2 that matches any of these strings."""
    quoted = tf.strings.regex_replace(strings, r"[[:punct:]]", r"\\\0")
    return tf.strings.reduce_join(quoted, separator="|")


def settled(text, stop):
    """How much of an unfinished text can be shown: the rest may change.

    The last word may: its tone mark has one place in "hòa" and another in "hoàn", and the bytes of
    its last character may not all be there. So may what looks like the beginning of a stop string.

    Args:
        text: str, the answer so far.
        stop: list of str.

    Returns:
        int, a number of characters.
    """
    whole = max((found.end() for found in re.finditer(r"\s", text)), default=0)
    begun = (s[:n] for s in stop for n in range(1, len(s)) if text.endswith(s[:n], 0, whole))
    return whole - max(map(len, begun), default=0)
