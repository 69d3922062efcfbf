"""The system text and the turns of the training: in the preset, the export, and every verb."""

import json

import numpy as np
import pytest
import tensorflow as tf
from conftest import PROMPTS, SETTINGS, make_model, verb

import keras_vngpt
from keras_vngpt import VnGPTCausalLMPreprocessor
from keras_vngpt.data.find_requests import find_requests
from keras_vngpt.data.records import Conversation
from keras_vngpt.evaluation.exact_match import exact_match
from keras_vngpt.exporting.saved_model import save_generator
from keras_vngpt.generation import chat as chatting
from keras_vngpt.generation.loading import load_generator
from keras_vngpt.generation.refusal import Refusal
from keras_vngpt.generation.saved_model_generator import SavedModelGenerator
from keras_vngpt.tasks import TASKS
from keras_vngpt.tasks.finetune import FinetuneSettings

SYSTEM = "Bạn là trợ lý trong nhà."


def ids_of(generator, text):
    return [i for i in generator.tokenize([text]).numpy()[0].tolist() if i]


@pytest.fixture(scope="module")
def preset(tokenizer, tmp_path_factory):
    """A model that was told of a system text and of conversations of three turns."""
    preprocessor = VnGPTCausalLMPreprocessor(tokenizer, 64, system=SYSTEM, turns=3)
    folder = tmp_path_factory.mktemp("run") / "finetune"
    make_model("modern", preprocessor).save_to_preset(str(folder))
    return folder


@pytest.fixture(scope="module")
def in_memory(preset):
    return load_generator(preset)


@pytest.fixture(scope="module")
def exported(in_memory, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "1"
    save_generator(in_memory, path)
    return SavedModelGenerator(path)


def test_preset_and_export_put_the_system_text_before_requests(preset, in_memory, exported):
    whole = [f"{SYSTEM}\n{prompt}" for prompt in PROMPTS]
    expected = in_memory.generate(whole, 8, system="").numpy().tolist()
    assert expected != in_memory.generate(PROMPTS, 8, system="").numpy().tolist()
    for generator in (in_memory, exported):
        assert (generator.system, generator.turns) == (SYSTEM, 3)
        assert generator.generate(PROMPTS, 8).numpy().tolist() == expected
        assert generator.generate(whole, 8, system="").numpy().tolist() == expected
        assert "".join(generator.stream(PROMPTS[0], 8)) == expected[0].decode(errors="replace")
    model = keras_vngpt.VnGPTCausalLM.from_preset(str(preset))
    ids = model.preprocessor.generate_preprocess({"prompts": PROMPTS[:1]}, 64)["token_ids"]
    assert [i for i in np.array(ids)[0] if i] == ids_of(in_memory, whole[0])


def test_who_has_tensorflow_alone_gets_the_same_answers_and_conversations(in_memory, exported):
    call = exported._signatures
    for name, more in (("serving_default", {}), ("generate_with", {"stop": tf.constant([""])})):
        if more:
            more |= call["generation_config"](rows=tf.constant(len(PROMPTS)))
        found = call[name](prompts=tf.constant(PROMPTS), **more)["responses"].numpy().tolist()
        assert found == in_memory.generate(PROMPTS).numpy().tolist()
    turns = (["Bật đèn", "Tắt đi", "Còn quạt?"], ["Đã bật", "Đã tắt hết"])
    for n in range(3):
        prompts, responses = turns[0][: n + 1], turns[1][:n]
        inputs = tf.constant(prompts), tf.constant(responses, tf.string)
        found = call["conversation"](**dict(zip(("prompts", "responses"), inputs, strict=True)))
        assert found["token_ids"].numpy().tolist() == [
            in_memory.conversation_ids(prompts, responses)
        ]
    assert found["system"].numpy().decode() == SYSTEM and found["turns"] == 3


def test_the_system_text_stands_before_the_first_of_several_turns_alone(in_memory):
    first, second = ids_of(in_memory, f"{SYSTEM}\nBật đèn"), ids_of(in_memory, "Tắt đi")
    answer = in_memory.encode_response(["Đã bật"]).numpy()[0].tolist()
    turns = ["Bật đèn", "Tắt đi"], ["Đã bật"]
    assert in_memory.conversation_ids(*turns) == [*first, *answer, in_memory.end, *second]
    other = in_memory.conversation_ids(*turns, system="Chào.")
    assert other[: len(ids_of(in_memory, "Chào.\nBật đèn"))] == ids_of(in_memory, "Chào.\nBật đèn")


def test_a_preset_of_an_earlier_version_has_the_system_text_of_its_run(small, tmp_path):
    folder = tmp_path / "finetune"
    small()[0].save_to_preset(str(folder))
    file = folder / "preprocessor.json"
    preprocessor = json.loads(file.read_text("utf-8"))
    for name in ("system", "turns"):
        del preprocessor["config"][name]
    file.write_text(json.dumps(preprocessor), "utf-8")
    assert (load_generator(folder).system, load_generator(folder).turns) == ("", 1)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "prompts.json").write_text(json.dumps({"system": SYSTEM}), "utf-8")
    assert load_generator(folder).system == SYSTEM


