"""`--check` and `--init`: what is said of the data, and of the settings that come with a run."""

import json

import pytest

from keras_vngpt import VnGPTCausalLMPreprocessor, fit
from keras_vngpt.data.find_requests import Requests
from keras_vngpt.data.records import Conversation
from keras_vngpt.errors import UserError
from keras_vngpt.runs.check import contradictions, duplicates, first_cut, unanswerable
from keras_vngpt.runs.run import Run
from keras_vngpt.runs.settings import FitSettings, resolve_settings


def pair(request, response, line, system=""):
    prompt = f"{system}\n{request}" if system else request
    return Conversation((prompt,), (response,), f"a.csv:{line}", system=system)


def requests_of(*train, test=()):
    return Requests({"train": list(train), "validation": list(train[:0]), "test": list(test)})


def test_a_contradiction_is_one_request_with_two_answers_wherever_it_stands():
    found = requests_of(
        pair("Mấy giờ mở cửa?", "7 giờ", 2),
        pair("mấy  giờ mở cửa", "7 giờ.", 3),  # the same in other words: no contradiction
        pair("Ở đâu?", "Ngõ Hoa Sữa", 4),
        pair("Ở đâu?", "Phố khác", 5, system="Bạn là quán khác."),  # under another system text
        test=[pair("Mấy giờ mở cửa?", "8 giờ", 6)],
    )
    ((a, b, turn),) = contradictions(found)
    assert (a.source, b.source, turn) == ("a.csv:2", "a.csv:6", 0)


def test_two_conversations_contradict_each_other_at_a_later_turn():
    def conversation(last, line):
        return Conversation(("Đèn?", "Bật đi"), ("Đang tắt", last), f"a.jsonl:{line}")

    other = Conversation(("Quạt?", "Bật đi"), ("Đang tắt", "Đã bật quạt"), "a.jsonl:3")
    found = requests_of(conversation("Đã bật", 1), conversation("Không", 2), other)
    ((a, b, turn),) = contradictions(found)
    assert (a.source, b.source, turn) == ("a.jsonl:1", "a.jsonl:2", 1)


def test_a_duplicate_is_told_with_both_places():
    found = requests_of(pair("Ở đâu?", "Hoà Bình", 2), pair("ở đâu", "Hòa Bình.", 3))
    assert [(a.source, b.source) for a, b in duplicates(found)] == [("a.csv:2", "a.csv:3")]
    assert not contradictions(found)


def test_what_is_held_out_with_an_answer_of_its_own_cannot_be_right():
    test = [pair("Số 2?", "Hai", 3), pair("Số một?", "một", 4)]
    assert [c.source for c in unanswerable(requests_of(pair("Số 1?", "Một", 2), test=test))] == [
        "a.csv:3"
    ]


@pytest.mark.parametrize(
    "kind, request_words, response_words",
    [("requests cut", 99, 1), ("responses cut", 1, 99)],
)
def test_the_example_of_a_cut_is_a_conversation_that_is_cut(
    tokenizer, kind, request_words, response_words
):
    conversations = [pair(f"hỏi {i}", "đáp", i) for i in range(9)]
    conversations[6] = pair("hỏi " * request_words, "đáp " * response_words, 6)
    preprocessor = VnGPTCausalLMPreprocessor(tokenizer, 64)
    assert first_cut(conversations, preprocessor, kind) is conversations[6]


def test_of_a_run_to_start_from_only_what_differs_is_said(tmp_path, monkeypatch, capsys):
    _, values = resolve_settings(None, {"model.hidden_dim": 64, "finetune.epochs": 3})
    monkeypatch.setattr(Run, "exists", True)
    monkeypatch.setattr(Run, "settings", values)
    given = {"init": "runs/old", "finetune.data": ["b.csv"], "finetune.epochs": 1, "seed": "0"}
    settings, _ = resolve_settings(None, given | {"skip": ["pretrain"]})
    assert settings.model.hidden_dim == 64 and settings.finetune.epochs == 1
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "init: the settings of runs/old, except",
        "  finetune.epochs 1 (there 3)",
        "  finetune.data b.csv (there samples:home_train.jsonl)",
        "  other than by default: model.hidden_dim 64",
    ]
    assert settings.pretrain == FitSettings().pretrain


def test_check_says_what_each_file_was_taken_for_to_people_and_to_programs(tmp_path, capsys):
    data = tmp_path / "hoi.csv"
    rows = "".join(f"Số {i} là gì?,Là số {i},x\n" for i in range(30))
    data.write_text("Câu hỏi,Trả lời,ghi chú\n" + rows)
    settings = {
        "folder": str(tmp_path), "name": "a", "skip": ["pretrain"], "finetune.rephrasings": 0,
        "finetune.data": [str(data)], "finetune.unanswerable": 0,
    }  # fmt: skip
    fit(check=True, **settings)
    said = capsys.readouterr().out
    assert "request: Câu hỏi" in said and "not used: ghi chú" in said
    fit(check="json", **settings)
    told = json.loads(capsys.readouterr().out)
    (file,) = told["files"]
    assert (file["format"], file["rows"]) == ("CSV", 30) and not told["faults"]
    assert file["columns"] == {"request": "Câu hỏi", "response": "Trả lời"}
    assert told["figures"]["finetune.requests"] == 30
    data.write_text("Câu hỏi,Trả lời\nSố mấy?,\n")
    with pytest.raises(UserError):
        fit(check="json", **settings)
    assert json.loads(capsys.readouterr().out)["faults"][0].endswith("hoi.csv:2: empty Trả lời")
