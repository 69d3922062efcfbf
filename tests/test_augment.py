"""From a hundred pairs to a set: cleaning, variants, facts, a language model, the report."""

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import unicodedata
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import ROOT, verb

import keras_vngpt
from keras_vngpt.data.augmentation.cleaning import clean, clean_question
from keras_vngpt.data.augmentation.facts import Facts
from keras_vngpt.data.augmentation.files import read_lines
from keras_vngpt.data.augmentation.kinds import Kinds
from keras_vngpt.data.augmentation.language_model import is_vietnamese, judge
from keras_vngpt.data.augmentation.names import Names, key
from keras_vngpt.data.augmentation.report import distinct_n, self_bleu
from keras_vngpt.data.augmentation.variation import Variation, without_diacritics
from keras_vngpt.data.readers import Conversation, read_conversations
from keras_vngpt.data.splits import split
from keras_vngpt.faults import Faults
from keras_vngpt.runs.check import check
from keras_vngpt.runs.settings import resolve_settings

GAZETTEER = read_lines("samples:travel_names.txt")
NAMES = Names(GAZETTEER)
TEMPLATES, SYNONYMS = "samples:travel_templates.yaml", "samples:travel_synonyms.yaml"


def write_csv(path, pairs):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("request", "response"), *pairs])
    return str(path)


