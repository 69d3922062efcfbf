"""A `GenerationConfig` as the tensors that decoding takes: each row has settings of its own."""

import dataclasses

import tensorflow as tf

from keras_vngpt.generation.decoding_state import IDS, NUMBER, ROWS
from keras_vngpt.generation.generation_config import GenerationConfig, complete

# Of a search: one value for all rows.
SEARCH_SPECS = {
    "num_return_sequences": NUMBER,
    "num_beams": NUMBER,
    "length_penalty": tf.TensorSpec([], tf.float32),
    "early_stopping": tf.TensorSpec([], tf.bool),
}
DTYPES = {
    field.name: {int: tf.int32, float: tf.float32}[type(field.default)]
    for field in dataclasses.fields(GenerationConfig)
    if isinstance(field.default, int | float) and field.name not in SEARCH_SPECS
}
# Token sequences padded on the left with -1, and the automaton of a constraint: see `processed`.
TABLES = {"bad_words": IDS, "constraint_tokens": IDS, "constraint_nodes": IDS}
CONFIG_SPECS = {
    **{name: tf.TensorSpec([None], dtype) for name, dtype in DTYPES.items()},
    "max_new_tokens": ROWS,
    "row": ROWS,  # tells rows of one seed apart
    **TABLES,
}


def config_tensors(given, rows, max_new_tokens=None, generator=None):
    """The settings of rows that are alike.

    Args:
        given: dictionary, names as in `GenerationConfig`; defaults for the others.
        rows: int or int tensor.
        max_new_tokens: int or int tensor; `None` for no limit but the model's length.
        generator: the `TextGenerator` that turns texts and patterns into tables, where there are
            some.

    Returns:
        A dictionary of tensors, those of `CONFIG_SPECS`.

    Raises:
        ValueError: for a name that is no setting.
    """
    values = complete(given) | {"max_new_tokens": max_new_tokens}
    if max_new_tokens is None:
        values["max_new_tokens"] = NUMBER.dtype.max
    shape = tf.reshape(rows, [1])
    dtypes = DTYPES | {"max_new_tokens": NUMBER.dtype}
    config = {n: tf.fill(shape, tf.cast(values[n], dtype)) for n, dtype in dtypes.items()}
    config |= {"row": tf.range(rows), **dict.fromkeys(TABLES, tf.constant([[-1]]))}
    if values["bad_words"] or values["choices"]:
        texts = (tf.constant(values[name], tf.string) for name in ("bad_words", "choices"))
        config |= generator.tables(*texts)
    if values["regex"]:
        config |= generator.regex(values["regex"])
    return config
