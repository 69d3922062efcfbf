"""The base of all model families."""

import json
from abc import ABC, abstractmethod
from pathlib import Path

from keras_vngpt.data.preprocessor import VnGPTCausalLMPreprocessor
from keras_vngpt.errors import UserError
from keras_vngpt.models.head import Head


class ModelFamily(ABC):
    """A kind of causal language model: how it is built or loaded, its head, its prompts.

    A family knows nothing of training, generation and export: these pick their part by its name.

    Attributes:
        name: str.
        takes_segments: bool, whether documents may share a row: then `padding_mask` carries their
            numbers. Where not, each has a row by itself.
        separator: str, the text between request and response where there is no token for it.
    """

    name = ""
    takes_segments = False
    separator = None

    @abstractmethod
    def matches_model(self, model):
        """Whether a model, a `keras_hub.models.CausalLM`, is of this family."""

    @abstractmethod
    def matches_preset(self, folder):
        """Whether the preset in a folder is of this family."""

    def preprocessor(
        self, tokenizer, sequence_length, prompt_format, eos_weight=1.0, system="", turns=1
    ):
        """What makes triples for this family.

        Args:
            tokenizer: of the model.
            sequence_length: int, positions in a row.
            prompt_format: "request" or "text".
            eos_weight: float, the weight of `[EOS]` in the loss.
            system, turns: what a model is trained with, as for `VnGPTCausalLMPreprocessor`.

        Returns:
            A `VnGPTCausalLMPreprocessor`.
        """
        return VnGPTCausalLMPreprocessor(
            tokenizer,
            sequence_length=sequence_length,
            eos_weight=eos_weight,
            prompt_format=prompt_format,
            separator=self.separator,
            system=system,
            turns=turns,
        )

    @abstractmethod
    def load(self, folder, preprocessor, **settings):
        """The model of a preset folder, ready to train on what a preprocessor makes.

        Args:
            folder: Path.
            preprocessor: from `preprocessor`.
            **settings: `dtype`, `dropout`, `gradient_checkpointing`, `max_sequence_length`; one
                that the family has not is said.

        Returns:
            A `keras_hub.models.CausalLM`.
        """

    def save(self, model, folder, preprocessor):
        """Write a preset that `load` reads, and KerasHub too."""
        model.save_to_preset(str(folder))

    def head(self, model, **arguments):
        """The `Head` of a model."""
        return Head(model.backbone.token_embedding, **arguments)


def preset_config(folder):
    """The `config.json` of a preset folder, that of its backbone.

    Raises:
        UserError: there is none, or it is damaged.
    """
    try:
        return json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{folder}: cannot be loaded (config.json is missing or damaged)") from None
