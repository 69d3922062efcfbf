"""Several turns as the ids of one prompt."""

import tensorflow as tf


def conversation_ids(decoder, prompts, responses):
    """Token ids of a conversation that waits for its next response.

    Args:
        decoder: a `Decoder` or `ExportedDecoder`.
        prompts: list of str, one more than responses.
        responses: list of str.

    Returns:
        list of int: `[BOS] q1 [SEP] a1 [EOS] [BOS] q2 [SEP]`.

    Example:
        >>> conversation_ids(decoder, ["Chào bạn", "Bật đèn"], ["Chào bạn!"])
    """

    def turns(ids):
        return [[i for i in turn if i] for turn in ids.numpy().tolist()]

    requests, ids = turns(decoder.tokenize(tf.constant(prompts))), []
    answers = turns(decoder.answer_ids(tf.constant(responses, tf.string)))
    for request, answer in zip(requests, answers, strict=False):
        ids += [*request, *answer, int(decoder.end)]
    return ids + requests[-1]


def answer_conversations(decoder, conversations, max_new_tokens=None, **controls):
    """The next response to each of a batch of conversations.

    Args:
        decoder: a `Decoder` or `ExportedDecoder`.
        conversations: list of `(prompts, responses)`, prompts one more.
        max_new_tokens: int; by default what the model's length allows.
        **controls: see `Controls`.

    Returns:
        list of str.
    """
    ids = [conversation_ids(decoder, *conversation) for conversation in conversations]
    ids = decoder.generate_ids(
        tf.ragged.constant(ids, tf.int32).to_tensor(), max_new_tokens, **controls
    )
    return [text.decode(errors="replace") for text in decoder.detokenize(ids).numpy()]
