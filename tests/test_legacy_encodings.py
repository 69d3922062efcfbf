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
        if name != "VIQR":  # whose tones are punctuation too
            right = [a == b for a, b in zip(mend_encoding(legacy, found), text, strict=False)]
            assert sum(right) > 0.9 * len(text), (text, mend_encoding(legacy, found))


def test_a_text_as_it_should_be_is_never_suspected(documents):
    english = (ROOT / "LICENSE").read_text()
    bare = "toi muon bat den phong khach va tat quat phong ngu. Duoc khong? Cam on nhieu nhe."
    for text in (*documents, *english.split("\n\n"), bare, "x = a.b(c) + d['e']", "Ça va? Où ça?"):
        assert not legacy_encoding(text), text
        assert not legacy_encoding(unicodedata.normalize("NFD", text))


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
