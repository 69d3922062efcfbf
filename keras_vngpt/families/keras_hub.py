"""Any other causal language model of KerasHub: GPT-2, Qwen3, Llama, Gemma, from a preset folder."""

import json
from pathlib import Path

import keras_hub
import numpy as np
from keras import ops

from keras_vngpt.errors import UserError
from keras_vngpt.families.family import ModelFamily

SEPARATOR = "\n"  # between request and response: these models have no token for it
PROMPT = "prompt.json"  # beside the preset: how the model was trained to be prompted
PROMPT_FIELDS = ("prompt_format", "separator", "system", "turns")  # in it
TOLERANCE = 0.02  # between two ways to the same logits, in bfloat16


class KerasHub(ModelFamily):
    """The family of all models that KerasHub brings, with their own tokenizers."""

    name = "keras_hub"
    separator = SEPARATOR

    def matches_model(self, model):
        return isinstance(model, keras_hub.models.CausalLM)

    def matches_preset(self, folder):
        return True

    def load(self, folder, preprocessor, **settings):
        try:
            model = keras_hub.models.CausalLM.from_preset(str(folder), dtype=settings["dtype"])
        except Exception as error:  # whatever a damaged folder raises
            raise UserError(f"{folder}: cannot be loaded ({str(error).splitlines()[0]})") from None
        length = settings["max_sequence_length"]
        longest = getattr(model.backbone, "max_sequence_length", None) or length
        if longest < length:
            raise UserError(
                f"sequence_length: {length}; the model of {folder} has positions for {longest}"
            )
        model.preprocessor.sequence_length = preprocessor.sequence_length
        for name in ("dropout", "gradient_checkpointing"):
            if settings.get(name):
                print(f"  {name}: not used; the model of {folder} has its own layers")
        return model

    def save(self, model, folder, preprocessor):
        super().save(model, folder, preprocessor)
        form = {name: getattr(preprocessor, name) for name in PROMPT_FIELDS}
        text = json.dumps(form, ensure_ascii=False)
        Path(folder, PROMPT).write_text(text, encoding="utf-8")

    def head(self, model, **arguments):
        """The `Head` of a model, once it gives the logits of the model itself.

        Raises:
            UserError: it does not: its loss would be wrong.
        """
        head = super().head(model, **arguments)
        ids = np.arange(4)[None] % model.backbone.vocabulary_size
        inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
        inputs = {name: ops.convert_to_tensor(x, "int32") for name, x in inputs.items()}
        logits = ops.cast(model(inputs), "float32")
        difference = float(ops.max(ops.abs(head.logits(model.backbone(inputs)) - logits)))
        if not difference <= TOLERANCE * (1 + float(ops.max(ops.abs(logits)))):
            raise UserError(
                f"{type(model).__name__}: its logits are not those of its token embedding "
                f"(difference {difference:.3g}): it cannot be trained"
            )
        return head
