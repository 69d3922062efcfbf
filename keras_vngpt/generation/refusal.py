"""An answer that a model is not sure of becomes one sentence that says so."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import tensorflow as tf

from keras_vngpt.errors import UserError
from keras_vngpt.files import atomic_write
from keras_vngpt.text.refusal_text import REFUSAL

FILE = "refusal.json"  # beside a preset


def certainty(log_probabilities):
    """How sure a model is of its answers: the probability of the least likely token of each.

    One token decides between two answers that it knows; a mean over all would hide it.

    Args:
        log_probabilities: float tensor [batch, new], padded with 0.

    Returns:
        float tensor [batch], from 0 to 1.

    Example:
        >>> certainty(tf.math.log([[0.9, 0.5, 1.0]])).numpy().round(1)
        array([0.5], dtype=float32)
    """
    least = tf.reduce_min(tf.pad(log_probabilities, [[0, 0], [0, 1]]), axis=-1)
    return tf.exp(least)


@dataclass(frozen=True)
class Refusal:
    """What is said instead of an answer that the model is not sure of.

    Args:
        below: float, the certainty that an answer must have; 0 gives every answer.
        sentence: str, what is said instead.
    """

    below: float = 0.0
    sentence: str = REFUSAL

    @classmethod
    def load(cls, preset):
        """That of a preset folder, or one that refuses nothing.

        Raises:
            UserError: its file cannot be read.
        """
        file = Path(preset, FILE)
        if not file.is_file():
            return cls()
        try:
            return cls(**json.loads(file.read_text("utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{file}: cannot be read ({error})") from None

    def save(self, preset):
        """Write it beside a preset."""
        with atomic_write(Path(preset, FILE), durable=True) as partial:
            partial.write_text(json.dumps(asdict(self), ensure_ascii=False), encoding="utf-8")

    def __call__(self, texts, log_probabilities, below=None):
        """Texts, the sentence in the place of those that are not certain enough.

        Args:
            texts: string tensor [batch].
            log_probabilities: float tensor [batch, new], of the tokens of each.
            below: float, instead of its own.
        """
        below = self.below if below is None else below
        return tf.where(certainty(log_probabilities) < below, self.sentence, texts)
