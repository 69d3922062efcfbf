"""Training of the SentencePiece model on the user's text."""

import io
import os
import re
import string
import tempfile
import unicodedata
from collections import Counter

import sentencepiece

from keras_vngpt.errors import UserError
from keras_vngpt.text.normalization import (
    normalization_rules,
    normalization_tsv,
    prevailing_tone_placement,
    vietnamese_letters,
)
from keras_vngpt.text.tokenizer import BOS, EOS, PAD, SEP, UNK, VnGPTTokenizer

MAX_BYTES = 16_000_000  # of text to train on
MAX_SENTENCE_BYTES = 4192  # SentencePiece drops longer ones
SYLLABLES = 6_000  # Vietnamese has about seven thousand
SYLLABLES_OF_A_WORD = 4
TOKENS_FOR_SYLLABLES = 3_072  # before words of several have their own


def _sentences(texts):
    """Paragraphs short enough for SentencePiece, at most `MAX_BYTES`, spread over all."""
    step = max(1, -(-sum(len(t.encode()) for t in texts) // MAX_BYTES))
    for text in texts[::step]:
        for paragraph in text.split("\n"):
            data = paragraph.encode()
            for start in range(0, len(data), MAX_SENTENCE_BYTES):
                yield data[start : start + MAX_SENTENCE_BYTES].decode(errors="ignore")


def _normalized(text):
    """Text as training will see it."""
    text = unicodedata.normalize("NFC", text)
    for source, target in normalization_rules().items():
        text = text.replace(source, target)
    return text


def _words(text, count):
    """The words of several syllables that shorten a text most, as pieces ("▁Việt▁Nam").

    They are the merges of byte-pair encoding with a syllable in the place of a letter, so a piece
    ends with a syllable, as it does not where the encoding of letters may cross a space. (Where a
    word is how a longer one begins, as "con cá" in "con cái", the longer one is cut: rare.)
    """
    runs = [run.split(" ") for run in re.findall(r"[^\W\d_]+(?: [^\W\d_]+)+", text)]
    frequency = Counter(syllable for run in runs for syllable in run)
    # A letter of some large script for each syllable; what is rare ends a word.
    letter = {s: chr(0x4E00 + i) for i, (s, _) in enumerate(frequency.most_common(SYLLABLES))}
    syllable = {code: s for s, code in letter.items()}
    lines = ["".join(letter.get(s, " ") for s in run) for run in runs]
    if not lines:
        return []
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="bpe",
        vocab_size=len(letter) + 4 + count,
        hard_vocab_limit=False,
        character_coverage=1.0,
        split_by_unicode_script=False,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        max_sentencepiece_length=SYLLABLES_OF_A_WORD,
        num_threads=os.cpu_count(),
        minloglevel=2,
    )
    model = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = map(model.id_to_piece, range(model.get_piece_size()))
    return [
        "".join(f"▁{syllable[code]}" for code in piece)
        for piece in pieces
        if len(piece) > 1 and all(code in syllable for code in piece)
    ]


def _train(texts, vocabulary_size, kind, split_digits, words):
    model = io.BytesIO()
    sentences = list(_sentences(texts))
    # The letters as training will see them: one that is never seen ends SentencePiece 0.2.1.
    seen = _normalized("\n".join(sentences))
    words = _words(seen, int(words * vocabulary_size)) if words else []
    required = vietnamese_letters() | (set(string.ascii_letters) if words else set())
    if words:  # what is left of the text between them is what training counts
        of_words = set(re.findall(r"\w+", " ".join(words).replace("▁", " ")))
        seen = "".join(set(re.findall(r"\w+", seen)) - of_words)
    with tempfile.TemporaryDirectory() as folder:
        rules = os.path.join(folder, "rules.tsv")
        with open(rules, "w", encoding="utf-8") as file:
            file.write(normalization_tsv())
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type=kind,
            vocab_size=vocabulary_size,
            normalization_rule_tsv=rules,
            remove_extra_whitespaces=False,
            byte_fallback=True,
            split_digits=split_digits,
            character_coverage=0.9995,  # what is rarer is spelled in bytes, but for these letters
            required_chars="".join(sorted(set(seen) & required)),
            user_defined_symbols=["\n", *words],
            control_symbols=[SEP],
            pad_id=0, pad_piece=PAD,
            unk_id=1, unk_piece=UNK,
            bos_id=2, bos_piece=BOS,
            eos_id=4, eos_piece=EOS,
            unk_surface="",
            num_threads=os.cpu_count(),
            minloglevel=2,
        )  # fmt: skip
    # The model names the file of the rules, which is gone: the same model every time without it.
    # (In place: sentencepiece's own protobuf classes refuse a protobuf older than theirs.)
    return model.getvalue().replace(rules.encode(), b"-" * len(rules.encode()))


def train_tokenizer(
    texts,
    vocabulary_size,
    kind="bpe",
    tone_placement="auto",
    split_digits=True,
    words=None,
    shrink=True,
):
    """Train a tokenizer on Vietnamese text.

    Args:
        texts: list of str, the documents.
        vocabulary_size: number of tokens wanted, control symbols and 256 bytes included.
        kind: "bpe" or "unigram".
        tone_placement: "old", "new", or "auto" for the one that `texts` mostly uses.
        split_digits: a token for each digit, so that a number never seen can be understood;
            `False` where the numbers are few and always the same.
        words: float, the share of the vocabulary for words of several syllables, such as
            "Việt Nam"; by default half, but what leaves 3,072 tokens for the rest.
        shrink: take a smaller vocabulary, with a message, where the text does not support
            `vocabulary_size`; `False` makes it a fault.

    Returns:
        A `VnGPTTokenizer`.

    Raises:
        UserError: no text, or a vocabulary that the text does not support.

    Example:
        >>> train_tokenizer(["Tôi đang bật đèn phòng khách."] * 50, 300).vocabulary_size()
        300
    """
    if not any(text.strip() for text in texts):
        raise UserError("tokenizer: there is no text to train on")
    share = words
    if share is None:
        share = max(0.0, min(0.5, 1 - TOKENS_FOR_SYLLABLES / vocabulary_size))
    size = vocabulary_size
    while True:
        try:
            proto = _train(texts, size, kind, split_digits, share)
            break
        except RuntimeError as error:
            limit = _supported_size(str(error))
            if share and words is None:  # a text this small is better spent on syllables alone
                share = 0.0
            elif not shrink or limit >= size:
                relation = "at most" if limit < size else "at least"
                raise UserError(
                    f"tokenizer.vocabulary_size: {vocabulary_size}; this text supports {relation} "
                    f"{limit}. Take that, or leave the setting out"
                ) from None
            else:
                size = limit
    if size < vocabulary_size:
        print(f"The text supports {size} tokens, not {vocabulary_size}: taking {size}.")
    if tone_placement == "auto":
        tone_placement = prevailing_tone_placement(texts[: 1 + len(texts) // 4])
    return VnGPTTokenizer(proto=proto, tone_placement=tone_placement)


def _supported_size(error):
    """The nearest size that training accepts, from SentencePiece's message."""
    for pattern in (r"value <= (\d+)", r"smaller than required_chars\. \d+ vs (\d+)"):
        if found := re.search(pattern, error):
            return int(found[1])
    raise RuntimeError(error)
