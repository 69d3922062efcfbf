"""The head of a language model: hidden states to logits, and straight to losses and scores."""

from keras import ops

from keras_vngpt.models.cross_entropy import as_it_is, capped, chunked_cross_entropy, chunked_scores


class Head:
    """The output projection of a causal language model, for training without all logits at once.

    Args:
        layer: a `keras_hub.layers.ReversibleEmbedding`, tied or not, with a soft cap or without.
        fuse: as for `chunked_cross_entropy`.

    Example:
        >>> head = Head(model.backbone.token_embedding)
        >>> nats, is_likeliest = head.scores(model.backbone(x), target)
    """

    def __init__(self, layer, fuse=as_it_is):
        self.layer = layer
        self.fuse = fuse
        self.soft_cap = getattr(layer, "logit_soft_cap", None)

    def matrix(self, dtype):
        """The projection, float tensor [vocabulary_size, hidden_dim]."""
        if self.layer.tie_weights:
            return ops.cast(self.layer.embeddings, dtype)
        return ops.transpose(ops.cast(self.layer.reverse_embeddings, dtype))

    def logits(self, hidden):
        """All logits, float32 [..., vocabulary_size]; what the layer gives, up to rounding."""
        logits = ops.matmul(hidden, ops.transpose(self.matrix(hidden.dtype)))
        return capped(ops.cast(logits, "float32"), self.soft_cap)

    def cross_entropy(self, hidden, target, weight, soft_targets=None):
        """The sum of weight times nats.

        Args:
            hidden: float tensor [rows, length, hidden_dim].
            target: int tensor [rows, length].
            weight: float tensor [rows, length].
            soft_targets: optional, as for `chunked_cross_entropy`.

        Returns:
            A float32 scalar.
        """
        return chunked_cross_entropy(
            ops.reshape(hidden, (-1, hidden.shape[-1])),
            self.matrix(hidden.dtype),
            ops.reshape(target, (-1,)),
            ops.reshape(weight, (-1,)),
            soft_targets,
            soft_cap=self.soft_cap,
            fuse=self.fuse,
        )

    def scores(self, hidden, target):
        """The nats of each target, and whether it is the likeliest token.

        Args:
            hidden: float tensor [rows, length, hidden_dim].
            target: int tensor [rows, length].

        Returns:
            `(nats, is_likeliest)`: float32 and bool tensors [rows * length].
        """
        return chunked_scores(
            ops.reshape(hidden, (-1, hidden.shape[-1])),
            self.matrix(hidden.dtype),
            ops.reshape(target, (-1,)),
            soft_cap=self.soft_cap,
        )
