"""SavedModels that earlier versions wrote, under the names that signatures have today."""

import tensorflow as tf

# Today's name: the one of version 0.1.
NAMES = {"prefill": "prefill_with", "encode_response": "answer_ids"}
STATE_NAMES = {"cache_position": "clock"}


class Renamed:
    """A signature whose state has the names of version 0.1."""

    def __init__(self, signature):
        self._signature = signature
        self.structured_input_signature = signature.structured_input_signature

    def __call__(self, **inputs):
        if "cache_position" in inputs:
            position, tokens = inputs["cache_position"], inputs["tokens"]
            # It stood in the state, though the tokens have it.
            inputs["token_ids"] = tf.gather(tokens, position % tf.shape(tokens)[1], axis=1)
        named = {STATE_NAMES.get(name, name): tensor for name, tensor in inputs.items()}
        today = {old: new for new, old in STATE_NAMES.items()}
        return {today.get(n, n): tensor for n, tensor in self._signature(**named).items()}


def as_of_today(signatures):
    """The signatures of a SavedModel by the names that they have today.

    Args:
        signatures: of the SavedModel; those that nobody renamed are given back as they are.

    Returns:
        A dictionary of functions from named tensors to dictionaries of tensors.
    """
    signatures = dict(signatures)
    if "row_controls" not in signatures:
        return signatures
    renamed = {new: signatures[old] for new, old in NAMES.items() if old in signatures}
    found = signatures | renamed
    found |= {name: Renamed(found[name]) for name in ("prefill", "decode_steps")}
    if "choices" in signatures:

        def tables(bad_words, choices):
            of_words = signatures["bad_words"](texts=bad_words)
            return of_words | signatures["choices"](texts=choices)

        found["tables"] = tables
    return found
