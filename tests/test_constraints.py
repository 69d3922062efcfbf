"""A constraint lets through the answers that match its pattern, and no others."""

import itertools
import random
import re
import time
import unicodedata

import numpy as np
import pytest
import sentencepiece

from keras_vngpt.errors import UserError
from keras_vngpt.generation.constraints import regex
from keras_vngpt.generation.constraints.regex import regex_constraint, vocabulary_of
from keras_vngpt.text.normalization import to_old_placement

END = 4
COMMAND = r"(bật|tắt) (đèn|quạt) (phòng ngủ|phòng khách)( lên mức [1-9])?"


@pytest.fixture(scope="module")
def vocabulary(tokenizer):
    return vocabulary_of(tokenizer.proto)


@pytest.fixture(scope="module")
def model(tokenizer):
    return sentencepiece.SentencePieceProcessor(model_proto=tokenizer.proto)


def steps(constraint, state):
    """The state after each token that may come."""
    return {t: n for t, n in zip(*(x[state].tolist() for x in constraint), strict=True) if t >= 0}


def takes(constraint, ids):
    """Whether the tokens and then the end are let through."""
    state = 0
    for token in [*ids, END]:
        state = steps(constraint, state).get(token)
        if state is None:
            return False
    return True


def walk(constraint, rng):
    """Tokens at random until the end."""
    state, ids = 0, []
    while True:
        after = steps(constraint, state)
        token = END if END in after and rng.random() < 0.2 else rng.choice(list(after))
        if token == END:
            assert after[END] == state
            return ids
        state = after[token]
        ids.append(token)


@pytest.mark.parametrize(
    "pattern",
    [
        COMMAND,
        r"[0-9]{1,3}(\.[0-9]{3})*",
        r"[1-9]|1[0-2]",
        r".{1,12}",
        r"[^,]{1,5}(, [^,]{1,5})*",
        r"a|ab|abc",
        r"( |\n){1,3}x",
        r"(?i:vâng|không)\.?",
        r"^[a-zà-ỹ]*$",
        r'\{"mức": [1-9], "đèn": (true|false)\}',
    ],
)
def test_every_walk_spells_a_text_that_matches(pattern, vocabulary, model, tokenizer):
    constraint = regex_constraint(pattern, vocabulary, END)
    rng = random.Random(0)
    for _ in range(200):
        ids = walk(constraint, rng)
        assert re.fullmatch(pattern, model.decode(ids)), ids
        assert tokenizer.detokenize(ids) == to_old_placement(model.decode(ids))


@pytest.mark.parametrize(
    "pattern, answers",
    [
        (COMMAND, ["bật đèn phòng ngủ", "tắt quạt phòng khách lên mức 9"]),
        (r"\w+( \w+)*", ["Tôi đang bật đèn", "мир", "日本", "nghiêng", "10"]),
        (r".*", ["", " ", "  a  b ", "🙂 ậ", "\x00\x07", "[EOS]", "hoà quý"]),
        (r"(?s).*", ["\n", "a\n\n b"]),
        (r"\d+", ["0", "0123456789"]),
        (r"(phòng|phòng ngủ)", ["phòng", "phòng ngủ"]),
        (re.escape("(a+b)* [c]. - ~&#"), ["(a+b)* [c]. - ~&#"]),
    ],
)
def test_every_match_can_be_spelled_as_the_tokenizer_does(pattern, answers, vocabulary, tokenizer):
    constraint = regex_constraint(pattern, vocabulary, END)
    for text in answers:
        assert re.fullmatch(pattern, text)
        assert takes(constraint, tokenizer.encode([text])[0]), text


@pytest.mark.parametrize(
    "pattern",
    [
        "a|ab",
        "(ab)+",
        "(ab|ba)*",
        "a*?b??",
        "(a|b)*a(a|b)",
        "(a$|b)b*",
        "(|a)b?",
        "^a(ba)*$",
        " a? ",
    ],
)
def test_a_text_is_let_through_if_and_only_if_it_matches(pattern, vocabulary, tokenizer):
    constraint = regex_constraint(pattern, vocabulary, END)
    for length in range(5):
        for text in map("".join, itertools.product("ab ", repeat=length)):
            is_match = bool(re.fullmatch(pattern, text))
            assert takes(constraint, tokenizer.encode([text])[0]) == is_match, text


