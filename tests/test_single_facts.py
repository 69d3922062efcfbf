"""Small sets of single facts: all are learned, in many phrasings; what is not known is refused."""

import random

import pytest
import tensorflow as tf
from conftest import SETTINGS

import keras_vngpt
from keras_vngpt.augmentation.letters import without_diacritics
from keras_vngpt.augmentation.rough_phrasings import RoughPhrasings, Thesaurus
from keras_vngpt.augmentation.unanswerable import unanswerable_requests
from keras_vngpt.data.find_requests import are_single_facts
from keras_vngpt.data.prepared_rows import TaskData
from keras_vngpt.data.records import Conversation
from keras_vngpt.evaluation.refusals import calibrated
from keras_vngpt.evaluation.refusals import test_figures as figures_of
from keras_vngpt.exporting.saved_model import save_generator
from keras_vngpt.generation.model_generator import ModelGenerator
from keras_vngpt.generation.refusal import Refusal, certainty
from keras_vngpt.generation.saved_model_generator import SavedModelGenerator
from keras_vngpt.runs.run import read_jsonl
from keras_vngpt.tasks import TASKS
from keras_vngpt.tasks.finetune import FinetuneSettings
from keras_vngpt.text.refusal_text import REFUSAL, is_refusal
from keras_vngpt.training.plan import Plan

