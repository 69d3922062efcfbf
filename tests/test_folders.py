"""A folder as people have it: what is data is read, what is not is told, and nothing half."""

import unicodedata

import pytest

from keras_vngpt.data.readers import read_conversations, stream_documents
from keras_vngpt.data.records import Columns
from keras_vngpt.data.sources import find_sources
from keras_vngpt.errors import UserError

LEFT_BEHIND = [
    "._train.txt", ".ipynb_checkpoints/train-checkpoint.txt", "__MACOSX/._train.txt", "README.md",
    "readme.txt", "LICENSE", ".DS_Store", "Thumbs.db", "train.txt~", ".git/a.txt",
]  # fmt: skip


def folder(path, *names):
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"\xff\xfe\x00binary")
    return path


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_what_stands_beside_data_is_not_read(tmp_path, name):
    folder(tmp_path, name)
    (tmp_path / "sâu" / "train.txt").parent.mkdir()
    (tmp_path / "sâu" / "train.txt").write_text("Sáng nay trời mưa.")
    faults, files = [], {}
    (source,) = find_sources([str(tmp_path)], faults)
    documents = list(stream_documents(source, faults, Columns(), files))
    assert (documents, faults) == (["Sáng nay trời mưa."], []) and not source.not_read


def test_files_of_a_kind_that_is_not_read_are_told(tmp_path):
    folder(tmp_path, "bài.docx", "sách.pdf")
    (tmp_path / "a.csv").write_text("request,response\nHỏi?,Đáp\n")
    files = {}
    assert len(read_conversations([str(tmp_path)], Columns(), files)) == 1
    line = files[str(tmp_path)].line
    assert "not used: " in line and "bài.docx" in line and "sách.pdf" in line


def test_a_folder_that_holds_leftovers_alone_is_a_fault(tmp_path):
    faults = []
    assert not find_sources([str(folder(tmp_path, *LEFT_BEHIND))], faults)
    assert "file in this folder" in faults[0]


@pytest.mark.parametrize("there, asked", [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_file_is_found_in_whichever_form_of_unicode_its_name_is(tmp_path, there, asked):
    name = unicodedata.normalize(there, "hỏi_đáp.csv")
    (tmp_path / name).write_text("request,response\nHỏi?,Đáp\n")
    pattern = unicodedata.normalize(asked, str(tmp_path / "hỏi_đáp.csv"))
    assert len(read_conversations([pattern])) == 1
    with pytest.raises(UserError, match="no such file"):
        read_conversations([str(tmp_path / "khác.csv")])
