"""From documents and conversations to packed rows, every cut counted."""

import math
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from keras_vngpt.data.rows import Rows, best_fit, flow
from keras_vngpt.faults import Faults
from keras_vngpt.quiet import verbosity

BATCH = 512


@dataclass
class Prepared:
    """Rows, and what became of the text on the way.

    Args:
        rows: `Rows`.
        scored_bytes: int, UTF-8 bytes of the text that carries weight.
        weight: float, the sum of all weights.
        cuts: dictionary of counts: requests and responses cut, turns and rows dropped.
    """

    rows: Rows
    scored_bytes: int
    weight: float
    cuts: dict = field(default_factory=dict)

    @property
    def bits_per_nat(self):
        """From nats per scored token to bits per byte of the scored text."""
        return self.weight / max(1, self.scored_bytes) / math.log(2)


def prepare_items(items, preprocessor, name="data"):
    """Documents, or conversations, to rows.

    Documents flow from row to row, nothing is cut. Conversations stay whole and are packed by best
    fit; what is too long for a row is cut as the preprocessor says.

    Args:
        items: list of str, or list of `Conversation`.
        preprocessor: a `VnGPTCausalLMPreprocessor`; its `sequence_length` is that of the rows.
        name: what a message calls the items.

    Returns:
        `Prepared`.

    Raises:
        Faults: where no response is left.
    """
    length = preprocessor.sequence_length
    if isinstance(items[0], str):
        triples, cuts = _triples(items, preprocessor, None)
        rows, scored_text = flow(triples, length), items
    else:
        triples, cuts = _triples(items, preprocessor, length)
        scored = [triple for triple in triples if triple[2].any()]
        cuts["rows dropped"] = len(triples) - len(scored)
        if not scored:
            raise Faults(f"{name}: no response is left to learn from")
        rows = best_fit(scored, length)
        scored_text = [text for item in items for text in item.responses]
    n_bytes = sum(len(text.encode()) for text in scored_text)
    return Prepared(rows, n_bytes, sum(float(w.sum()) for _, _, w in triples), cuts)


def _triples(items, preprocessor, length):
    triples, cuts = [], {}
    bar = None
    if len(items) > 20 * BATCH:
        bar = keras.utils.Progbar(len(items), verbose=verbosity(), unit_name="text")
    for start in range(0, len(items), BATCH):
        batch = items[start : start + BATCH]
        if isinstance(batch[0], str):
            texts = tf.constant(batch)
        else:
            texts = {
                "prompts": tf.ragged.constant([c.prompts for c in batch]),
                "responses": tf.ragged.constant([c.responses for c in batch]),
            }
        *columns, counts = preprocessor.documents(texts, length)
        splits = columns[0].row_splits.numpy()[1:-1]
        columns = (np.split(column.flat_values.numpy(), splits) for column in columns)
        triples += zip(*columns, strict=True)
        for name, count in counts.items():
            cuts[name] = cuts.get(name, 0) + int(count)
        if bar:
            bar.update(start + len(batch))
    return triples, cuts
