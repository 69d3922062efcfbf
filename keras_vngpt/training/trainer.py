"""The model as it is trained: hidden states to a loss, never all logits at once."""

import keras
from keras import ops

from keras_vngpt.models.head import Head
from keras_vngpt.training.xla import fused


class Trainer(keras.Model):
    """A language model for `fit` on triples: the same weights, the head and the loss in one.

    Its loss is the sum of weight times nats: `sample_weight` must be normalised, as
    `normalized` does it.

    Args:
        model: a KerasHub `CausalLM`.
        head: `Head` of the model; by default its token embedding.
        loss: as `Task.loss`; `None` for the cross-entropy of the targets.
        ngrams: optional `NGrams`. Then the part `soft_share` of each target, which
            `with_soft_share` puts into a batch, goes to what followed the same tokens elsewhere;
            the loss that is shown is of the tokens that came, as without.

    Example:
        >>> trainer = Trainer(model)
        >>> trainer.compile(optimizer=make_optimizer(settings, total_steps=100))
        >>> trainer.fit(normalized(training_batches(rows, 16, seed=0, start=0, stop=100)))
    """

    def __init__(self, model, head=None, loss=None, ngrams=None):
        super().__init__(name="trainer")
        self.language_model = model
        self.head = head or Head(model.backbone.token_embedding, fuse=fused)
        self.task_loss = loss
        self.ngrams = ngrams

    def call(self, x, training=None):
        inputs = {name: x[name] for name in ("token_ids", "padding_mask")}
        return self.language_model.backbone(inputs, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if self.task_loss:
            return self.task_loss(self.head, y_pred, y, sample_weight, x)
        soft_targets = self._soft_targets(**x) if self.ngrams else None
        return self.head.cross_entropy(y_pred, y, sample_weight, soft_targets)

    def _soft_targets(self, token_ids, padding_mask, soft_share, **others):
        ids, shares = self.ngrams.successors(token_ids, padding_mask)
        return ids, shares * ops.repeat(soft_share, token_ids.shape[1])[:, None]
