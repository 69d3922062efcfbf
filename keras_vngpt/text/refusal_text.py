"""The sentence that a model says where it knows no answer."""

from keras_vngpt.text.normalization import canonical

REFUSAL = "Xin lỗi, tôi chưa biết điều này."


def is_refusal(text, sentence=REFUSAL):
    """Whether an answer is that sentence; the placement of tone marks does not count.

    Example:
        >>> is_refusal("Xin lỗi, tôi chưa biết điều này.")
        True
    """
    return canonical(text) == canonical(sentence)
