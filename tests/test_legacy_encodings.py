"""Vietnamese that is not in Unicode's letters is named, mended on request, and never suspected."""

import unicodedata

import pytest
from conftest import ROOT

from keras_vngpt.data.find_requests import in_unicode
from keras_vngpt.data.readers import read_documents
from keras_vngpt.data.records import Conversation
from keras_vngpt.errors import UserError
from keras_vngpt.runs.settings import FitSettings
from keras_vngpt.tasks import TASKS
from keras_vngpt.text.legacy_encodings import TCVN3, legacy_encoding, mend_encoding

TONES = "\u0301\u0300\u0309\u0303\u0323"
TO_VIQR = dict(zip(TONES, "'`?~.", strict=True)) | {"\u0306": "(", "\u0302": "^", "\u031b": "+"}


@pytest.fixture(scope="module")
def documents():
    found = read_documents(["samples:prose"])
    parts = [part for text in found for part in text.split("\n") if len(part.split()) > 12]
    assert len(parts) >= 60
    return [unicodedata.normalize("NFC", part).replace("\u2026", "...") for part in parts[:60]]


def to_vni(text):
    """Each vowel with its mark behind it, as VNI fonts have it."""
    tones = dict(zip(TONES, "ùøûõï", strict=True))
    hats = dict(zip(("", *TONES), "âáàåãä", strict=True))
    breves = dict(zip(("", *TONES), "êéèúüë", strict=True))
    alone = {"đ": "ñ", "ỉ": "æ", "ĩ": "ó", "ị": "ò", "ỵ": "î", "í": "í", "ì": "ì"}
    out = []
    for letter in text:
        low = letter.lower()
        base, *marks = unicodedata.normalize("NFD", low)
        tone = next((m for m in marks if m in TONES), "")
        if low in alone:
            new = alone[low]
        elif "\u0302" in marks or "\u0306" in marks:
            new = base + (hats if "\u0302" in marks else breves)[tone]
        elif "\u031b" in marks:
            new = {"o": "ô", "u": "ö"}[base] + (tones[tone] if tone else "")
        else:
            new = base + tones[tone] if tone else low
        out.append(new.upper() if letter != low else new)
    return "".join(out)


def to_viqr(text):
    letters = unicodedata.normalize("NFD", text.replace("đ", "dd").replace("Đ", "DD"))
    order = {mark: i for i, mark in enumerate("\u0306\u0302\u031b" + TONES)}
    out, marks = [], []
    for letter in letters + " ":
        if letter in order:
            marks.append(letter)
            continue
        out += [TO_VIQR[mark] for mark in sorted(marks, key=order.get)] + [letter]
        marks = []
    return "".join(out)[:-1]


def read_as(codec):
    def misread(text):
        return "".join(
            bytes([byte]).decode(codec) if _has(codec, byte) else chr(byte)
            for byte in text.encode()
        )

    return misread


def _has(codec, byte):
    try:
        bytes([byte]).decode(codec)
    except UnicodeDecodeError:
        return False
    return True


WAYS = {
    "TCVN3 (ABC)": lambda t: t.translate(str.maketrans({v: k for k, v in TCVN3.items()})),
    "VNI": to_vni,
    "VIQR": to_viqr,
    "UTF-8 read as windows-1252": read_as("cp1252"),
    "UTF-8 read as windows-1254": read_as("cp1254"),
    "UTF-8 read as Mac Roman": read_as("mac_roman"),
}


@pytest.mark.parametrize("name", WAYS)
def test_every_document_in_other_letters_is_named_and_mended(documents, name):
    others = {"UTF-8 read as windows-1252", "UTF-8 read as windows-1254"}  # few letters differ
    for text in documents:
        legacy = WAYS[name](text)
        found = legacy_encoding(legacy)
        assert found == name or {found, name} == others, (text, legacy)
        words, mended = text.split(), mend_encoding(legacy, found).split()
        right = sum(a == b for a, b in zip(words, mended, strict=True))
        # Of VIQR a tone may be the end of a sentence too.
        assert right == len(words) or (name == "VIQR" and right > 0.9 * len(words)), (words, mended)


