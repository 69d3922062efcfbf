"""The tokenizer: one spelling inside, the reader's spelling outside."""

import unicodedata

import numpy as np
import pytest
import sentencepiece

from keras_vngpt import train_tokenizer
from keras_vngpt.data.records import Conversation
from keras_vngpt.errors import UserError
from keras_vngpt.text.normalization import (
    canonical,
    prevailing_tone_placement,
    to_old_placement,
)
from keras_vngpt.text.tokenizer import CONTROL_SYMBOLS, load_tokenizer
from keras_vngpt.training.recipe.token_features import (
    piece_features,
    split_syllable,
    token_features,
)

SENTENCE = "Hòa bình, thủy tinh, khỏe mạnh; hoàn toàn, quý giá, loè loẹt, ệ ỡ Ậ."
NEW = "Hoà bình, thuỷ tinh, khoẻ mạnh; hoàn toàn, quý giá, loè loẹt, ệ ỡ Ậ."


def same(tokenizer, *texts):
    first, *others = (list(tokenizer(text)) for text in texts)
    return all(first == other for other in others)


def test_nfc_and_nfd_and_both_placements_give_the_same_ids(tokenizer):
    nfd = [unicodedata.normalize("NFD", text) for text in (SENTENCE, NEW)]
    assert same(tokenizer, SENTENCE, NEW, *nfd)


@pytest.mark.parametrize("a, b", [("hoà", "hòa"), ("thuỷ", "thủy"), ("HOÀ", "HÒA"), ("oẹ", "ọe")])
def test_tone_placement_does_not_count(tokenizer, a, b):
    assert same(tokenizer, a, b)


@pytest.mark.parametrize("word", ["hoàn", "quý", "giá", "Quý", "hoạt", "khuỷu", "của", "mùa"])
def test_words_that_have_one_placement_stay(tokenizer, word):
    assert tokenizer.detokenize(tokenizer(word)) == word
    assert to_old_placement(word) == word


def test_text_comes_out_in_the_placement_of_the_training_text():
    old = train_tokenizer(["hòa bình và thủy triều"] * 50, 300)
    new = train_tokenizer(["hoà bình và thuỷ triều"] * 50, 300)
    asked = train_tokenizer(["hoà bình và thuỷ triều"] * 50, 300, tone_placement="old")
    assert old.detokenize(old("hoà, thuỷ, quý")) == "hòa, thủy, quý"
    assert new.detokenize(new("hòa, thủy, quý")) == "hoà, thuỷ, quý"
    assert asked.detokenize(asked("hoà")) == "hòa"


def test_prevailing_placement_does_not_count_what_has_only_one():
    assert prevailing_tone_placement(["quý hoàn quý hoàn hòa"]) == "old"


def test_line_breaks_and_spaces_survive(tokenizer):
    text = "Một câu.\n\nHai  câu\ncách xa. "
    assert tokenizer.detokenize(tokenizer(text)) == text


@pytest.mark.parametrize("text", ["日本 emoji 🙂 и", "\x07 \u200d", "ﬁ ½", "नमस्ते"])
def test_nothing_is_unrepresentable(tokenizer, text):
    assert tokenizer.detokenize(tokenizer(text)) == text


@pytest.mark.parametrize("symbol", CONTROL_SYMBOLS)
def test_a_typed_control_symbol_is_only_text(tokenizer, symbol):
    ids = np.array(tokenizer(f"a {symbol} b{symbol}")).tolist()
    assert min(ids) >= len(CONTROL_SYMBOLS)
    assert tokenizer.detokenize(ids) == f"a {symbol} b{symbol}"


def test_ids_of_the_control_symbols(tokenizer):
    assert [tokenizer.token_to_id(s) for s in CONTROL_SYMBOLS] == [0, 1, 2, 3, 4]


def test_foreign_runtimes_agree(tokenizer, texts):
    plain = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.proto)
    for text in (
        SENTENCE,
        NEW,
        unicodedata.normalize("NFD", NEW),
        "a  b\n\n\tc 👍 漢\x00 [SEP]",
        *texts,
    ):
        assert plain.encode(text) == list(tokenizer(text)) == tokenizer.encode([text])[0]


def test_vocabulary_is_never_larger_than_the_text_supports(texts, capsys):
    small = train_tokenizer(texts[:2], 50_000)
    assert small.vocabulary_size() < 50_000
    assert str(small.vocabulary_size()) in capsys.readouterr().out
    with pytest.raises(UserError, match=r"supports at most \d+"):
        train_tokenizer(texts[:2], 50_000, shrink=False)
    with pytest.raises(UserError, match=r"supports at least \d+"):
        train_tokenizer(texts, 300, shrink=False)


