"""From a hundred pairs to a set: cleaning, variants, mistakes, the report."""

import itertools
import json
import re
import subprocess
import sys
import unicodedata
from collections import Counter

import pytest
from conftest import ROOT, verb
from pairs import NAMES, lines_of, questions_of, write_csv

import keras_vngpt
from keras_vngpt.augmentation.answers import Answers
from keras_vngpt.augmentation.letters import key, without_diacritics
from keras_vngpt.augmentation.names import Names
from keras_vngpt.augmentation.pair_cleaning import clean, clean_question
from keras_vngpt.augmentation.phrase_book import PhraseBook
from keras_vngpt.augmentation.question_kinds import Kinds
from keras_vngpt.augmentation.report import distinct_n, self_bleu
from keras_vngpt.augmentation.rewording import Rewording, reword
from keras_vngpt.augmentation.same_facts import same_facts
from keras_vngpt.augmentation.user_files import shipped as shipped_files
from keras_vngpt.data.readers import Conversation, read_conversations
from keras_vngpt.data.splits import split
from keras_vngpt.errors import UserError
from keras_vngpt.runs.prepare import read_all
from keras_vngpt.runs.settings import resolve_settings


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The output of the shipped questions, with what ships for their subject."""
    folder = tmp_path_factory.mktemp("augment")
    done = verb("augment", "--subject", "travel", cwd=folder)
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


def test_without_arguments_the_shipped_questions_are_asked_in_neutral_ways(tmp_path):
    output = tmp_path / "a.jsonl"
    assert keras_vngpt.augment(output=str(output))["lines"] == 1100
    asked = [q for line, q in zip(lines_of(output), questions_of(output), strict=True)
             if line["origin"] == "template"]  # fmt: skip
    assert not any(re.search("sắp đi du lịch|chuyến đi|lên kế hoạch", q) for q in asked)
    assert sum("Fansipan" in q for q in asked) > 10  # names are learned from the file


def test_the_line_that_the_documents_show_is_one_of_the_output(shipped):
    page = (ROOT / "docs" / "augment.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\{.*\"origin\".*$", page, re.M)
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
    sides = read_all(settings)["finetune"].sides
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
    sides = read_all(resolve_settings(None, given)[0])["finetune"].sides
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
    with pytest.raises(UserError, match="a.jsonl:1: group must be text"):
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
    given |= {"synonyms": str(templates.with_name("s.yaml")), "without_diacritics": 0}
    templates.with_name("s.yaml").write_text("synonyms: {}", encoding="utf-8")
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


def test_lines_of_a_cell_stay_lines(tmp_path):
    answer = "Có hai gói:\n- Gói nhỏ: 150.000 đồng\n- Gói lớn: 450.000 đồng"
    assert clean(f" {answer} \n", NAMES) == answer
    bullets = "- Sáng: 8 giờ\n- Chiều: 2 giờ"
    assert clean(bullets, NAMES) == bullets
    data = write_csv(tmp_path / "a.csv", [("Có mấy gói?", answer)])
    keras_vngpt.augment(data=[data], output=str(tmp_path / "b.jsonl"), answers=3)
    for line in lines_of(tmp_path / "b.jsonl"):
        assert line["messages"][-1]["content"].endswith(answer[answer.index("\n") :])


# Answers


@pytest.fixture(scope="module")
def answers():
    return Answers(PhraseBook(shipped_files("templates"), shipped_files("synonyms"), NAMES), NAMES)


def test_an_answer_is_worded_in_other_ways_that_say_the_same(answers):
    for answer, expected in [
        ("Một hộp khẩu trang giá 35.000 đồng.", "Giá một hộp khẩu trang là 35.000 đồng."),
        ("Văn phòng ở 27 Giải Phóng, Hà Nội.", "Địa chỉ văn phòng là 27 Giải Phóng, Hà Nội."),
        ("Đổi trong 24 giờ nếu còn hóa đơn.", "Nếu còn hóa đơn thì đổi trong 24 giờ."),
        ("Dạ được, anh chị gọi 1900 6772 ạ.", "Được, anh chị gọi 1900 6772 nhé."),
        ("Vé khứ hồi được giảm 10%.", "Vé khứ hồi được giảm 10% bạn nhé."),
    ]:
        texts = list(itertools.islice(answers.wordings(answer), 30))
        assert expected in texts, texts
        assert len({key(text) for text in texts}) == len(texts)
        assert all(same_facts(text, answer, NAMES) for text in texts)
    assert not any("bạn" in t for t in answers.wordings("Anh chị gọi 1900 6772 nhé."))


@pytest.mark.parametrize(
    "original, wrong",
    [
        ("Vé 30.000 đồng, mở từ 7 giờ.", "Vé 35.000 đồng, mở từ 7 giờ."),
        ("Vé 30.000 đồng, mở từ 7 giờ.", "Vé 30.000 đồng, mở từ 7 phút."),
        ("Vé 30.000 đồng, mở từ 7 giờ.", "Vé 30.000 đồng."),
        ("Gọi chị Lan ở Huế.", "Gọi chị Mai ở Huế."),
        ("Gọi chị Lan ở Huế.", "Gọi chị Lan."),
        ("Gọi chị Lan ở quầy.", "Gọi chị ở quầy."),
        ("Trẻ em không phải mua vé.", "Trẻ em phải mua vé."),
        ("Có ba gói thuốc.", "Có bốn gói thuốc."),
    ],
)
def test_another_number_name_or_denial_is_another_fact(original, wrong):
    assert not same_facts(wrong, original, NAMES)
    assert same_facts(f"Dạ {original[0].lower()}{original[1:-1]} ạ.", original, NAMES)


def test_phrasings_take_turns_with_wordings_and_the_original_is_found(tmp_path):
    data = write_csv(tmp_path / "a.csv", [("Vé khứ hồi giá bao nhiêu?", "Giá 90.000 đồng.")])
    output = str(tmp_path / "b.jsonl")
    figures = keras_vngpt.augment(data=[data], output=output, answers=4, variants=10)
    first, *lines = lines_of(output)
    assert first["answer_origin"] == "original" and "original_answer" not in first
    assert Counter(line["answer_origin"] for line in lines) == {"original": 2, "template": 8}
    assert len({line["messages"][-1]["content"] for line in lines}) == 5
    assert {line["original_answer"] for line in lines} == {"Giá 90.000 đồng."}
    assert figures["answer_origins"] == {"original": 3, "template": 8}
    keras_vngpt.augment(data=[data], output=output)
    assert len({line["messages"][-1]["content"] for line in lines_of(output)}) == 1


def test_names_are_learned_from_the_file():
    texts = ["Ghé quán Bà Tám Lộc nhé", "quán bà tám lộc ở đâu", "Ở đó Bạn ăn gì", "bạn đi đâu"]
    names = Names([]).learned_from(texts)
    assert names.restore("quán bà tám lộc ngon không bạn") == "quán Bà Tám Lộc ngon không bạn"


# Variation


@pytest.fixture(scope="module")
def rewording():
    files = (shipped_files(name, "travel") for name in ("templates", "synonyms"))
    return Rewording(PhraseBook(*files, NAMES), NAMES, teencode=0, plain=0)


def some_variants(rewording, question, n=60):
    return [phrasing.text for phrasing in itertools.islice(rewording.phrasings(question), n)]


def test_there_are_enough_forms_of_address(rewording):
    frames = {frame for tone in rewording.book.frames["question"] for frame in tone}
    assert len(frames) >= 24 and len({frame.tone for frame in frames}) >= 4


def test_a_clause_loses_its_opening_and_closing_words_and_its_capital(rewording):
    assert rewording.clause("Dạ cho em hỏi chợ Bến Thành ở đâu vậy ạ?") == "chợ Bến Thành ở đâu"
    assert rewording.clause("Đà Lạt có gì chơi nhỉ?") == "Đà Lạt có gì chơi"
    assert rewording.clause("Gợi ý quán ngon ở Nha Trang.") == "gợi ý quán ngon ở Nha Trang"
    assert rewording.clause("Đi đâu ở Phong Nha?") == "đi đâu ở Phong Nha"


def test_names_and_meaning_survive_every_variant(rewording):
    for question, parts in [
        ("Đi Nha Trang cùng trẻ nhỏ nên chơi ở đâu?", ["Nha Trang"]),
        ("Gợi ý lịch trình 2 ngày 1 đêm ở Phong Nha", ["Phong Nha", "2 ngày 1 đêm"]),
        ("Vé tàu từ Hà Nội đi Lào Cai bao nhiêu tiền?", ["Hà Nội", "Lào Cai"]),
    ]:
        for text in some_variants(rewording, question):
            assert all(part in text for part in parts), text
            assert "{" not in text


def test_no_phrase_of_a_subject_is_in_what_fits_every_one():
    words = re.compile(r"du lịch|chuyến đi|khách sạn|biển|tour|món ngon|shop|cửa hàng|đặt phòng")
    book = PhraseBook(shipped_files("templates"), shipped_files("synonyms"), NAMES)
    frames = [f for tones in book.frames.values() for tone in tones for f in tone]
    assert len(frames) > 50 and not any(words.search(f.before + f.after) for f in frames)
    for phrasings in reword(["Vé xe giá bao nhiêu?", "Mấy giờ mở cửa?", "Có giao hàng không?"], 60):
        assert len(phrasings) > 40 and not any(words.search(p.text) for p in phrasings)


@pytest.mark.parametrize(
    "question, expected",
    [
        ("Bến xe ở đâu?", ["địa chỉ bến xe", "bến xe nằm chỗ nào"]),
        ("Gửi xe máy bao nhiêu tiền?", ["giá cả gửi xe máy ra sao", "giá gửi xe máy"]),
        ("Nhà thuốc mở cửa lúc mấy giờ?", ["khi nào nhà thuốc mở cửa", "giờ mở cửa của nhà thuốc"]),
        ("Làm sao để đổi vé?", ["cách đổi vé", "muốn đổi vé thì làm sao"]),
        ("Có thể trả góp không?", ["trả góp được không", "trả góp có được không"]),
        ("Chủ nhật có khám không?", ["có khám vào chủ nhật không"]),
        ("Nếu mất vé thì sao?", ["lỡ mất vé thì sao"]),
        ("Dạ cho em hỏi phí giao hàng là bao nhiêu ạ?", ["phí giao hàng bao nhiêu"]),
        ("Tôi muốn đổi vé, phí bao nhiêu?", ["Tôi muốn đổi vé, cho hỏi phí"]),
    ],
)
def test_questions_are_asked_in_other_words_and_orders(question, expected):
    texts = [p.text for p in reword([question], 400)[0]]
    for words in expected:
        assert any(words.lower() in text.lower() for text in texts), (words, texts)


def test_phrasings_depend_on_question_and_seed_and_are_typed_in_many_ways():
    questions = ["Gửi xe máy bao nhiêu tiền?", "Trẻ em có phải mua vé không?"]
    first = reword(questions, 30)
    assert first[1:] == reword(questions[1:], 30) and first != reword(questions, 30, seed=1)
    for question, phrasings in zip(questions, first, strict=True):
        assert len({key(p.text) for p in phrasings} - {key(question)}) == 30
    styles = Counter(p.style for phrasings in first for p in phrasings)
    assert styles["reworded"] > 20 and styles["noun"] and styles["teencode"]
    plain = [p for p in first[0] if p.style == "without diacritics"]
    assert plain and all(p.text == without_diacritics(p.text) for p in plain)


def test_no_one_speaks_to_two_people():
    for text, style in reword(["Anh chị có nhận thẻ không?"], 60)[0]:
        if style not in ("teencode", "without diacritics"):
            assert not re.search(r"\b(?:bạn|cô|bác|cậu)\b", text.lower()), text


def test_orders_are_not_asked_as_questions(rewording):
    for text in some_variants(rewording, "Gợi ý lịch trình 1 ngày ở Huế"):
        assert "cho mình hỏi" not in text and "muốn biết" not in text


def test_order_and_words_change(rewording):
    texts = " | ".join(some_variants(rewording, "Vé cáp treo Bà Nà bao nhiêu tiền?"))
    assert "giá vé cáp treo Bà Nà" in texts and "vé cáp treo Bà Nà giá bao nhiêu" in texts


def test_one_person_speaks_in_a_variant(rewording):
    for text in some_variants(rewording, "Mình nên ăn gì ở Huế?", 200):
        if "cháu" in text.lower():
            assert "mình" not in text.lower()
    assert any("một mình" in t for t in some_variants(rewording, "Đi một mình nên ở đâu?"))


def test_what_precedes_the_question_stays_before_it(rewording):
    for text in some_variants(rewording, "Mình sắp đi Huế. Nên ở khu nào?", 20):
        told, asked = text.split(" sắp đi Huế. ")
        assert asked
        if "cháu" in asked:
            assert told == "Cháu"
    for text in some_variants(rewording, "Chợ nào ở TP. Hồ Chí Minh lớn nhất?", 20):
        assert "chợ nào ở TP. Hồ Chí Minh lớn nhất" in text.replace("Chợ", "chợ")


def test_typing_habits_are_a_share_that_is_set(shipped, tmp_path):
    variants = [q for q in questions_of(shipped[0])[100:]]
    share = sum(q == without_diacritics(q) for q in variants) / len(variants)
    assert 0.1 < share < 0.2
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
        data=[data], output=output, templates=str(templates), synonyms=str(synonyms),
        without_diacritics=0,
    )  # fmt: skip
    assert set(questions_of(output)[1:]) == {"Alo, chợ Đông Ba ở đâu?", "Alo, chợ Đông Ba chỗ mô?"}


def test_a_part_that_stands_twice_is_one_line(tmp_path):
    synonyms = tmp_path / "s.yaml"
    synonyms.write_text("parts: {x: .+}\norders: [{pattern: '{x} và {x}', to: ['{x}']}]")
    with pytest.raises(UserError) as caught:
        PhraseBook(shipped_files("templates"), [str(synonyms)], NAMES)
    (line,) = caught.value.faults
    assert line.startswith(f"{synonyms}: orders: '{{x}} và {{x}}': redefinition")


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
    with pytest.raises(UserError) as caught:
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
from keras_vngpt.augmentation.augment import augment
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


def test_without_sacrebleu_the_report_says_so_and_has_the_rest(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    data = write_csv(tmp_path / "a.csv", [("Vé Bà Nà giá bao nhiêu?", "Một triệu.")])
    figures = keras_vngpt.augment(data=[data], output=str(tmp_path / "b.jsonl"), variants=2)
    assert figures["self_bleu"] is None and 0 < figures["distinct_2"] <= 1
    told = capsys.readouterr().out
    assert 'needs sacrebleu. pip install "keras_vngpt[augment]"' in told


def test_what_is_missing_for_balance_is_named(tmp_path):
    pairs = [("Vé Bà Nà giá bao nhiêu?", "Một triệu."), ("Vé Huế giá bao nhiêu?", "Hai trăm."),
             ("Chợ Đông Ba ở đâu?", "Ở Huế.")]  # fmt: skip
    data = write_csv(tmp_path / "a.csv", pairs)
    kinds = keras_vngpt.augment(data=[data], output=str(tmp_path / "b.jsonl"), variants=2)["kinds"]
    assert {k: (n["questions"], n["missing"]) for k, n in kinds.items()} == {
        "price": (2, 0), "address": (1, 1),
    }  # fmt: skip


def test_kinds_are_read_off_the_words():
    kinds = Kinds(["samples:travel_kinds.yaml"])
    assert kinds.of("Ở Huế nên chơi ở đâu?") == "suggestion"
    assert kinds.of("Đi Huế 3 ngày hết bao nhiêu tiền?") == "price"
    assert kinds.of("Xin chào") == "other"
