"""How many responses a model gets right as a whole, from one forward pass."""

import keras
import numpy as np


class WholeResponses:
    """The share of documents in which every scored token is the likeliest.

    For a conversation of one turn this is the exact match of greedy decoding, at the price of one
    forward pass: if each token is the likeliest after the true ones before it, greedy decoding
    takes just these, and only then.

    Args:
        model: as for `NegativeLogLikelihood`.

    Example:
        >>> share = WholeResponses(model)(evaluation_batches(rows, 32))
    """

    def __init__(self, model):
        self._model = keras.Model(model.input, keras.ops.argmax(model.output, axis=-1))

    def __call__(self, batches):
        """The share, a float."""
        n_right = n_documents = 0
        for x, target, weight in batches:
            predicted = self._model.predict_on_batch(x)
            segments, weight = np.array(x["padding_mask"]), np.array(weight)
            documents = segments + np.arange(len(segments))[:, None] * (segments.max() + 1)
            is_wrong = (predicted != np.array(target)) & (weight > 0)
            all_documents = np.unique(documents[weight > 0])
            n_documents += len(all_documents)
            n_right += len(all_documents) - len(np.unique(documents[is_wrong]))
        return n_right / max(1, n_documents)