def test_a_text_as_it_should_be_is_never_suspected(documents):
    english = (ROOT / "LICENSE").read_text()
    bare = "toi muon bat den phong khach va tat quat phong ngu. Duoc khong? Cam on nhieu nhe."
    for text in (
        *documents,
        *english.split("\n\n"),
        bare,
        "x = a.b(c) + d['e']",
        "A × B + C × D + E × F",
        "Ça va? Où ça?",
    ):
        assert not legacy_encoding(text), text
        assert not legacy_encoding(unicodedata.normalize("NFD", text))


@pytest.mark.parametrize(
    "viqr, text",
    [
        ("dde^? gi`? Ba ho?i. Me. dda.i dde^'n.", "để gì? Ba hỏi. Mẹ đại đến."),
        ("u*o*'c mo* cu?a DDo^ng", "ước mơ của Đông"),
        ("la\\? add HDDND...", "la? add HĐND..."),
        ('Ai a\n"Anh a?"\nO+? dda^y', 'Ai a\n"Anh a?"\nỞ đây'),
    ],
)
def test_a_mark_of_viqr_is_a_tone_unless_a_sentence_ends_there(viqr, text):
    assert mend_encoding(viqr, "VIQR") == text


def test_a_text_with_foreign_names_is_named():
    text = WAYS["VNI"]("Thủ tướng Israel Benjamin Netanyahu phát biểu tại Jerusalem hôm 8/9.")
    assert legacy_encoding(text) == "VNI"


@pytest.mark.parametrize("codec", ["cp1252", "mac_roman"])
def test_what_was_read_wrongly_twice_is_mended_too(documents, codec):
    for text in documents[:20]:
        twice = read_as(codec)(read_as(codec)(text))
        assert mend_encoding(twice, legacy_encoding(twice)) == text


def found_in(tmp_path, documents, **clean):
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(map(WAYS["TCVN3 (ABC)"], documents)), encoding="utf-8")
    settings = FitSettings()
    settings.pretrain.data = [str(path)]
    for key, value in clean.items():
        setattr(settings.pretrain.clean, key, value)
    return TASKS["pretrain"].read(settings.pretrain, [])


def test_a_corpus_says_what_it_leaves_out_and_mends_it_on_request(tmp_path, documents, capsys):
    assert not found_in(tmp_path, documents).texts
    assert "60 documents are in TCVN3 (ABC), not in Unicode: left out" in capsys.readouterr().out
    fixed = found_in(tmp_path, documents, encoding="fix")
    assert set(fixed.texts) <= set(documents) and len(fixed.texts) > 30
    assert "mended" in capsys.readouterr().out


def test_a_document_whose_letters_are_lost_is_left_out_and_told(tmp_path, documents, capsys):
    path = tmp_path / "a.txt"
    lost = documents[0].encode().decode("cp1252", errors="replace")
    path.write_text("\n\n".join([lost, *documents[1:]]), encoding="utf-8")
    settings = FitSettings()
    settings.pretrain.data, settings.pretrain.clean.encoding = [str(path)], "fix"
    found = TASKS["pretrain"].read(settings.pretrain, [])
    assert not any("\ufffd" in text for text in found.texts)
    told = (
        "1 documents are in UTF-8 read as windows-1252 with letters lost, not in Unicode: left out"
    )
    assert told in capsys.readouterr().out


def test_a_file_of_requests_in_other_letters_is_a_fault_or_mended(capsys):
    asked = ["con mèo là gì?", "con chó là gì?"]
    legacy = WAYS["TCVN3 (ABC)"]
    items = [
        Conversation((legacy(text),), (legacy("Đó là " + text),), f"a.csv:{i}")
        for i, text in enumerate(asked, 2)
    ]
    with pytest.raises(UserError, match=r"a\.csv: is in TCVN3 .*--finetune.encoding fix"):
        in_unicode(items, "finetune", "say")
    assert [c.prompts[0] for c in in_unicode(items, "finetune", "fix")] == asked
    assert in_unicode(items, "finetune", "off") == items