def test_saved_tokenizer_comes_back(tokenizer, tmp_path):
    tokenizer.save_to_preset(str(tmp_path))
    loaded = load_tokenizer(tmp_path)
    assert same(loaded, SENTENCE) and list(loaded(SENTENCE)) == list(tokenizer(SENTENCE))
    assert loaded.tone_placement == tokenizer.tone_placement


def test_canonical_spelling():
    assert canonical(unicodedata.normalize("NFD", "thuỷ ")) == "thủy"


def test_a_small_vietnamese_letter_is_never_spelled_in_bytes(texts):
    tokenizer = train_tokenizer([*texts, "ỡ ẵ ữ"], 700)
    for letter in "ỡ ẵ ữ õ".split():
        assert not any("<0x" in tokenizer.id_to_token(int(i)) for i in tokenizer(letter))


def test_words_of_several_syllables_are_tokens_and_end_with_a_syllable(texts):
    tokenizer = train_tokenizer(texts, 1_500, words=0.2)
    pieces = map(tokenizer.id_to_token, range(tokenizer.vocabulary_size()))
    words = [piece for piece in pieces if piece.count("▁") > 1 and piece.strip("▁")]
    syllables = set(" ".join(texts).replace("\n", " ").split(" "))
    assert len(words) > 100
    spoken = [str(tokenizer.detokenize(tokenizer.encode([w.replace("▁", " ")])[0])) for w in words]
    assert sum(set(text.split()) <= syllables for text in spoken) > 0.9 * len(words)
    for text in texts[:5]:
        assert list(tokenizer(text)) == list(tokenizer.encode([text])[0])
        assert tokenizer.detokenize(tokenizer(text)) == text


def test_a_text_without_words_of_several_syllables_needs_none():
    assert train_tokenizer(["Đèn"] * 50, 300, words=0.3).vocabulary_size() <= 300


@pytest.mark.parametrize(
    "syllable, parts",
    [
        ("trường", ("tr", "ương", "grave")),
        ("nghĩa", ("ngh", "ia", "tilde")),
        ("quạ", ("qu", "a", "dot")),
        ("gì", ("g", "i", "grave")),
        ("ăn", ("", "ăn", "level")),
        ("wifi", ("", "wifi", "level")),
    ],
)
def test_a_syllable_parts_into_onset_rhyme_and_tone(syllable, parts):
    assert split_syllable(syllable) == parts


def test_tokens_share_the_features_of_their_syllables(tokenizer):
    pieces = [tokenizer.id_to_token(i) for i in range(tokenizer.vocabulary_size())]
    features = token_features(tokenizer)
    of_token = {}
    for token, feature in features:
        of_token.setdefault(token, set()).add(feature)
    assert np.all(np.bincount(features[:, 1]) > 1)  # none of one token alone
    assert all((features[1:] >= features[:-1]).any(axis=1))  # in order
    for token, shared in of_token.items():
        assert len(shared) <= len(piece_features(pieces[token]))
    letters = [i for i in of_token if len(piece_features(pieces[i])) > 3]
    assert len(letters) > 50
    a, b = piece_features("▁Trường"), piece_features("▁nhà▁trường")
    assert {("syllable", "trường"), ("last", "trường"), ("rhyme", "ương")} <= a & b
    assert ("first", "trường") not in b
    assert not any(piece_features(piece) for piece in ("▁", "\n", "▁12", ".", "▁đ-"))
    assert not {0, 1, 2, 3, 4} & set(of_token)  # the control symbols, the bytes
    assert not [i for i in of_token if pieces[i].startswith("<0x")]


ODD = {
    "eth": ("\u00d0à Nẵng", "Đà Nẵng"), "African d": ("\u0189à Nẵng", "Đà Nẵng"),
    "small eth": ("\u00f0ồng bào", "đồng bào"), "acute": ("tha\u0341ng", "tháng"),
    "grave": ("ba\u0340", "bà"), "circumflex and grave": ("bâ\u0340n", "bần"),
    "no-break space": ("Hà\u00a0Nội", "Hà Nội"), "narrow space": ("5\u202fkm", "5 km"),
    "zero width": ("Hà\u200b Nội", "Hà Nội"), "soft hyphen": ("Hà N\u00adội", "Hà Nội"),
    "joiner": ("Hà\u2060 Nội", "Hà Nội"), "new placement": ("hoà thuỷ", "hòa thủy"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_looks_alike_is_one_text_for_tokenizer_splits_and_exact_match(tokenizer, name):
    odd, right = ODD[name]
    assert same(tokenizer, odd, right)
    assert canonical(odd) == canonical(right)
    spoken = [Conversation((text,), ("Đáp",), "a.csv:2") for text in (odd, right)]
    assert spoken[0].asked == spoken[1].asked and spoken[0].key == spoken[1].key
