"""The validation loss, and the share of responses whose every token is right."""

import keras
from keras import ops

from keras_vngpt.models.head import Head


class Scores:
    """The mean negative log-likelihood of batches, and the share of responses right as a whole.

    Keras's own `val_loss` is a mean of batch means; this divides once, by all the weights. A
    response is right as a whole where every scored token is the likeliest. For a conversation of
    one turn this is the exact match of greedy decoding, at the price of one forward pass: if each
    token is the likeliest after the true ones before it, greedy decoding takes just these.

    Args:
        model: a KerasHub `CausalLM`.
        head: optional `Head` of the model.

    Example:
        >>> nats, right = Scores(model)(evaluation_batches(rows, 32))
    """

    def __init__(self, model, head=None):
        self._hidden = keras.Model(model.backbone.input, model.backbone.output)
        self._head = head or Head(model.backbone.token_embedding)

    def __call__(self, batches):
        """`(nats, right)`: nats per unit of weight, and the share of the documents.

        Args:
            batches: of `({"token_ids", "padding_mask"}, target, sample_weight)`.
        """
        nats = scored = n_right = n_documents = 0
        for x, target, weight in batches:
            hidden = ops.convert_to_tensor(self._hidden.predict_on_batch(x))
            weight = ops.reshape(ops.cast(weight, "float32"), (-1,))
            of_target, is_likeliest = self._head.scores(hidden, target)
            nats += float(ops.sum(weight * of_target))
            scored += float(ops.sum(weight))

            n_rows, length = target.shape
            rows = ops.repeat(ops.arange(n_rows), length)
            documents = rows * (length + 1) + ops.reshape(ops.cast(x["padding_mask"], "int32"), -1)

            def has_any(is_so, documents=documents, n=n_rows * (length + 1)):
                return ops.segment_max(ops.cast(is_so, "int32"), documents, num_segments=n) > 0

            is_document = has_any(weight > 0)
            is_wrong = has_any((weight > 0) & ~is_likeliest)
            n_documents += int(ops.sum(is_document))
            n_right += int(ops.sum(is_document & ~is_wrong))
        return nats / scored, n_right / max(1, n_documents)
