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
