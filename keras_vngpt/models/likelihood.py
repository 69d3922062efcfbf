"""How likely the model finds the targets, each weighted as in the loss."""

import keras


class NegativeLogLikelihood:
    """The mean negative log-likelihood of batches of triples, exact over unequal batches.

    Keras's own `val_loss` is a mean of batch means; this divides once, by all the weights.

    Args:
        model: a `VnGPTCausalLM`, or any model from `{"token_ids", "padding_mask"}` to logits.

    Example:
        >>> nll = NegativeLogLikelihood(model)(evaluation_batches(rows, 32))
    """

    def __init__(self, model):
        self._model = keras.Model(model.input, model.output)
        metric = keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="nll")
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)  # Keras wants one
        self._model.compile(loss=loss, weighted_metrics=[metric], jit_compile=False)

    def __call__(self, batches):
        """Nats per unit of weight, a float."""
        return self._model.evaluate(batches, verbose=0, return_dict=True)["nll"]
