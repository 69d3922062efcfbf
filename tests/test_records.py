"""Records of every format that people hand around are read alike, and no field goes unsaid."""

import json
import re
import unicodedata

import pytest
from conftest import ROOT

from keras_vngpt.data.readers import read_conversations
from keras_vngpt.data.records import Columns
from keras_vngpt.errors import UserError

ASKED, ANSWERED = "Bật đèn", "Đã bật đèn"
USER, ASSISTANT = {"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}
SHAREGPT = [{"from": "human", "value": ASKED}, {"from": "gpt", "value": ANSWERED}]
ONE_TURN = [
    *(
        dict(zip(names, (ASKED, ANSWERED), strict=True))
        for names in (
            ("request", "response"), ("prompt", "completion"), ("question", "answer"),
            ("instruction", "output"), ("Câu hỏi", "Trả lời"), ("CÂU HỎI", "Câu trả lời"),
            ("Hỏi", "Đáp"), ("câu_hỏi", "trả_lời"), (" Question ", "ANSWER"),
            tuple(unicodedata.normalize("NFD", name) for name in ("câu hỏi", "trả lời")),
        )
    ),
    {"instruction": ASKED, "input": "", "output": ANSWERED},
    {"messages": [USER, ASSISTANT]},
    {"conversations": [USER, ASSISTANT]},
    {"conversations": SHAREGPT},
    {"conversation": SHAREGPT},
    {"messages": [{**USER, "content": [{"type": "text", "text": ASKED}]}, ASSISTANT]},
    {"prompt": [USER], "completion": [ASSISTANT]},
    [USER, ASSISTANT],
]  # fmt: skip


def read(path, *records, files=None):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records))
    return read_conversations([str(path)], Columns(), files)


@pytest.mark.parametrize("record", ONE_TURN, ids=json.dumps)
@pytest.mark.parametrize("ending", ["lines.jsonl", "lines.json", "list.json", "list.jsonl"])
def test_every_format_gives_the_same_turn(tmp_path, record, ending):
    path, files = tmp_path / ending, {}
    if ending.startswith("list"):
        path.write_text(json.dumps([record, record], ensure_ascii=False, indent=1))
        first, _ = read_conversations([str(path)], Columns(), files)
    else:
        first, _ = read(path, record, record, files=files)
    assert (first.prompts, first.responses) == ((ASKED,), (ANSWERED,))
    assert not files[path].not_used and files[path].rows == 2


@pytest.mark.parametrize(
    "record",
    [
        {"system": "Bạn là trợ lý.", "prompt": ASKED, "completion": ANSWERED},
        {"system_prompt": "Bạn là trợ lý.", "conversations": SHAREGPT},
        {"messages": [{"role": "system", "content": "Bạn là trợ lý."}, USER, ASSISTANT]},
        {"messages": [{"role": "developer", "content": "Bạn là trợ lý."}, USER, ASSISTANT]},
    ],
)
def test_a_system_text_stands_before_the_request(tmp_path, record):
    (found,) = read(tmp_path / "a.jsonl", record)
    assert found.system == "Bạn là trợ lý." and found.requests == (ASKED,)


def test_an_instruction_has_its_input_below_it(tmp_path):
    lines = [{"instruction": "Dịch:", "input": w, "output": w} for w in ("con mèo", "con chó")]
    first, second = read(tmp_path / "a.jsonl", *lines)
    assert first.prompts == ("Dịch:\ncon mèo",) and first.key != second.key


@pytest.mark.parametrize(
    "more, named",
    [
        ({"ghi chú": "quan trọng"}, "ghi chú"),
        ({"context": "Nhà có ba phòng."}, "context"),
        ({"messages": [{**USER, "name": "Lan"}, {**ASSISTANT, "weight": 0}]}, "weight"),
        ({"reasoning_content": "Vì ..."}, "reasoning_content"),
    ],
)
def test_a_field_that_is_not_used_is_said(tmp_path, capsys, more, named):
    files = {}
    record = more if "messages" in more else {"request": ASKED, "response": ANSWERED} | more
    read(tmp_path / "a.jsonl", record, files=files)
    (summary,) = files.values()
    assert "not used: " in summary.line and named in summary.line


