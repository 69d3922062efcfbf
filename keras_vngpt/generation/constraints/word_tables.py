"""Bad words and choices, given as texts, as tables over tokens; within a graph."""

import tensorflow as tf

from keras_vngpt.generation.shapes import to_the_right, used


def bad_words_table(texts, encode):
    """Texts as token sequences that must not come: the table of `GenerationConfig.bad_words`.

    Args:
        texts: string tensor [n]; an empty one forbids nothing.
        encode: from texts to the ids of an answer, padded on the right with 0.

    Returns:
        int tensor [sequences, longest], padded on the left with -1.
    """
    texts = tf.boolean_mask(texts, tf.strings.length(texts) > 0)
    # As they stand at the beginning or after a space, and as they stand after anything else.
    after_break = encode("\n" + texts)[:, tf.shape(encode(tf.constant(["\n"])))[1] :]
    alone = encode(texts)
    width = tf.maximum(tf.shape(alone)[1], tf.shape(after_break)[1])
    both = (tf.pad(x, [[0, 0], [0, width - tf.shape(x)[1]]]) for x in (alone, after_break))
    both = tf.concat(list(both), axis=0)
    return to_the_right(both, used(both), padding=-1)


def choices_tables(token_ids, end):
    """The automaton of `GenerationConfig.choices`: an answer is one of these.

    Answers with the same beginning share its nodes.

    Args:
        token_ids: int tensor [answers, length], padded on the right with 0.
        end: int, `[EOS]`, which comes after each.

    Returns:
        A dictionary of two int tensors [nodes, edges]: `constraint_tokens`, the tokens that may
        come in each node, padded with -1, and `constraint_nodes`, where they lead; node 0 is the
        start.
    """
    answers, length = tf.unstack(tf.shape(token_ids))
    lengths = tf.reduce_sum(tf.cast(token_ids != 0, tf.int32), axis=-1)
    columns = tf.range(length + 1)
    # After the tokens comes the end, and then nothing.
    tokens = tf.where(columns == lengths[:, None], end, tf.pad(token_ids, [[0, 0], [0, 1]]))

    def next_first(first, column):
        """The first answer with the same tokens up to this column, for each."""
        _, kind = tf.unique(tf.cast(first, tf.int64) * tf.int32.max + tf.cast(column, tf.int64))
        return tf.gather(tf.math.unsorted_segment_min(tf.range(answers), kind, answers), kind)

    # A node is a beginning: its length, and the first answer that has it.
    first = tf.scan(next_first, tf.transpose(tokens), tf.zeros([answers], tf.int32))
    first = tf.concat([tf.zeros([1, answers], tf.int32), first], axis=0)
    node = tf.transpose(first + tf.range(length + 2)[:, None] * answers)
    is_new = (tf.transpose(first[1:]) == tf.range(answers)[:, None]) & (tokens != 0)
    edges = tf.stack([node[:, :-1], tokens, node[:, 1:]], axis=-1)
    edges = tf.boolean_mask(edges, is_new)
    # Only nodes that there are have a number, the start 0.
    ends = tf.concat([[0], tf.reshape(tf.gather(edges, [0, 2], axis=1), [-1])], axis=0)
    used, number = tf.unique(ends)
    from_to = tf.reshape(number[1:], [-1, 2])
    order = tf.argsort(from_to[:, 0], stable=True)
    start, tokens, to = (tf.gather(x, order) for x in (from_to[:, 0], edges[:, 1], from_to[:, 1]))

    def table(values, padding):
        rows = tf.RaggedTensor.from_value_rowids(values, start, tf.size(used), validate=False)
        return rows.to_tensor(padding)

    return {"constraint_tokens": table(tokens, -1), "constraint_nodes": table(to, 0)}
