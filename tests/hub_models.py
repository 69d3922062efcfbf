"""Small models of KerasHub with random weights, on bytes or on a few letters."""

import keras_hub

SIZES = {"num_layers": 2, "hidden_dim": 32, "intermediate_dim": 64}
FEW = "!abcĠ"  # letters whose texts are always UTF-8
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = [*map(chr, PRINTABLE), *(chr(256 + i) for i in range(256 - len(PRINTABLE)))]


def make_gpt2(letters=BYTES, length=48):
    vocabulary = {piece: i for i, piece in enumerate([*letters, "ab", "<|endoftext|>"])}
    tokenizer = keras_hub.models.GPT2Tokenizer(vocabulary, ["a b"])
    preprocessor = keras_hub.models.GPT2CausalLMPreprocessor(tokenizer, sequence_length=length)
    backbone = keras_hub.models.GPT2Backbone(
        len(vocabulary), num_heads=2, max_sequence_length=length, **SIZES
    )
    return keras_hub.models.GPT2CausalLM(backbone, preprocessor)


def make_qwen3(letters=BYTES, length=48):
    """No start token, no positions, grouped keys, an untied head, a padding that is no 0."""
    pieces = [*letters, "ab", "<|im_end|>", "<|endoftext|>"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = keras_hub.models.Qwen3Tokenizer(vocabulary, ["a b"])
    preprocessor = keras_hub.models.Qwen3CausalLMPreprocessor(tokenizer, sequence_length=length)
    backbone = keras_hub.models.Qwen3Backbone(
        vocabulary_size=len(vocabulary), num_query_heads=2, num_key_value_heads=1, head_dim=16,
        tie_word_embeddings=False, **SIZES,
    )  # fmt: skip
    return keras_hub.models.Qwen3CausalLM(backbone, preprocessor)