def write_conversations(path, conversations):
    roles = "user", "assistant"
    lines = []
    for system, *texts in conversations:
        messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
        before = [{"role": "system", "content": system}] if system else []
        lines.append(json.dumps({"messages": before + messages}, ensure_ascii=False))
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_the_most_common_system_text_counts_and_that_is_said(tmp_path, capsys):
    rows = [(SYSTEM, f"Số {i}?", f"Là {i}") for i in range(30)]
    rows += [("Khác.", f"Chữ {i}?", f"Là {i}") for i in range(10)]
    data = write_conversations(tmp_path / "a.jsonl", rows)
    settings = FinetuneSettings(data=[data], validation_share=0.3, test_share=0)
    found = find_requests(TASKS["finetune"], settings, [])
    assert found.system == SYSTEM and found.turns == 1
    said = capsys.readouterr().out
    assert f"2 system texts; answers are asked for with the most common, '{SYSTEM}' (" in said
    # Without it: it comes before whatever is asked.
    assert found.prompts and {text.split()[0] for text in found.prompts} <= {"Số", "Chữ"}


@pytest.mark.parametrize("n_long, turns", [(1, 1), (5, 3)])
def test_a_length_that_is_rare_is_not_learned(tmp_path, n_long, turns):
    rows = [("", f"Số {i}?", f"Là {i}") for i in range(100 - n_long)]
    rows += [("", f"Chữ {i}?", "Là", "Gì nữa?", "Hết", "Thật à?", "Thật") for i in range(n_long)]
    data = write_conversations(tmp_path / "a.jsonl", rows)
    settings = FinetuneSettings(data=[data], validation_share=0, test_share=0)
    assert find_requests(TASKS["finetune"], settings, []).turns == turns


class Listener:
    """A generator that answers with how it was asked."""

    refusal = Refusal()

    def __init__(self, turns=1, system=""):
        self.turns, self.system = turns, system

    def conversation_ids(self, prompts, responses, system=None):
        assert len(prompts) == len(responses) + 1
        return prompts, self.system if system is None else system

    def stream(self, asked, max_new_tokens, **config):
        prompts, system = asked
        yield f"{system}|{'+'.join(prompts)}"

    def answer_conversations(self, conversations, system, refuse_below, certainties):
        assert system == ""
        return ["+".join(prompts) for prompts, _ in conversations], [1.0] * len(conversations)


@pytest.mark.parametrize(
    "turns, given, last, said",
    [
        (3, {}, "b+c+d", "The model sees 2 earlier turns, as it learned to."),
        (2, {}, "c+d", "The model sees 1 earlier turn, as it learned to."),
        (1, {}, "d", "The model sees each request alone, as it learned to."),
        (3, {"memory": False}, "d", "The model sees each request alone."),
        (1, {"memory": True}, "a+b+c+d", "The model sees all earlier turns."),
    ],
)
def test_chat_remembers_as_many_turns_as_were_learned(
    turns, given, last, said, monkeypatch, capsys
):
    monkeypatch.setattr(chatting, "load_text_generator", lambda path: Listener(turns))
    typed = iter(["x", "/new", "a", "b", "c", "d", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    keras_vngpt.chat("runs/x", **given)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(said)
    assert [line for line in lines if line.startswith("|")][-1] == f"|{last}"


@pytest.mark.parametrize(
    "given, system", [({}, SYSTEM), ({"system": ""}, ""), ({"system": "S"}, "S")]
)
def test_chat_asks_with_the_system_text_of_the_training(given, system, monkeypatch, capsys):
    monkeypatch.setattr(chatting, "load_text_generator", lambda path: Listener(1, SYSTEM))
    typed = iter(["a", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    keras_vngpt.chat("runs/x", **given)
    said = capsys.readouterr().out
    assert f"{system}|a\n" in said and (f"request: '{SYSTEM}'" in said) == (not given)


@pytest.mark.parametrize(
    "given, asked",
    [(None, ["Khác.\na", f"{SYSTEM}\nb"]), ("", ["a", "b"]), ("S", ["S\na", "S\nb"])],
)
def test_test_data_has_its_own_system_text_or_that_of_the_training(given, asked):
    conversations = [
        Conversation(("Khác.\na",), ("x",), "f:1", system="Khác."),
        Conversation(("b",), ("x",), "f:2"),
    ]
    answers = exact_match(Listener(1, SYSTEM), conversations, given)
    assert [a["answer"] for a in answers] == asked
    assert [a["request"] for a in answers] == ["a", "b"]


@pytest.mark.slow
def test_a_run_learns_system_text_and_turns_and_all_verbs_agree(tmp_path):
    rows = [
        (SYSTEM, f"Đèn số {i} thế nào?", f"Đèn {i} tắt", "Bật nó đi", f"Đã bật đèn {i}")
        for i in range(40)
    ]
    data = write_conversations(tmp_path / "a.jsonl", rows)
    test = [(SYSTEM, f"Quạt số {i} thế nào?", f"Quạt {i} tắt") for i in range(5)]
    test = write_conversations(tmp_path / "test.jsonl", test)
    run = keras_vngpt.fit(
        folder=str(tmp_path),
        name="home",
        skip=["pretrain"],
        **{name: SETTINGS[name] for name in ("model",)},
        finetune={"data": [data], "test_data": [test], "epochs": 20, "evaluations": 1},
    )
    for path in (run.folder, run / "finetune", run / "export" / "1"):
        generator = load_generator(path)
        assert (generator.system, generator.turns) == (SYSTEM, 2)
    question = "Đèn số 3 thế nào?"
    (answer,) = keras_vngpt.generate(run, [question])
    assert keras_vngpt.generate(run / "export" / "1", [question]) == [answer]
    assert keras_vngpt.generate(run, [f"{SYSTEM}\n{question}"], system="") == [answer]
    told = verb("chat", run.folder, text=f"{question}\n\n")
    assert told.stdout.startswith("The model sees 1 earlier turn, as it learned to.")
    assert f"> {question}\n{answer}\n" in told.stdout
    figures = keras_vngpt.evaluate(run, data=[test])
    assert figures["exact_match"] == run.metrics["finetune.exact_match"]
