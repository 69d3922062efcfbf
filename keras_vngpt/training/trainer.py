"""The model as it is trained and measured: hidden states to a loss, never all logits at once."""

import keras
from keras import ops

from keras_vngpt.models.cross_entropy import chunked_cross_entropy
from keras_vngpt.training.fusion import fused


class Trainer(keras.Model):
    """A language model for `fit` on triples: the same weights, the head and the loss in one.

    Its loss is the sum of weight times nats: `sample_weight` must be normalised, as
    `normalized` does it.

    With n-grams the part `soft_share` of each target, which `with_soft_share` puts into a batch,
    goes to what followed the same tokens elsewhere. The loss that is shown is of the tokens that
    came, as without.

    Args:
        model: a `VnGPTCausalLM`, or a KerasHub `CausalLM` whose head is its token embedding.
        ngrams: optional `NGrams`.

    Raises:
        ValueError: the head is another layer.

    Example:
        >>> trainer = Trainer(model)
        >>> trainer.compile(optimizer=Muon(6e-3))
        >>> trainer.fit(normalized(training_batches(rows, 16, seed=0, start=0, stop=100)))
    """

    def __init__(self, model, ngrams=None):
        super().__init__(name="trainer")
        self.language_model = model
        self.ngrams = ngrams
        self._embedding = model.backbone.token_embedding
        if not getattr(self._embedding, "tie_weights", False):
            raise ValueError(f"The head must be the token embedding. Received: model={model.name}")

    def call(self, x, training=None):
        inputs = {name: x[name] for name in ("token_ids", "padding_mask")}
        return self.language_model.backbone(inputs, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        hidden_dim = y_pred.shape[-1]
        return chunked_cross_entropy(
            ops.reshape(y_pred, (-1, hidden_dim)),
            ops.cast(self._embedding.embeddings, y_pred.dtype),
            ops.reshape(y, (-1,)),
            ops.reshape(sample_weight, (-1,)),
            self.ngrams and self._soft_targets(**x),
            fuse=fused,
        )

    def _soft_targets(self, token_ids, padding_mask, soft_share):
        ids, shares = self.ngrams.successors(token_ids, padding_mask)
        return ids, shares * ops.repeat(soft_share, token_ids.shape[1])[:, None]
