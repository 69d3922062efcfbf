"""What tokens have in common: syllables, their parts, how a word is written."""

import re
from collections import Counter

import numpy as np

from keras_vngpt.text.normalization import split_tone

# The consonants that begin a syllable, so that the longest one is found first.
ONSETS = "ngh ch gh gi kh ng nh ph qu th tr b c d đ g h k l m n p q r s t v x".split()


def split_syllable(syllable):
    """Onset, rhyme and tone of a syllable in small letters.

    Example:
        >>> split_syllable("trường")
        ('tr', 'ương', 'grave')
    """
    letters, tone = split_tone(syllable)
    onset = next((o for o in ONSETS if letters.startswith(o) and letters != o), "")
    return onset, letters.removeprefix(onset), tone


def piece_features(piece):
    """The features of a SentencePiece piece, as a set of tuples; none if it is not of letters.

    Example:
        >>> sorted(piece_features("▁hoa"))  # doctest: +NORMALIZE_WHITESPACE
        [('first', 'hoa'), ('last', 'hoa'), ('onset', 'h'), ('rhyme', 'oa'), ('syllable', 'hoa'),
         ('tone', 'level'), ('written', True, False, 1)]
    """
    syllables = piece.lower().strip("▁").split("▁")
    if not all(re.fullmatch(r"[^\W\d_]+", syllable) for syllable in syllables):
        return set()
    begins_word, is_capital = piece.startswith("▁"), piece.strip("▁")[0].isupper()
    features = {
        ("first", syllables[0]),
        ("last", syllables[-1]),
        ("written", begins_word, is_capital, len(syllables)),
    }
    for syllable in syllables:
        parts = zip(("onset", "rhyme", "tone"), split_syllable(syllable), strict=True)
        features |= {("syllable", syllable), *parts}
    return features


def token_features(tokenizer):
    """Which tokens share which features.

    Args:
        tokenizer: a `VnGPTTokenizer`.

    Returns:
        int32 array [pairs, 2] of a token id and the number of a feature of it, in order. Only
        features of two tokens or more are there.

    Example:
        >>> token_features(tokenizer).max(axis=0)
        array([8191, 4044], dtype=int32)

    References:
        - [Bojanowski et al., 2017](https://arxiv.org/abs/1607.04606), section 3.2: a word as the
          sum of what it is made of.
    """
    pieces = map(tokenizer.id_to_token, range(tokenizer.vocabulary_size()))
    of_tokens = [
        set() if re.fullmatch(r"\[\w+\]|<0x..>", piece) else piece_features(piece)
        for piece in pieces
    ]
    counts = Counter(feature for features in of_tokens for feature in features)
    shared = sorted((f for f, count in counts.items() if count > 1), key=repr)
    number = {feature: i for i, feature in enumerate(shared)}
    pairs = [
        (token, number[feature])
        for token, features in enumerate(of_tokens)
        for feature in sorted(features & number.keys(), key=number.get)
    ]
    return np.array(pairs, "int32").reshape(-1, 2)