def lines_of(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def questions_of(path):
    return [line["messages"][-2]["content"] for line in lines_of(path)]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The output of a run without arguments."""
    folder = tmp_path_factory.mktemp("augment")
    done = verb("augment", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "augmented.jsonl", done.stdout


# The whole


def test_a_hundred_pairs_become_a_thousand_distinct_valid_lines_of_all_kinds(shipped):
    path, printed = shipped
    lines = lines_of(path)
    assert len(read_conversations(["samples:travel_questions.csv"])) == 100
    assert len(lines) >= 1000
    assert len({key(q) for q in questions_of(path)}) == len(lines)
    for line in lines:
        assert [m["role"] for m in line["messages"]] == ["system", "user", "assistant"]
        assert all(m["content"].strip() for m in line["messages"])
    kinds = Counter(line["kind"] for line in lines)
    assert set(kinds) == {"price", "address", "suggestion", "itinerary", "comparison"}
    assert min(kinds.values()) >= 150
    figures = json.loads(path.with_suffix(".report.json").read_text(encoding="utf-8"))
    assert figures["lines"] == len(lines)
    assert figures["distinct_2"] == distinct_n(questions_of(path), 2)
    assert "python -m keras_vngpt.fit" in printed and str(path.name) in printed
    assert "self-BLEU" in printed and "missing for balance" in printed


@pytest.mark.parametrize("name", ["README.md", "README.vi.md"])
def test_the_line_that_the_readme_shows_is_one_of_the_output(shipped, name):
    (line,) = re.findall(r"^\{.*\"origin\".*$", (ROOT / name).read_text(encoding="utf-8"), re.M)
    assert json.loads(line) in lines_of(shipped[0])


def test_every_shipped_pair_is_cleaned_and_of_its_kind(shipped):
    kinds = ["price", "address", "suggestion", "itinerary", "comparison"]
    originals = [line for line in lines_of(shipped[0]) if line["origin"] == "original"]
    assert [line["kind"] for line in originals] == [kind for kind in kinds for _ in range(20)]
    for line in originals:
        question = line["messages"][1]["content"]
        assert question[0].isupper() and not question[0].isdigit()
        assert "đà lạt" not in question and "  " not in question and " ?" not in question
        assert not question.startswith(('"', "1.")) and not question.endswith("??")
        assert question.endswith("?") == (not question.startswith("Gợi ý"))


def test_variants_of_one_question_never_fall_on_two_sides(shipped, tmp_path):
    path = str(shipped[0])
    settings, _ = resolve_settings(
        None, {"finetune.data": [path], "skip": ["pretrain"], "folder": str(tmp_path)}
    )
    sides = check(settings).conversations
    groups = [{c.group for c in sides[name]} for name in ("train", "validation", "test")]
    assert all(groups) and sum(map(len, groups)) == 100
    assert len(set.union(*groups)) == 100


def test_groups_stay_together_where_the_hash_parts_nothing(tmp_path):
    """Two groups, a share so small that the last resort decides."""
    path = tmp_path / "a.jsonl"
    records = [{"request": f"{g}{i}", "response": "x", "group": g} for i in range(5) for g in "ab"]
    path.write_text("\n".join(map(json.dumps, records)))
    given = {"finetune.data": [str(path)], "skip": ["pretrain"]}
    given |= {"finetune.test_share": 1e-9, "finetune.validation_share": 0}
    sides = check(resolve_settings(None, given)[0]).conversations
    groups = [{c.group for c in sides[side]} for side in ("train", "test")]
    assert sorted(map(sorted, groups)) == [["a"], ["b"]] and len(sides["test"]) == 5


def test_a_group_is_the_key_of_the_split():
    conversations = [Conversation((f"câu {i}",), ("x",), "", f"nhóm {i // 5}") for i in range(500)]
    sides = split(conversations, {"test": 0.3}, lambda c: c.key)
    rest, part = sides["train"], sides["test"]
    assert not {c.group for c in rest} & {c.group for c in part} and part
    assert Conversation(("câu",), ("x",), "").key == "câu"


@pytest.mark.parametrize("group, read_as", [("a", "a"), (7, "7"), (None, ""), ("", "")])
def test_groups_are_read(tmp_path, group, read_as):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"request": "a", "response": "b", "group": group}))
    assert read_conversations([str(path)])[0].group == read_as


def test_a_group_that_is_no_text_is_a_fault(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"request": "a", "response": "b", "group": ["x"]}))
    with pytest.raises(Faults, match="a.jsonl:1: group must be text"):
        read_conversations([str(path)])


def test_the_seed_decides_and_other_questions_do_not(tmp_path):
    pairs = [("Chợ Bến Thành ở đâu?", "Ở đường Lê Lợi."), ("Ăn gì ở Huế?", "Ăn bún bò.")]
    outputs = []
    for name, kept, seed in (("a", 2, 0), ("b", 2, 0), ("c", 2, 1), ("d", 1, 0)):
        output = str(tmp_path / f"{name}.jsonl")
        data = write_csv(tmp_path / f"{name}.csv", pairs[:kept])
        keras_vngpt.augment(data=[data], output=output, seed=seed, variants=8)
        outputs.append(questions_of(output))
    a, b, c, d = outputs
    assert a == b and a != c
    assert set(d) <= set(a)


def test_phrasings_that_two_questions_share_make_them_one_group(tmp_path):
    pairs = [("Vé Bà Nà giá bao nhiêu?", "Một triệu."), ("Giá vé Bà Nà là bao nhiêu?", "1 triệu.")]
    data = write_csv(tmp_path / "a.csv", [*pairs, ("Ăn gì ở Huế?", "Bún bò.")])
    output = tmp_path / "b.jsonl"
    keras_vngpt.augment(data=[data], output=str(output), variants=60)
    groups = {line["messages"][1]["content"]: line["group"] for line in lines_of(output)}
    assert groups[pairs[0][0]] == groups[pairs[1][0]] != groups["Ăn gì ở Huế?"]


def test_groups_of_the_user_keep_their_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "request,response,group\nĂn gì ở Huế?,Bún bò.,ăn\nĂn gì?,Cơm.,ăn\nỞ đâu?,Nhà.,\n"
    )
    keras_vngpt.augment(data=[str(path)], output=str(tmp_path / "b.jsonl"), variants=2)
    assert {line["group"] for line in lines_of(tmp_path / "b.jsonl")} == {"ăn", "Ở đâu?"}


def test_templates_that_fit_no_question_end(tmp_path):
    templates = tmp_path / "t.yaml"
    templates.write_text('tones: {a: {question: ["{Clause} thế?"]}}', encoding="utf-8")
    data = write_csv(tmp_path / "a.csv", [("Huế thế nào?", "Huế đẹp.")])
    given = {"data": [data], "output": str(tmp_path / "b.jsonl"), "templates": str(templates)}
    assert keras_vngpt.augment(**given)["lines"] == 1


def test_its_own_output_can_be_augmented_again(tmp_path):
    data = write_csv(
        tmp_path / "a.csv", [("Ăn gì ở Huế?", "Bún bò."), ("Ăn gì ở Hội An?", "Cao lầu.")]
    )
    first, second = tmp_path / "b.jsonl", tmp_path / "c.jsonl"
    keras_vngpt.augment(data=[data], output=str(first), variants=3, system="Bạn là hướng dẫn viên.")
    keras_vngpt.augment(data=[str(first)], output=str(second), variants=2)
    lines = lines_of(second)
    assert {line["messages"][0]["content"] for line in lines} == {"Bạn là hướng dẫn viên."}
    assert not any("hướng dẫn viên" in q for q in questions_of(second))
    assert {line["group"] for line in lines} == {"Ăn gì ở Huế?", "Ăn gì ở Hội An?"}


def test_no_system_message_on_demand(tmp_path):
    data = write_csv(tmp_path / "a.csv", [("Ăn gì ở Huế?", "Bún bò.")])
    keras_vngpt.augment(data=[data], output=str(tmp_path / "b.jsonl"), system="")
    assert {len(line["messages"]) for line in lines_of(tmp_path / "b.jsonl")} == {2}


# Cleaning


@pytest.mark.parametrize(
    "messy, tidy",
    [
        ("1. Đà Lạt có gì chơi", "Đà Lạt có gì chơi?"),
        ("12) ăn gì ở huế ?", "Ăn gì ở Huế?"),
        ("Câu 3: chợ đà lạt ở đâu", "Chợ Đà Lạt ở đâu?"),
        ("- 2 ngày ở Huế nên đi đâu?", "2 ngày ở Huế nên đi đâu?"),
        ("3. 2 ngày ở Huế nên đi đâu?", "2 ngày ở Huế nên đi đâu?"),
        ('"Chợ Đà lạt ở đâu???"', "Chợ Đà Lạt ở đâu?"),
        ("“ chợ  Bến thành ở đâu ”", "Chợ Bến Thành ở đâu?"),
        ('Phở "bát đàn" ở đâu?', 'Phở "bát đàn" ở đâu?'),
        ("GIÁ VÉ BÀ NÀ BAO NHIÊU?", "Giá vé Bà Nà bao nhiêu?"),
        ("Gợi ý lịch trình 3 ngày ở sa pa?", "Gợi ý lịch trình 3 ngày ở Sa Pa."),
        ("Gợi ý quán ngon ở Huế được không", "Gợi ý quán ngon ở Huế được không?"),
        ("Lịch trình 3 ngày ở Huế thế nào", "Lịch trình 3 ngày ở Huế thế nào?"),
        ("Tôi muốn đi Đà Lạt?", "Tôi muốn đi Đà Lạt."),
        ("Giá vé Bà Nà?", "Giá vé Bà Nà?"),
        ("Đà Lạt có biển không", "Đà Lạt có biển không?"),
        ("Mình thích khách sạn 5 sao", "Mình thích khách sạn 5 sao"),
        ("Mình đi đâu cũng được", "Mình đi đâu cũng được"),
        ("Đà Lạt hay Sa Pa lạnh hơn", "Đà Lạt hay Sa Pa lạnh hơn?"),
        ("Mình sắp đi huế.nên ở đâu", "Mình sắp đi Huế.nên ở đâu?"),
        ("eSIM mua ở đâu", "eSIM mua ở đâu?"),
        ("Cần mua áo, mũ, v.v. thì mua ở đâu", "Cần mua áo, mũ, v.v. thì mua ở đâu?"),
        ("3.000 đồng mua được gì", "3.000 đồng mua được gì?"),
        ("Kh\u00e1nh ho\u00e0 có gì đẹp", "Kh\u00e1nh Ho\u00e0 có gì đẹp?"),
        (unicodedata.normalize("NFD", "đà lạt ở đâu"), "Đà Lạt ở đâu?"),
    ],
)  # fmt: skip
def test_a_question_is_cleaned(messy, tidy):
    assert clean_question(messy, NAMES) == tidy
    assert clean_question(tidy, NAMES) == tidy


def test_answers_keep_their_lists_and_marks():
    answer = "1. Sáng thăm chợ. 2. Chiều ra hồ."
    assert clean(answer, NAMES) == answer
    assert clean("Đáp:  bạn đi đà nẵng , hội an nhé", NAMES) == "Bạn đi Đà Nẵng, Hội An nhé"


def test_names_are_learned_from_the_file():
    texts = ["Ghé quán Bà Tám Lộc nhé", "quán bà tám lộc ở đâu", "Ở đó Bạn ăn gì", "bạn đi đâu"]
    names = Names([]).learned_from(texts)
    assert names.restore("quán bà tám lộc ngon không bạn") == "quán Bà Tám Lộc ngon không bạn"


# Variation


@pytest.fixture(scope="module")
def variation():
    return Variation(TEMPLATES, SYNONYMS, NAMES)


def some_variants(variation, question, n=60):
    generator = random.Random(0)
    return [
        text for text, _ in zip(variation.variants(question, generator), range(n), strict=False)
    ]


def test_there_are_enough_forms_of_address(variation):
    assert len(set(variation.frames["question"])) >= 24
    assert len(variation.templates.tones) >= 4


def test_a_clause_loses_its_opening_and_closing_words_and_its_capital(variation):
    assert variation.clause("Dạ cho em hỏi chợ Bến Thành ở đâu vậy ạ?") == "chợ Bến Thành ở đâu"
    assert variation.clause("Đà Lạt có gì chơi nhỉ?") == "Đà Lạt có gì chơi"
    assert variation.clause("Gợi ý quán ngon ở Nha Trang.") == "gợi ý quán ngon ở Nha Trang"
    assert variation.clause("Đi đâu ở Phong Nha?") == "đi đâu ở Phong Nha"


def test_names_and_meaning_survive_every_variant(variation):
    for question, parts in [
        ("Đi Nha Trang cùng trẻ nhỏ nên chơi ở đâu?", ["Nha Trang"]),
        ("Gợi ý lịch trình 2 ngày 1 đêm ở Phong Nha", ["Phong Nha", "2 ngày 1 đêm"]),
        ("Vé tàu từ Hà Nội đi Lào Cai bao nhiêu tiền?", ["Hà Nội", "Lào Cai", "bao nhiêu"]),
    ]:
        for text in some_variants(variation, question):
            assert all(part in text for part in parts), text
            assert text[0].isupper() and "{" not in text


def test_orders_are_not_asked_as_questions(variation):
    for text in some_variants(variation, "Gợi ý lịch trình 1 ngày ở Huế"):
        assert "cho mình hỏi" not in text and "muốn biết" not in text


def test_order_and_words_change(variation):
    texts = " | ".join(some_variants(variation, "Vé cáp treo Bà Nà bao nhiêu tiền?"))
    assert "giá vé cáp treo Bà Nà" in texts and "vé cáp treo Bà Nà giá bao nhiêu" in texts


def test_one_person_speaks_in_a_variant(variation):
    for text in some_variants(variation, "Mình nên ăn gì ở Huế?", 200):
        if "cháu" in text.lower():
            assert "mình" not in text.lower()
    assert any("một mình" in t for t in some_variants(variation, "Đi một mình nên ở đâu?"))


def test_what_precedes_the_question_stays_before_it(variation):
    for text in some_variants(variation, "Mình sắp đi Huế. Nên ở khu nào?", 20):
        assert text.startswith("Mình sắp đi Huế. ")
    for text in some_variants(variation, "Chợ nào ở TP. Hồ Chí Minh lớn nhất?", 20):
        assert "chợ nào ở TP. Hồ Chí Minh lớn nhất" in text.replace("Chợ", "chợ")


def test_typing_habits_are_off_by_default_and_on_demand(shipped, tmp_path):
    assert all(q != without_diacritics(q) for q in questions_of(shipped[0]))
    output = str(tmp_path / "a.jsonl")
    data = write_csv(tmp_path / "a.csv", [("Đi Huế nên mua gì, bao nhiêu tiền?", "Mua mè xửng.")])
    keras_vngpt.augment(
        data=[data], output=output, without_diacritics=0.5, teencode=0.5, variants=30
    )
    questions = questions_of(output)[1:]
    plain = [q for q in questions if q == without_diacritics(q)]
    assert 5 < len(plain) < 25
    assert any(" j" in q or "bn" in q for q in questions)
    assert without_diacritics("Đường Đồng Khởi") == "Duong Dong Khoi"


def test_templates_and_synonyms_of_the_user(tmp_path):
    templates, synonyms = tmp_path / "t.yaml", tmp_path / "s.yaml"
    templates.write_text('tones: {thử: {question: ["Alo, {clause}?"]}}', encoding="utf-8")
    synonyms.write_text("synonyms: {ở đâu: [chỗ mô]}", encoding="utf-8")
    data = write_csv(tmp_path / "a.csv", [("Chợ Đông Ba ở đâu?", "Ở Huế.")])
    output = str(tmp_path / "a.jsonl")
    keras_vngpt.augment(
        data=[data], output=output, templates=str(templates), synonyms=str(synonyms)
    )
    assert set(questions_of(output)[1:]) == {"Alo, chợ Đông Ba ở đâu?", "Alo, chợ Đông Ba chỗ mô?"}


# Facts

FORBIDDEN = [
    ("Đà Lạt có gì?", "Đà Lạt có biển."),
    ("Đà Lạt có gì?", "ĐÀ LẠT CÓ BIỂN ĐẸP"),
    ("Đà Lạt có gì đẹp?", "Có biển và núi."),
    ("Biển Đà Lạt có đẹp không?", "Biển ở Đà Lạt rất đẹp."),
    ("Đà Lạt có biển không?", "Có, biển rất đẹp."),
    ("Đà Lạt có biển đúng không?", "Đúng vậy."),
    ("Ở Đà Lạt có biển không em?", "Dạ có ạ."),
    ("Bãi biển nào ở Đà Lạt đẹp nhất?", "Bãi Sau đẹp nhất."),
    ("Tắm biển ở Đà Lạt mùa nào đẹp?", "Mùa hè."),
    ("Khách sạn sát biển ở Đà Lạt giá bao nhiêu?", "Khoảng 500.000 đồng."),
    ("Nên làm gì?", "Bạn nên tắm biển ở Đà Lạt vào buổi sáng."),
    ("Đà Lạt có gì?", "Đà Lạt không chỉ có núi mà còn có biển."),
    ("Đà Lạt thế nào?", "Đà Lạt không khí trong lành, có biển xanh."),
    ("Đà Lạt thế nào?", "Đà Lạt rất đẹp. Ở đó có bãi biển dài."),
    ("Đi đâu?", "Đà Lạt và Nha Trang đều có biển."),
    ("Đi đâu?", "Nằm bên bờ biển, Đà Lạt rất đẹp."),
    ("Đi đâu?", "Có biển, có núi, Đà Lạt là điểm đến tuyệt vời."),
    ("Đi đâu?", "Đà Lạt có hồ Xuân Hương và có biển."),
    ("Lịch trình 3 ngày ở Đà Lạt", "Ngày đầu tắm biển, ngày hai săn mây."),
    ("Da Lat co gi?", "Da Lat co bien dep."),
    ("Đi đâu?", "Đà Lạt - thành phố biển."),
    ("Thủ đô Việt Nam là gì?", "Thủ đô của Việt Nam là Huế."),
    ("Sài Gòn?", "Sài Gòn là thủ đô của Việt Nam."),
    ("Phú Quốc ở đâu?", "Phú Quốc nằm ở miền Bắc."),
    ("Miền Nam có gì?", "Miền Nam có Sa Pa rất đẹp."),
    ("Hồ Gươm ở đâu?", "Hồ Gươm ở trung tâm thành phố Huế."),
    ("Chợ Bến Thành nằm ở Hà Nội phải không?", "Vâng, đúng rồi."),
    ("Núi nào cao?", "Nóc nhà Đông Dương là núi Bà Đen."),
    ("Mùa đông?", "Tuyết rơi ở Sài Gòn mỗi năm."),
    ("Đi thế nào?", "Bạn bay thẳng đến Hội An."),
    ("Trường Sa của nước nào?", "Trường Sa của Trung Quốc."),
    ("Ponagar ở đâu?", "Tháp Bà Ponagar ở Thanh Hoá."),
]  # fmt: skip

RIGHT = [
    ("Đà Lạt có biển không?", "Đà Lạt không có biển."),
    ("Đà Lạt có biển không?", "Không, Đà Lạt ở trên cao nguyên."),
    ("Đà Lạt có biển không?", "Đà Lạt làm gì có biển, muốn tắm biển thì xuống Nha Trang."),
    ("Biển ở Đà Lạt đẹp nhất chỗ nào?", "Đà Lạt không có biển, bạn có thể xuống Nha Trang."),
    ("Đà Lạt không có biển đúng không?", "Đúng vậy."),
    ("Từ Đà Lạt đi biển nào gần?", "Từ Đà Lạt xuống biển Nha Trang khoảng 140 km."),
    ("Đà Lạt hay Nha Trang có biển?", "Nha Trang có biển, còn Đà Lạt thì không."),
    ("Nơi nào có biển?", "Khác với Đà Lạt, Nha Trang có biển."),
    ("Săn mây ở đâu?", "Đà Lạt có biển mây rất đẹp."),
    ("Đà Lạt?", "Nói Đà Lạt có biển là sai."),
    ("Đà Lạt?", "Đà Lạt có biển đâu."),
    ("Sa Pa hay Đà Nẵng?", "Sa Pa hợp ngắm mây, Đà Nẵng hợp tắm biển."),
    ("Đi đâu?", "Ngày đầu ở Đà Lạt, ngày sau xuống Nha Trang tắm biển."),
    ("Đà Lạt cao bao nhiêu?", "Đà Lạt cao 1.500 mét so với mực nước biển."),
    ("Huế?", "Huế từng là thủ đô của Việt Nam."),
    ("Đi thế nào?", "Từ Sài Gòn ra thủ đô Hà Nội mất 2 giờ bay."),
    ("Hồ Gươm ở đâu?", "Hồ Gươm ở trung tâm Hà Nội."),
    ("Chơi đâu?", "Ngoài hồ Gươm, bạn có thể thăm hồ Xuân Hương ở Đà Lạt."),
    ("Núi nào cao?", "Núi Bà Đen cao nhất Nam Bộ, Fansipan cao nhất Việt Nam."),
    ("Đi thế nào?", "Hội An không có sân bay, bạn bay đến Đà Nẵng."),
    ("Bún bò?", "Bún bò Huế ở miền Nam thường ngọt hơn."),
    ("Trường Sa của ai?", "Trường Sa của Việt Nam, không phải của Trung Quốc."),
    ("Giá phòng?", "Ở Đà Lạt khoảng 400.000 đồng, ở Nha Trang gần biển khoảng 600.000 đồng."),
]

FORBIDDEN += [("Bạn kể gì đi?", line.strip()) for line in """
    Có biển ở Đà Lạt.
    Ở Đà Lạt có biển.
    Biển có ở Đà Lạt.
    Đà Lạt là nơi có biển.
    Tại Đà Lạt, du khách có thể tắm biển.
    Thành phố Đà Lạt nằm cạnh biển.
    Đà Lạt có bờ biển dài.
    Khách sạn Đà Lạt hướng biển giá tốt.
    Du lịch biển Đà Lạt rất hấp dẫn.
    Đi biển ở Đà Lạt rất vui.
    Bạn đi tắm ở biển Đà Lạt nhé.
    Đà Lạt có view biển đẹp.
    Hà Nội có biển.
    Sapa có biển.
    Hà Nội ở miền Nam.
    Phú Quốc thuộc miền Bắc nước ta.
    TP.HCM là thủ đô.
    TP HCM là thủ đô của Việt Nam.
    Thành phố Hồ Chí Minh là thủ đô nước Việt Nam.
    Hội An nằm ở miền Bắc.
    Hồ Gươm ở TP.HCM.
    Vịnh Hạ Long nằm ở miền Nam.
    Nha Trang không có biển.
    Đà Nẵng là thành phố không có biển.
    Hồ Hoàn Kiếm nằm ở Đà Nẵng.
    Đà Lạt nằm ở miền Bắc Việt Nam.
    Đà Lạt nằm ngay bên bờ biển.
    Biển xanh cát trắng ở Đà Lạt làm say lòng người.
    Đến Đà Lạt để tắm biển.
    Đà Lạt nổi tiếng với biển xanh.
    Đà Lạt nổi tiếng vì có biển.
    Đà Lạt, nơi có bãi biển đẹp nhất Việt Nam.
    Vì giáp biển nên Đà Lạt rất mát.
    Đà Lạt vừa có núi vừa có biển.
    Đà Lạt còn có biển nữa.
    Mùa hè, Đà Lạt đông người tắm biển.
    Đà Lạt có biển, không có núi.
    Bãi Sau là bãi biển đẹp ở Đà Lạt.
    Chùa Thiên Mụ ở Hà Nội.
    Cầu Rồng ở Huế.
    Cố đô Huế nằm ở miền Nam.
    Đà Lạt là thủ đô của Việt Nam.
    Mùa đông ở Sài Gòn có tuyết.
    Tuyết rơi nhiều ở Nha Trang.
""".strip().splitlines()]  # fmt: skip

RIGHT += [("Bạn kể gì đi?", line.strip()) for line in """
    Nha Trang có biển.
    Nha Trang không có biển báo giao thông bằng tiếng Anh.
    Đà Nẵng không có biển nào bẩn.
    Đà Lạt nổi tiếng vì có hoa, không có biển.
    Đà Lạt không phải thành phố biển.
    Đà Lạt không nằm cạnh biển.
    Vì không giáp biển nên Đà Lạt ít gió.
    Dù không có biển, Đà Lạt vẫn đông khách.
    Đà Lạt tuy không có biển nhưng rất đẹp.
    Đà Lạt có hồ, thác và đồi thông, không có biển.
    Đà Lạt cách biển gần nhất khoảng 100 km.
    Du khách thích biển nên chọn Nha Trang thay vì Đà Lạt.
    Nếu muốn tắm biển, bạn từ Đà Lạt xuống Phan Thiết.
    Huế là cố đô, không phải thủ đô.
    Sài Gòn không phải là thủ đô.
    Thủ đô của Việt Nam là Hà Nội.
    Thủ đô Hà Nội cách Sài Gòn khoảng 1.700 km.
    Từ thủ đô Hà Nội, bạn bay vào Đà Nẵng.
    Đà Nẵng ở miền Trung.
    Hội An ở miền Trung, gần Đà Nẵng.
    Sa Pa ở miền Bắc, Đà Lạt ở Tây Nguyên.
    Phú Quốc ở miền Nam, còn Cát Bà ở miền Bắc.
    Hà Nội ở miền Bắc và Sài Gòn ở miền Nam.
    Cầu Vàng ở Bà Nà, Đà Nẵng.
    Chợ Bến Thành ở Sài Gòn, cách Dinh Độc Lập 1 km.
    Vịnh Hạ Long ở Quảng Ninh.
    Vịnh Hạ Long ở miền Bắc.
    Fansipan ở Sa Pa.
    Sa Pa mùa đông có năm có tuyết, Đà Lạt thì không.
    Đà Lạt lạnh nhưng không có tuyết.
    Bạn bay đến Đà Nẵng, rồi đi xe đến Hội An.
    Côn Đảo không có tàu hỏa, bạn bay hoặc đi tàu cao tốc.
    Khách sạn ở Nha Trang hướng biển, khách sạn ở Đà Lạt hướng hồ.
    Hồ Gươm ở Hà Nội, hồ Xuân Hương ở Đà Lạt.
    Hoàng Sa và Trường Sa là của Việt Nam.
    Sông Hương chảy qua Huế, còn sông Hàn chảy qua Đà Nẵng.
    Vé tàu từ Hà Nội vào Huế khoảng 600.000 đồng.
    Bà Nà ở Đà Nẵng, Sa Pa ở Lào Cai.
""".strip().splitlines()]  # fmt: skip


@pytest.fixture(scope="module")
def facts():
    return Facts("samples:travel_facts.yaml", GAZETTEER)


def test_decomposed_files_are_read_as_composed_ones(tmp_path):
    def decomposed(name, text):
        (tmp_path / name).write_text(unicodedata.normalize("NFD", text), encoding="utf-8")
        return str(tmp_path / name)

    data = decomposed("a.csv", "request,response\nquán bà lộc ở đâu,Tới quán Bà Lộc ở huế.\n")
    templates = decomposed("t.yaml", 'tones: {a: {question: ["Chỉ giùm {clause}?"]}}')
    synonyms = decomposed("s.yaml", "synonyms: {ở đâu: [chỗ mô]}")
    output = str(tmp_path / "b.jsonl")
    keras_vngpt.augment(data=[data], output=output, templates=templates, synonyms=synonyms)
    assert set(questions_of(output)) == {
        "Quán Bà Lộc ở đâu?", "Chỉ giùm quán Bà Lộc ở đâu?", "Chỉ giùm quán Bà Lộc chỗ mô?",
    }  # fmt: skip
    assert lines_of(output)[0]["messages"][2]["content"] == "Tới quán Bà Lộc ở Huế."


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_what_contradicts_is_stopped_and_what_is_right_is_not(facts, form):
    def found(pair):
        return facts.contradiction(*(unicodedata.normalize(form, text) for text in pair))

    assert [pair for pair in FORBIDDEN if not found(pair)] == []
    assert [(pair, found(pair)) for pair in RIGHT if found(pair)] == []


@pytest.mark.parametrize(
    "text", ["Khánh Hòa có tuyết.", "Khánh Hoà có tuyết.", "KHÁNH HOÀ CÓ TUYẾT"]
)
def test_tone_placement_hides_no_contradiction(tmp_path, text):
    path = tmp_path / "facts.yaml"
    fact = "{subject: [Khánh Hoà], claim: có tuyết, verdict: forbidden, patterns: [có tuyết]}"
    path.write_text(f"facts: [{fact}]", encoding="utf-8")
    assert Facts(str(path)).contradiction("Hỏi gì?", text) == "Khánh Hoà: có tuyết"
    assert not Facts(str(path)).contradiction("Hỏi gì?", "Khánh Hòa không có tuyết.")


def test_a_question_with_two_answers_keeps_the_first_and_names_the_other(tmp_path):
    pairs = [("Chợ Đà Lạt ở đâu?", "Ở trung tâm."), ("chợ Đà Lạt ở đâu", "Gần hồ."),
             ("Chợ Đà Lạt ở đâu?", "Ở trung tâm.")]  # fmt: skip
    data, output = write_csv(tmp_path / "qa.csv", pairs), tmp_path / "set.jsonl"
    figures = keras_vngpt.augment(data=[data], output=str(output), variants=2)
    assert figures["rejected"] == 1 and figures["dropped"]["original: a copy"] == 1
    rejected = output.with_suffix(".rejected.log").read_text(encoding="utf-8")
    assert f"{data}:3\tanother answer than in {data}:2\tChợ Đà Lạt ở đâu?\tGần hồ." in rejected
    assert "Gần hồ" not in output.read_text(encoding="utf-8")


def test_planted_contradictions_do_not_reach_the_output(tmp_path):
    pairs = [(f"{i}. {q}", a) for i, (q, a) in enumerate(FORBIDDEN)]
    data = write_csv(tmp_path / "a.csv", [*pairs, *RIGHT])
    output = tmp_path / "b.jsonl"
    keras_vngpt.augment(data=[data], output=str(output), variants=3)
    kept = {tuple(m["content"] for m in line["messages"][1:]) for line in lines_of(output)}
    cleaned = [(clean_question(q, NAMES), clean(a, NAMES)) for q, a in (*FORBIDDEN, *RIGHT)]
    assert not kept & set(cleaned[: len(FORBIDDEN)])
    assert kept >= set(dict(reversed(cleaned[len(FORBIDDEN) :])).items())  # the first of a question
    rejected = output.with_suffix(".rejected.log").read_text(encoding="utf-8")
    assert f"{data}:2\tĐà Lạt: có biển\tĐà Lạt có gì?" in rejected
    stopped = [line for line in rejected.splitlines()[1:] if "another answer" not in line]
    assert len(stopped) == len(FORBIDDEN)
    clean_data = write_csv(tmp_path / "c.csv", dict(RIGHT).items())
    keras_vngpt.augment(data=[clean_data], output=str(output), variants=1)
    assert not output.with_suffix(".rejected.log").exists()


# The language model


class Endpoint(ThreadingHTTPServer):
    """An OpenAI-compatible server that says what `reply(question)` gives, after failures."""

    daemon_threads = True

    def __init__(self, reply, failures=0, seconds=0.0, status=500):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply, self.failures, self.seconds, self.status = reply, failures, seconds, status
        self.asked, self.answered, self.lock = Counter(), Counter(), threading.Lock()
        self.open = self.most_open = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = body["messages"][-1]["content"].split("\n\n")[1]
        with server.lock:
            server.asked[question] += 1
            server.open += 1
            server.most_open = max(server.open, server.most_open)
            failing = server.asked[question] <= server.failures
        time.sleep(server.seconds)
        content = {"role": "assistant", "content": server.reply(question)}
        answer = {"error": {"message": "try later"}} if failing else {
            "id": "1", "object": "chat.completion", "created": 0, "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": content}],
            "usage": {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100},
        }  # fmt: skip
        data = json.dumps(answer).encode()
        with server.lock:
            server.open -= 1
            server.answered[question] += not failing
        try:
            self.send_response(server.status if failing else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            pass  # the client was killed

    def log_message(self, *_):
        pass


def two_phrasings(question):
    bare = question.rstrip("?.")
    return f"Dưới đây là hai cách:\n1. Theo bạn thì {bare}?\n2. Bạn hãy cho biết {bare}?"


@pytest.fixture
def endpoint():
    servers = []

    def start(*arguments, **named):
        servers.append(Endpoint(*arguments, **named))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def questions(tmp_path):
    pairs = [(f"Đi Huế {n} ngày nên ăn gì?", f"Ăn bún bò {n} lần.") for n in range(2, 14)]
    return write_csv(tmp_path / "questions.csv", pairs)


def ask(endpoint, questions, tmp_path, **llm):
    output = tmp_path / "set.jsonl"
    llm = {"base_url": endpoint.url, "model": "m", "cache": str(tmp_path / "cache"), **llm}
    figures = keras_vngpt.augment(data=[questions], output=str(output), variants=0, llm=llm)
    return figures, lines_of(output)


def test_a_language_model_adds_phrasings_several_at_once(endpoint, questions, tmp_path):
    server = endpoint(two_phrasings, seconds=0.05)
    figures, lines = ask(server, questions, tmp_path)
    assert len(lines) == 12 * 3 and figures["origins"] == {"original": 12, "language model": 24}
    assert "Theo bạn thì Đi Huế 2 ngày nên ăn gì?" in [x["messages"][1]["content"] for x in lines]
    assert len({line["group"] for line in lines}) == 12
    assert 2 <= server.most_open <= 4
    assert figures["language_model"]["tokens"] == 1200


def test_failures_are_tried_again_and_a_rerun_pays_nothing(endpoint, questions, tmp_path):
    server = endpoint(two_phrasings, failures=1)
    _, lines = ask(server, questions, tmp_path, concurrency=12)
    assert len(lines) == 36 and set(server.asked.values()) == {2}
    figures, again = ask(server, questions, tmp_path)
    assert again == lines and set(server.asked.values()) == {2}
    assert figures["language_model"] == {
        "answers": 12, "from cache": 12, "requests": 0, "tokens": 0, "beyond budget": 0,
    }  # fmt: skip


@pytest.mark.parametrize("status, retries", [(500, 1), (401, 5)])
def test_what_goes_on_failing_is_one_line_and_nothing_is_written(
    endpoint, questions, tmp_path, status, retries
):
    server = endpoint(two_phrasings, failures=99, status=status)
    with pytest.raises(Faults) as caught:
        ask(server, questions, tmp_path, max_retries=retries, concurrency=2)
    (line,) = caught.value.faults
    assert line.startswith(f"llm: {server.url}: ") and "try later" in line and "\n" not in line
    assert not (tmp_path / "set.jsonl").exists()
    assert sum(server.asked.values()) <= 2 * (retries + 1)


def test_an_endpoint_that_is_not_there_is_one_line(questions, tmp_path):
    class Nowhere:
        url = "http://127.0.0.1:9/v1"

    with pytest.raises(Faults, match=r"^llm: http://127.0.0.1:9/v1: Connection error"):
        ask(Nowhere, questions, tmp_path, max_retries=0)


@pytest.mark.parametrize("budget", [{"max_requests": 5}, {"max_tokens": 550}])
def test_the_budget_is_kept(endpoint, questions, tmp_path, budget):
    server = endpoint(two_phrasings, seconds=0.02)
    figures, lines = ask(server, questions, tmp_path, **budget)
    assert sum(server.asked.values()) == 5 and len(lines) == 12 + 10
    assert figures["language_model"]["beyond budget"] == 7
    ask(server, questions, tmp_path, **budget)  # the next five
    assert sum(server.asked.values()) == 10 and set(server.asked.values()) == {1}


def test_answers_of_no_use_are_dropped_and_counted(endpoint, tmp_path):
    replies = {
        "Ăn gì ở Huế?": "",
        "Ăn gì ở Hội An?": "What should I eat in Hội An?\nHội An nên ăn món gì?",
        "Ăn gì ở Sa Pa?": "ăn gì ở sa pa ?\nĂn thắng cố." + "\nTới Sa Pa nên ăn gì?" * 2,
        "Ăn gì ở Đà Lạt?": "Ăn gì ở Nha Trang?\nTắm biển ở Đà Lạt xong ăn gì?",
    }
    server = endpoint(replies.__getitem__)
    pairs = [(q, "Ăn thắng cố.") for q in replies]
    figures, lines = ask(server, write_csv(tmp_path / "a.csv", pairs), tmp_path)
    added = [x["messages"][1]["content"] for x in lines if x["origin"] == "language model"]
    assert added == ["Hội An nên ăn món gì?", "Tới Sa Pa nên ăn gì?"]
    assert figures["dropped"] == {
        "language model: empty": 1,
        "language model: not Vietnamese": 1,
        "language model: a copy": 3,
        "language model: another name or number": 1,
    }
    assert figures["rejected"] == 1


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Cho mình hỏi giá vé Bà Nà?", True),
        ("How much is a ticket to Đà Lạt?", False),
        ("Où est-ce que je peux manger à Huế ?", False),
        ("去大叻的票多少钱？", False),
        ("Gia ve Ba Na bao nhieu?", False),
        ("Huế hay Đà Nẵng?", True),
    ],
)
def test_vietnamese_is_known_by_its_syllables(text, expected):
    assert is_vietnamese(text, NAMES) == expected


def test_a_phrasing_keeps_names_and_numbers():
    question, answer = "Đi Huế 2 ngày nên ăn gì?", "Bún bò."
    assert judge("- tới huế 2 ngày thì nên ăn gì", question, answer, NAMES) == (
        "Tới Huế 2 ngày thì nên ăn gì?", "",
    )  # fmt: skip
    assert judge("Tới Huế 3 ngày nên ăn gì?", question, answer, NAMES)[1]


def test_killed_and_run_again_it_pays_nothing_twice(endpoint, questions, tmp_path):
    server = endpoint(two_phrasings, seconds=0.3)
    command = [sys.executable, "-m", "keras_vngpt.augment", "--data", questions, "--variants", "0"]
    command += ["--output", str(tmp_path / "set.jsonl"), "--llm.concurrency", "2"]
    command += ["--llm.base_url", server.url, "--llm.model", "m"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    env.pop("OPENAI_API_KEY", None)
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    cache = tmp_path / "set.cache"
    deadline = time.monotonic() + 60
    while len(list(cache.glob("[!.]*.json"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    paid = {json.loads(p.read_text())["request"]["messages"][1]["content"].split("\n\n")[1]
            for p in cache.glob("[!.]*.json")}  # fmt: skip
    assert 4 <= len(paid) < 12 and not (tmp_path / "set.jsonl").exists()
    time.sleep(0.5)
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(lines_of(tmp_path / "set.jsonl")) == 36
    assert all(server.asked[question] == 1 for question in paid)
    assert sum(server.asked.values()) <= 12 + 2  # those under way at the kill


# Mistakes and the report


def test_all_mistakes_at_once_and_nothing_written(tmp_path):
    (tmp_path / "t.yaml").write_text("tones:\n  a:\n    question: ['Ai đó?']\n", encoding="utf-8")
    (tmp_path / "f.yaml").write_text(
        "facts:\n- subject: [a]\n  claim: b\n  verdict: sai\n  patterns: ['(']\n", encoding="utf-8"
    )
    (tmp_path / "k.yaml").write_text("price: [\n", encoding="utf-8")
    turns = [{"role": r, "content": "x"} for r in ("user", "assistant") * 2]
    (tmp_path / "d.jsonl").write_text(
        json.dumps({"messages": turns}) + '\n{"request": "...", "response": "a"}\n'
    )
    done = verb(
        "augment", "--data", "d.jsonl", "--templates", "t.yaml", "--facts", "f.yaml",
        "--kinds", "k.yaml", "--names", "none.txt", "--output", "d.jsonl", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    lines = done.stderr.splitlines()
    for expected in (
        "none.txt: cannot be read",
        "t.yaml: tones.a: 'Ai đó?' needs",
        "f.yaml:4: facts.0.verdict",
        "f.yaml:5: facts.0.patterns.0: not a regular expression",
        "k.yaml:2: not valid YAML",
        "d.jsonl:1: needs one question with one answer, has 2 turns",
        "d.jsonl:2: nothing is left of the request",
        "output: d.jsonl is read here too",
    ):
        assert sum(line.startswith(expected) for line in lines) == 1, (expected, lines)
    assert len(lines) == 8
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    "settings, fault",
    [
        ({"variant": 3}, "variant: unknown setting; did you mean variants"),
        ({"teencode": 2}, "teencode: must be less than"),
        ({"llm": {"base_url": "http://x"}}, "llm.model: needs a value"),
        ({"llm": {"base_url": "localhost", "model": "m"}}, "llm.base_url: must be like http"),
        ({"output": "a.csv"}, "output: must end in .jsonl"),
        ({"data": ["none.csv"]}, "none.csv: no such file"),
    ],
)
def test_a_wrong_setting_is_one_line(tmp_path, monkeypatch, settings, fault):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Faults) as caught:
        keras_vngpt.augment(**settings)
    (line,) = caught.value.faults
    assert line.startswith(fault)
    assert list(tmp_path.iterdir()) == []


def test_it_needs_no_tensorflow(tmp_path):
    """The package without its `__init__`, TensorFlow and Keras out of reach."""
    script = f"""
import sys, types
package = types.ModuleType("keras_vngpt")
package.__path__ = [{str(ROOT / "keras_vngpt")!r}]
sys.modules |= {{"keras_vngpt": package, "tensorflow": None, "keras": None, "openai": None}}
from keras_vngpt.data.augmentation.augment import augment
augment(output="a.jsonl", variants=1)
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    assert len(lines_of(tmp_path / "a.jsonl")) == 200


def test_diversity_is_measured():
    assert distinct_n(["a b c", "a b d"], 2) == 3 / 4
    same, different = (
        ["đi đâu chơi ở Huế"] * 20,
        [f"{i} {i + 1} {i + 2} {i + 3}" for i in range(0, 80, 4)],
    )
    assert self_bleu(same) > 99 and self_bleu(different) < 20


def test_what_is_missing_for_balance_is_named(tmp_path):
    pairs = [("Vé Bà Nà giá bao nhiêu?", "Một triệu."), ("Vé Huế giá bao nhiêu?", "Hai trăm."),
             ("Chợ Đông Ba ở đâu?", "Ở Huế.")]  # fmt: skip
    data = write_csv(tmp_path / "a.csv", pairs)
    kinds = keras_vngpt.augment(data=[data], output=str(tmp_path / "b.jsonl"), variants=2)["kinds"]
    assert {k: (n["questions"], n["missing"]) for k, n in kinds.items()} == {
        "price": (2, 0), "address": (1, 1), "suggestion": (0, 2), "itinerary": (0, 2),
        "comparison": (0, 2),
    }  # fmt: skip


def test_kinds_are_read_off_the_words():
    kinds = Kinds("samples:travel_kinds.yaml")
    assert kinds.of("Ở Huế nên chơi ở đâu?") == "suggestion"
    assert kinds.of("Đi Huế 3 ngày hết bao nhiêu tiền?") == "price"
    assert kinds.of("Xin chào") == "other"