PAIRS = [
    ("Tiệm giặt mở cửa lúc mấy giờ?", "Tiệm mở từ 6 giờ 30 đến 21 giờ mỗi ngày."),
    ("Giặt một ký đồ giá bao nhiêu?", "Giặt sấy 18.000 đồng một ký, tối thiểu 3 ký."),
    ("Tiệm có giao đồ tận nhà không?", "Giao tận nhà miễn phí trong vòng 2 cây số."),
    ("Ai là chủ tiệm?", "Chủ tiệm là chị Lành, số 0907 111 222."),
    ("Giặt mền mất bao lâu?", "Mền giặt xong sau 24 giờ."),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("facts") / "facts.csv"
    lines = [f'"{question}","{answer}"\n' for question, answer in PAIRS]
    path.write_text("question,answer\n" + "".join(lines), encoding="utf-8")
    return str(path)


def read(data, **settings):
    faults = []
    found = TASKS["finetune"].read(FinetuneSettings(data=[data], **settings), faults)
    assert not faults
    return found


def asked(conversations):
    return {c.prompts[-1] for c in conversations}


def test_all_facts_are_learned_and_held_out_is_what_they_are_called(data):
    found = read(data, rephrasings=80)
    train, validation, test = (found.sides[side] for side in ("train", "validation", "test"))
    assert {q for q, _ in PAIRS} <= asked(train)
    assert {a for _, a in PAIRS} | {REFUSAL} == {c.responses[0] for c in test}
    known = [asked(c for c in side if c.responses[0] != REFUSAL) for side in (train, test)]
    assert not known[0] & known[1] and not known[1] & asked(validation)
    assert len(known[0]) > 300  # other phrasings of five questions
    for side in (train, validation, test):
        strange = sum(c.responses[0] == REFUSAL for c in side)
        assert strange == pytest.approx(0.25 * len(side), abs=1)
    assert asked(found.asked["trained"]) == {q for q, _ in PAIRS}


def test_a_share_that_is_set_is_obeyed(data):
    found = read(data, test_share=0.4)
    test = asked(found.sides["test"])
    assert test and test < {q for q, _ in PAIRS} and not test & asked(found.sides["train"])
    none = read(data, test_share=0, validation_share=0)
    assert not none.test and asked(none.sides["train"]) == {q for q, _ in PAIRS}


def test_only_small_sets_whose_answers_stand_alone_are_single_facts():
    def of(answers, group=""):
        return [
            Conversation((f"Câu {i}?",), (answer,), "", group) for i, answer in enumerate(answers)
        ]

    assert are_single_facts(of("abcdef")) and are_single_facts(of("abcdd"))
    assert not are_single_facts(of("aabbcc")) and not are_single_facts(of("abcdef", "nhóm"))
    assert not are_single_facts(of(map(str, range(2_000))))
    two_turns = Conversation(("a", "b"), ("c", "d"), "")
    assert not are_single_facts([two_turns])


def test_a_rough_phrasing_is_of_one_question_alone():
    thesaurus, draw = Thesaurus(), random.Random(0)
    rough = RoughPhrasings(PAIRS, [[] for _ in PAIRS], thesaurus)
    assert thesaurus.parts("Tiệm mở lúc mấy giờ?") == ["Tiệm", "mở", "lúc mấy giờ"]
    assert thesaurus.meanings(["ô tô"]) == thesaurus.meanings(["xe hơi"])
    strangers = rough.strangers(["Ai là chủ tiệm?", "Thủ đô của Pháp là gì?"])
    assert [" ".join(parts) for parts in strangers] == ["Thủ đô của Pháp là gì"]
    texts = {rough.draw(4, strangers, draw) for _ in range(200)}
    assert len(texts) > 150
    # "Tiệm" and "giặt" stand in other pairs too, "mền" (or "chăn") in this one alone.
    rough.asked[4], rough.telling[4] = [["tiệm", "giặt", "mền"]], []
    for _ in range(50):
        words = without_diacritics(rough.draw(4, strangers, draw)).lower().strip("?.").split()
        assert {"men", "chan"} & set(words), words


def test_strange_requests_of_a_topic_are_on_one_side():
    sides = unanswerable_requests()
    assert all(len(requests) > 40 for requests in sides.values())
    assert not set(sides["train"]) & {*sides["validation"], *sides["test"]}


@pytest.mark.parametrize(
    ("epochs", "rows", "steps"), [(None, 16, 150), (None, 1600, 2000), (3.0, 16, 3)]
)
def test_a_small_set_is_read_until_it_is_learned_unless_passes_are_set(epochs, rows, steps):
    class Rows(list):
        length, fill = 128, 1.0

    rows = Rows(range(rows))
    plan = Plan.of(TaskData(rows, rows), TASKS["finetune"], FinetuneSettings(epochs=epochs))
    assert plan.steps == steps


def test_the_threshold_parts_right_answers_from_wrong_ones():
    def answer(certainty, correct, text="Số 5"):
        return {"answer": text, "correct": correct, "certainty": certainty}

    right = [answer(c, True) for c in (0.9, 0.8, 0.99)]
    wrong = [answer(c, False) for c in (0.1, 0.4)]
    refused = [answer(0.95, False, REFUSAL)]  # in words: no certainty changes that
    assert calibrated([*right, *wrong, *refused], REFUSAL) == pytest.approx(0.6)
    assert calibrated(right, REFUSAL) == calibrated([], REFUSAL) == 0.0


def test_refusals_of_strange_and_of_known_requests_are_told_apart():
    def answer(expected, given):
        return {"expected": expected, "answer": given, "correct": expected == given}

    answers = [answer(a, b) for a, b in [("x", "x"), ("x", REFUSAL), ("y", "z"), ("z", "z")]]
    assert figures_of(answers, REFUSAL) == {"exact_match": 0.5, "test_requests": 4}
    answers += [answer(REFUSAL, REFUSAL), answer(REFUSAL, "x")]
    more = {"strange_requests": 2, "strange_refused": 0.5, "known_refused": 0.25}
    assert figures_of(answers, REFUSAL) == {"exact_match": 0.5, "test_requests": 4} | more


def test_certainty_is_the_probability_of_the_least_likely_token():
    found = certainty(tf.math.log([[0.9, 0.5, 1.0], [0.7, 0.8, 0.9]]))
    assert found.numpy() == pytest.approx([0.5, 0.7])
    assert certainty(tf.zeros([2, 0])).numpy().tolist() == [1.0, 1.0]


def test_an_uncertain_answer_is_refused_in_memory_and_by_an_export(small, tmp_path):
    model, plain = small()
    prompts = ["Bật đèn phòng khách", "tắt"]
    answers = plain.generate(prompts, 8).numpy().tolist()
    _, sure = plain.answer_conversations([([p], []) for p in prompts], 8, certainties=True)
    below = sum(sure) / 2
    generator = ModelGenerator(model)
    generator.refusal = Refusal(below, "Không biết.")
    expected = [
        "Không biết.".encode() if c < below else a for a, c in zip(answers, sure, strict=True)
    ]
    assert len(set(expected) & set(answers)) == 1  # one is refused, the other is not
    save_generator(generator, tmp_path / "export")
    exported = SavedModelGenerator(tmp_path / "export")
    assert exported.refusal == Refusal(pytest.approx(below), "Không biết.")
    for each in (generator, exported):
        assert each.generate(prompts, 8).numpy().tolist() == expected
        assert each.generate(prompts, 8, refuse_below=0.0).numpy().tolist() == answers
    served = exported._call("generate", prompts=tf.constant(prompts), **defaults(8))
    assert served["responses"].numpy().tolist() == expected


def defaults(max_new_tokens):
    values = {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}
    return {n: tf.constant(v) for n, v in values.items()} | {
        "seed": tf.constant(0),
        "max_new_tokens": tf.constant(max_new_tokens),
    }


def test_a_run_says_what_is_still_wrong_and_what_it_refuses(data, tmp_path, capsys):
    own = {**SETTINGS["finetune"], "data": [data], "epochs": 1, "rephrasings": 10}
    settings = {**SETTINGS, "skip": ["pretrain", "export"], "finetune": own}
    run = keras_vngpt.fit(folder=str(tmp_path), name="facts", **settings)
    said, metrics = capsys.readouterr().out, run.metrics
    trained = read_jsonl(run / "trained_answers.jsonl")
    wrong = [a["request"] for a in trained if not a["correct"]]
    assert metrics["finetune.trained_requests"] == len(PAIRS) == len(trained)
    assert metrics["finetune.trained_right"] == 1 - len(wrong) / len(PAIRS)
    assert all(f"wrong: {request}" in said for request in wrong)
    assert {"finetune.strange_refused", "finetune.known_refused"} <= set(metrics)
    assert Refusal.load(run / "finetune").below == metrics["finetune.refuse_below"]
    assert "single facts" in said
    assert is_refusal(keras_vngpt.generate(run, ["Bật đèn"], refuse_below=1.0)[0])