def test_digits_are_those_of_unicode(vocabulary, model):
    constraint = regex_constraint(r"\d{1,9}", vocabulary, END)
    rng = random.Random(0)
    digits = "".join(model.decode(walk(constraint, rng)) for _ in range(200))
    assert "7" in digits  # and some that are younger than Python's tables
    assert {unicodedata.category(digit) for digit in digits} <= {"Nd", "Cn"}


def test_letters_spelled_in_bytes_come_whole(vocabulary, model):
    constraint = regex_constraint("[ậđ]x?", vocabulary, END)
    ids = [model.piece_to_id("▁"), *(model.piece_to_id(f"<0x{b:02X}>") for b in "ậ".encode())]
    assert takes(constraint, ids) and not any(takes(constraint, ids[:i]) for i in range(4))
    assert not takes(constraint, [*ids, ids[-1]])
    assert model.decode(ids) == "ậ"


def test_an_answer_begins_as_in_training(vocabulary, tokenizer, model):
    constraint = regex_constraint("bật", vocabulary, END)
    ids = tokenizer.encode(["bật"])[0]
    assert vocabulary[ids[0]].startswith(b" ") and takes(constraint, ids)
    assert all(vocabulary[token].startswith(b" ") for token in steps(constraint, 0))
    space = model.piece_to_id("<0x20>")  # decoding would leave it
    assert not takes(constraint, [space, *ids]) and space not in constraint.tokens


def test_the_bytes_of_an_answers_tokens_are_a_space_and_its_text(
    texts, vocabulary, tokenizer, model
):
    for ids in tokenizer.encode([*texts, "日本 🙂\n x", "  a", "\nb", "[SEP]"]):
        assert b"".join(vocabulary[i] for i in ids).decode() == " " + model.decode(ids)
    assert vocabulary[:5] == [b""] * 5


@pytest.mark.parametrize("pattern", ["hòa thủy", "hoà thuỷ", "hoà thủy"])
def test_either_tone_placement_and_any_normalisation_mean_the_same(pattern, vocabulary, tokenizer):
    for form in ("NFC", "NFD"):
        constraint = regex_constraint(unicodedata.normalize(form, pattern), vocabulary, END)
        assert takes(constraint, tokenizer.encode(["hòa thủy"])[0])
        ids = walk(constraint, random.Random(0))
        assert tokenizer.detokenize(ids) == "hòa thủy"


@pytest.mark.parametrize(
    "pattern, answers",
    [
        ("h[òa]", ["hò", "ha"]),
        (r"[\]òa]", ["]", "ò", "a"]),
        ("hòa?", ["hò"]),
        (r"\[hòa]", ["[hòa]"]),  # no class
        (unicodedata.normalize("NFD", "[ậ]+"), ["ậ", "ậậ"]),
    ],
)
def test_classes_and_letters_with_a_quantifier_stay_as_they_are(
    pattern, answers, vocabulary, tokenizer
):
    constraint = regex_constraint(pattern, vocabulary, END)
    assert all(takes(constraint, ids) for ids in tokenizer.encode(answers))
    assert not takes(constraint, tokenizer.encode(["hoà"])[0])


def test_the_arrays_are_as_promised(vocabulary):
    tokens, next_states = regex_constraint(COMMAND, vocabulary, END)
    assert tokens.shape == next_states.shape and tokens.dtype == next_states.dtype == np.int32
    is_padding = tokens < 0
    assert (tokens[is_padding] == -1).all() and (next_states[is_padding] == 0).all()
    assert not is_padding.all(axis=1).any() and not is_padding.all(axis=0).any()
    assert (np.diff(np.where(is_padding, 2**30, tokens), axis=1)[~is_padding[:, 1:]] > 0).all()
    assert set(next_states.ravel()) == set(range(len(tokens)))


