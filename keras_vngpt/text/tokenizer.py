"""The tokenizer as a KerasHub layer: SentencePiece with the normalisation inside."""

import functools
import json
import os

import keras
import sentencepiece
import tensorflow as tf
from keras_hub.tokenizers import SentencePieceTokenizer

from keras_vngpt.errors import UserError
from keras_vngpt.text.normalization import TONE_PLACEMENT_RULES, to_old_placement

PAD, UNK, BOS, SEP, EOS = CONTROL_SYMBOLS = ("[PAD]", "[UNK]", "[BOS]", "[SEP]", "[EOS]")


@keras.saving.register_keras_serializable(package="keras_vngpt")
class VnGPTTokenizer(SentencePieceTokenizer):
    """Vietnamese text to token ids and back, on a SentencePiece model.

    The model normalises by itself: NFC and NFD, "hoà" and "hòa" give the same ids. `[PAD]` (0),
    `[UNK]` (1), `[BOS]` (2), `[SEP]` (3) and `[EOS]` (4) are control symbols: no text that a user
    types becomes one of them.

    Args:
        proto: path of a SentencePiece model, or its bytes (see `train_tokenizer`).
        tone_placement: "old" ("hòa") or "new" ("hoà"), for the text that `detokenize` returns.
        **kwargs: as for `keras_hub.tokenizers.SentencePieceTokenizer`.

    Raises:
        ValueError: for another `tone_placement`, or a model without the control symbols.

    Example:
        >>> tokenizer = train_tokenizer(["Tôi đang bật đèn phòng khách."] * 50, 300)
        >>> tokenizer.detokenize(tokenizer("bật đèn"))
        'bật đèn'

    References:
        - [Kudo and Richardson, 2018](https://arxiv.org/abs/1808.06226)
    """

    backbone_cls = None  # set where the package is put together

    def __init__(self, proto=None, tone_placement="old", **kwargs):
        if tone_placement not in ("old", "new"):
            raise ValueError(
                '`tone_placement` must be "old" or "new". '
                f"Received: tone_placement={tone_placement}"
            )
        self.tone_placement = tone_placement
        for name, token in zip(("pad", "unk", "start", "sep", "end"), CONTROL_SYMBOLS, strict=True):
            self._add_special_token(token, f"{name}_token")
        super().__init__(proto=proto, **kwargs)

    def get_config(self):
        return {**super().get_config(), "tone_placement": self.tone_placement}

    @classmethod
    def from_preset(cls, preset, **kwargs):
        """As KerasHub's, and from a folder that holds a tokenizer alone, as a run has one."""
        if os.path.isdir(preset) and not os.path.exists(os.path.join(preset, "config.json")):
            return load_tokenizer(preset)
        return super().from_preset(preset, **kwargs)

    def encode(self, texts):
        """The ids that the layer gives, by the sentencepiece library.

        It takes half the time of TensorFlow's operation, and other threads go on meanwhile. Used
        where text is prepared once, outside of a graph.

        Args:
            texts: list of str or UTF-8 bytes.

        Returns:
            list of lists of int.

        Example:
            >>> ids = tokenizer.encode(["bật đèn", "tắt quạt"])
        """
        return _processor(self.proto).encode(texts, num_threads=1)

    def detokenize(self, inputs):
        """Token ids to text, tone marks where `tone_placement` wants them.

        Args:
            inputs: ids as a list, a ragged or a dense tensor, with or without a batch dimension.

        Returns:
            As `SentencePieceTokenizer.detokenize`: str, list of str, or a string tensor.
        """
        text = super().detokenize(inputs)
        if self.tone_placement == "new":
            return text
        if isinstance(text, str):
            return to_old_placement(text)
        if isinstance(text, (list, tuple)):
            return [to_old_placement(t) for t in text]
        return to_old_placement_in_graph(tf.convert_to_tensor(text))


@functools.lru_cache(maxsize=4)
def _processor(proto):
    return sentencepiece.SentencePieceProcessor(model_proto=proto)


def to_old_placement_in_graph(text):
    """`to_old_placement` for a string tensor of any shape, with TensorFlow operations."""
    for pattern, replacement in TONE_PLACEMENT_RULES:
        text = tf.strings.regex_replace(text, pattern, replacement)
    return text


def load_tokenizer(folder):
    """The tokenizer that `save_to_preset` wrote to a folder of its own, without a model beside it.

    Raises:
        UserError: a file is missing or damaged.

    Example:
        >>> tokenizer = load_tokenizer("runs/default/tokenizer")
    """
    try:
        with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as file:
            tokenizer = keras.saving.deserialize_keras_object(json.load(file))
        tokenizer.load_preset_assets(str(folder))
    except Exception as error:  # whatever a damaged file raises
        raise UserError(f"{folder}: cannot be loaded ({str(error).splitlines()[0]})") from None
    return tokenizer
