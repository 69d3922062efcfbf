"""The model as it is trained and measured: hidden states to a loss, never all logits at once."""

import keras
from keras import ops

from keras_vngpt.models.cross_entropy import chunked_cross_entropy
from keras_vngpt.training.fusion import fused


class Trainer(keras.Model):
    """A language model for `fit` on triples: the same weights, the head and the loss in one.

    Its loss is the sum of weight times nats: `sample_weight` must be normalised, as
    `normalized` does it.

    Args:
        model: a `VnGPTCausalLM`, or a KerasHub `CausalLM` whose head is its token embedding.

    Raises:
        ValueError: the head is another layer.

    Example:
        >>> trainer = Trainer(model)
        >>> trainer.compile(optimizer=MuonAdamW(6e-3))
        >>> trainer.fit(normalized(training_batches(rows, 16, seed=0, start=0, stop=100)))
    """

    def __init__(self, model):
        super().__init__(name="trainer")
        self.language_model = model
        self._embedding = model.backbone.token_embedding
        if not getattr(self._embedding, "tie_weights", False):
            raise ValueError(f"The head must be the token embedding. Received: model={model.name}")

    def call(self, x, training=None):
        return self.language_model.backbone(x, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        hidden_dim = y_pred.shape[-1]
        return chunked_cross_entropy(
            ops.reshape(y_pred, (-1, hidden_dim)),
            ops.cast(self._embedding.embeddings, y_pred.dtype),
            ops.reshape(y, (-1,)),
            ops.reshape(sample_weight, (-1,)),
            fuse=fused,
        )