def test_the_end_can_be_reached_from_each_state():
    vocabulary = [b"", b" a", b"b", b" c", b"x", b" ", b"dd"]  # nothing for "d" alone
    constraint = regex_constraint("ab|cd|x(x)*y|e?", vocabulary, 0)
    assert constraint.tokens.tolist() == [[0, 1, 5], [2, -1, -1], [0, -1, -1], [0, -1, -1]]
    assert constraint.next_states.tolist() == [[0, 1, 2], [3, 0, 0], [2, 0, 0], [3, 0, 0]]


def test_a_count_does_not_take_exponential_time(vocabulary):
    start = time.process_time()
    constraint = regex_constraint("[^,]{1,24}", vocabulary, END)  # 5 s if matches begin anywhere
    assert time.process_time() - start < 1 and len(constraint.tokens) < 24 * 9


@pytest.mark.parametrize(
    "pattern, fault",
    [
        ("(bật", "unterminated subpattern at position 0"),
        ("a)|(b", "unbalanced parenthesis at position 1"),
        ("[a", "unterminated character set"),
        ("(?\n)", "unknown extension"),
        ("a{3,2}", "min repeat greater than max"),
        ("a{99999999999}", "too large"),
        ("(" * 3000 + ")" * 3000, "recursion"),
        (r"(a)\1", "back-reference"),
        (r"(?P<x>a)(?P=x)", "back-reference"),
        (r"a(?=b)", "looks ahead or behind"),
        (r"(?<!a)b", "looks ahead or behind"),
        (r"\bbật\b", "whole answer"),
        (r"bật|^tắt", "whole answer"),
        (r"[ab]++", "possessive"),
        (r"a{1,2}+", "possessive"),
        (r"[a-z&&b]", "set intersection"),
        (r"a{,3}", "not supported"),
        (r"[^\s\S]", "matches"),
        (r"a$b", "matches"),
        (r"a{1,1001}", "more than 1,000: {1,1001}"),
        ("\ud800", "not supported"),
    ],
)
def test_a_bad_pattern_is_named_in_one_line(pattern, fault, vocabulary):
    with pytest.raises(UserError, match="^regex: ") as raised:
        regex_constraint(pattern, vocabulary, END)
    assert fault in str(raised.value) and "\n" not in str(raised.value)


def test_without_outlines_core_one_line_says_what_to_install(vocabulary, monkeypatch):
    monkeypatch.setattr(regex.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError) as raised:
        regex_constraint("a", vocabulary, END)
    told = 'regex: needs outlines-core. pip install "keras_vngpt[regex]"'
    assert raised.value.faults == [told]


def test_a_pattern_that_no_tokens_spell_is_refused():
    with pytest.raises(UserError, match="^regex: no answer of this vocabulary's tokens matches$"):
        regex_constraint("abc", [b"", b" a", b"b"], 0)


def test_an_automaton_that_is_too_large_is_refused(vocabulary, monkeypatch):
    monkeypatch.setattr(regex, "MAX_ENTRIES", 10_000)
    regex_constraint(COMMAND, vocabulary, END)
    with pytest.raises(UserError, match="^regex: makes more than 10,000 entries"):
        regex_constraint(".{1,40}", vocabulary, END)


@pytest.mark.parametrize("pattern", ["(.{1,100}){1,100}", "(a|b)*a(a|b){18}", "(a{999}){999}"])
def test_a_pattern_that_would_take_forever_is_given_up(vocabulary, monkeypatch, pattern):
    monkeypatch.setattr(regex, "MAX_SECONDS", 3)
    monkeypatch.setattr(regex, "MAX_MEMORY", 2**30)
    start = time.monotonic()
    with pytest.raises(UserError, match="^regex: (takes|makes) more than "):
        regex_constraint(pattern, vocabulary, END)
    assert time.monotonic() - start < 30


def test_an_answer_never_ends_within_a_character(generator):
    """Each of its emoji is four tokens, a byte each."""
    found = {
        n: (
            generator.generate(["Trời"], n, choices=["🎉🎉"]).numpy()[0].decode(),
            "".join(generator.stream("Trời", n, choices=["🎉🎉"])),
        )
        for n in range(1, 10)
    }
    assert all(whole == streamed for whole, streamed in found.values())
    assert {whole for whole, _ in found.values()} == {"", "🎉", "🎉🎉"}