def test_what_keeps_books_is_passed_over_without_a_word(tmp_path):
    files, record = {}, {"id": 7, "source": "tự viết", "kind": "đèn", "url": "a.vn", "note": ""}
    read(tmp_path / "a.jsonl", record | {"request": ASKED, "response": ANSWERED}, files=files)
    assert next(iter(files.values())).line == ""


@pytest.mark.parametrize(
    "record, fault",
    [
        ({"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "1"}]}]}, "tool_calls"),
        ({"messages": [USER, ASSISTANT, {"role": "tool", "content": "22"}]}, "assistant, tool"),
        ({"messages": [{**USER, "content": [{"type": "image_url"}]}, ASSISTANT]}, "type image_url"),
        ({"conversations": SHAREGPT[::-1]}, "roles are assistant, user"),
        ({"system": "a", "messages": [{"role": "system", "content": "b"}, USER, ASSISTANT]}, "two"),
        ({"instruction": ASKED, "input": 5, "output": ANSWERED}, "input must be text"),
    ],
)
def test_what_cannot_be_learned_is_named_by_line(tmp_path, record, fault):
    with pytest.raises(UserError, match=rf"a\.jsonl:2: .*{fault}"):
        read(tmp_path / "a.jsonl", {"request": ASKED, "response": ANSWERED}, record)


@pytest.mark.parametrize(
    "text, fault",
    [
        ('[{"request": "a", "response": "b"},\n {"request": "a"', r"a\.json:2: not valid JSON"),
        ('{"data": [1], "version": 2}', "missing column: .* has data, version"),
        ('[{"request": "a", "response": "b"}, 5]', "record 2: needs an object"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_json_file_that_is_no_list_of_records_is_named(tmp_path, text, fault):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=fault):
        read_conversations([str(tmp_path / "a.json")])


def test_every_record_in_the_documents_is_read_as_they_say(tmp_path):
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    table = page.partition("<!-- records -->")[2].partition("\n\nCapital")[0]
    examples = re.findall(r"^\| [^|]+ \| `([^`]+)`", table, re.MULTILINE)
    assert len(examples) > 10
    for example in examples:
        (tmp_path / "a.jsonl").write_text(example + "\n", encoding="utf-8")
        (found,) = read_conversations([str(tmp_path / "a.jsonl")])
        assert (found.prompts, found.responses) == ((ASKED,), (ANSWERED,)), example


def test_html_is_taken_out_of_requests_and_said_unless_it_is_wanted(tmp_path):
    path, files = tmp_path / "a.jsonl", {}
    line = {"request": "B&#7853;t &quot;&#273;&#232;n&quot;", "response": "<b>Đã bật</b> đèn<br/>"}
    (found,) = read(path, line, files=files)
    assert (found.prompts, found.responses) == (('Bật "đèn"',), ("Đã bật đèn",))
    assert "passed over 2 texts' HTML markup" in files[path].line
    (kept,) = read_conversations([str(path)], Columns(keep_html=True), files)
    assert kept.responses == (line["response"],) and not files[path].line
    (maths,) = read(path, {"request": "a <b và c> d?", "response": "x <y & z"}, files=files)
    assert maths.prompts + maths.responses == ("a <b và c> d?", "x <y & z")
    assert not files[path].line


def test_a_group_and_a_side_are_found_whatever_the_case_of_their_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Câu hỏi,Trả lời,Group,SPLIT\nHỏi?,Đáp,nhà,test\n")
    (found,) = read_conversations([str(path)], Columns(split="split"))
    assert (found.group, found.side) == ("nhà", "test")


def test_two_fields_of_one_name_are_a_fault(tmp_path):
    with pytest.raises(UserError, match=r"a\.jsonl:1: two fields have one name: request, Request"):
        read(tmp_path / "a.jsonl", {"request": "a", "Request": "b", "response": "c"})
