"""Readers, splits, rows and their order."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from keras_vngpt import VnGPTCausalLMPreprocessor
from keras_vngpt.data.dataset import PackedDataset
from keras_vngpt.data.packing import best_fit, concatenate_and_split, fill_with_replay, one_a_row
from keras_vngpt.data.pipeline import evaluation_batches, training_batches
from keras_vngpt.data.prepared_rows import TaskData
from keras_vngpt.data.readers import Conversation, read_conversations, read_documents
from keras_vngpt.data.splits import split
from keras_vngpt.data.tokenise_and_pack import prepare_conversations
from keras_vngpt.errors import UserError
from keras_vngpt.samples import home_commands, home_kinds
from keras_vngpt.tasks import TASKS
from keras_vngpt.tasks.finetune import FinetuneSettings
from keras_vngpt.training.plan import Plan

PLAIN = {c.key for c in home_commands.combinations()}


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_every_accepted_shape_of_a_request(tmp_path):
    lines = [
        {"request": "hỏi", "response": "đáp"},
        {"prompt": "hỏi", "completion": "đáp"},
        {"messages": [{"role": "user", "content": "hỏi"}, {"role": "assistant", "content": "đáp"}]},
    ]
    jsonl = write(tmp_path / "a.jsonl", "\n".join(json.dumps(line) for line in lines))
    csv = write(tmp_path / "b.csv", '\ufeffid,request,response\n1,hỏi,"đáp"\n')
    found = read_conversations([jsonl, csv])
    assert [(c.prompts, c.responses) for c in found] == [(("hỏi",), ("đáp",))] * 4
    assert found[3].source == f"{csv}:2"


def test_system_and_turns(tmp_path):
    roles = ["system", "user", "assistant", "user", "assistant"]
    messages = [{"role": r, "content": f"{r}{i}"} for i, r in enumerate(roles)]
    path = write(tmp_path / "a.jsonl", json.dumps({"messages": messages}))
    (found,) = read_conversations([path])
    assert found.prompts == ("system0\nuser1", "user3")
    assert found.responses == ("assistant2", "assistant4")


def test_folders_and_globs_and_documents(tmp_path):
    write(tmp_path / "a.txt", "một\nhai\n\nba\r\n\r\n")
    write(tmp_path / "b.txt", "bốn")
    for pattern in (str(tmp_path), str(tmp_path / "*.txt")):
        assert read_documents([pattern]) == ["một\nhai", "ba", "bốn"]


@pytest.mark.parametrize(
    "name, content, fault",
    [
        ("a.jsonl", '{"request": "a", "response": "b"}\n' * 16 + "{oops\n", ":17: not valid JSON"),
        ("a.jsonl", b'{"request": "a", "response": "b"}\n\xff\n', ":2: invalid UTF-8"),
        ("a.jsonl", "", ": the file is empty"),
        ("a.jsonl", '{"request": "a"}\n', ":1: missing column"),
        ("a.jsonl", '{"request": "a", "response": " "}\n', ":1: empty response"),
        ("a.jsonl", '{"request": 1, "response": "b"}\n', ":1: request must be text, is 1"),
        ("a.jsonl", '["a"]\n', ": record 1: needs an object"),
        ("a.jsonl", '{"messages": [{"role": "user", "content": "a"}]}\n', ":1: messages must be"),
        ("a.csv", "hoi,dap\na,b\n", ':1: missing column: needs "request"'),
        ("a.csv", 'request,response\na,b\nc,""\n', ":3: empty response"),
        ("a.csv", 'request,response\na,"b\n', ":2: not valid CSV"),
        ("a.csv", "request,response\n", ": no line with a request"),
        ("a.csv", "request,response\na,b\nc,d, e\n", ":3: 3 fields where the header has 2"),
        ("a.csv", "request,response\na\n", ":2: 1 fields where the header has 2"),
        ("a.csv", "request+response\na+b\n", ":1: missing column"),
    ],
)
def test_a_fault_names_file_and_line(tmp_path, name, content, fault):
    path = write(tmp_path / name, content)
    with pytest.raises(UserError) as caught:
        read_conversations([path])
    (line,) = caught.value.faults
    assert line.startswith(path + fault)


def test_all_faults_of_all_files_at_once(tmp_path):
    a = write(tmp_path / "a.jsonl", '{"request": ""}\n{\n{"request": "", "response": "b"}\n')
    b = write(tmp_path / "b.csv", "x\n1\n")
    with pytest.raises(UserError) as caught:
        read_conversations([a, b, str(tmp_path / "none.jsonl")])
    assert [line.split(": ")[0] for line in caught.value.faults] == [
        str(tmp_path / "none.jsonl"), f"{a}:1", f"{a}:2", f"{a}:3", f"{b}:1",
    ]  # fmt: skip


def test_the_same_text_always_falls_on_the_same_side():
    items = [f"văn bản {i}" for i in range(1000)]
    sides = split(items, {"test": 0.1, "validation": 0.1})
    sizes = {side: len(part) for side, part in sides.items()}
    assert 60 < sizes["test"] < 140 and 60 < sizes["validation"] < 140
    assert sorted(sum(sides.values(), [])) == sorted(items)
    again = split(items[::-1] + ["thêm"], {"test": 0.1, "validation": 0.1})
    assert all(set(part) <= set(again[side]) for side, part in sides.items())
    wider = split(items, {"test": 0.1, "validation": 0.2})
    assert wider["test"] == sides["test"] and set(wider["validation"]) > set(sides["validation"])


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_of_very_few_there_is_one_for_each_side_whatever_the_order(n):
    shares = {"test": 0.1, "validation": 0.1}
    for start in range(0, 300, n):
        items = [f"câu {i}" for i in range(start, start + n)]
        parts = split(items, shares)
        assert parts["train"] and sum(map(bool, parts.values())) == min(n, 3)
        again = split(items[::-1], shares)
        assert {s: set(p) for s, p in again.items()} == {s: set(p) for s, p in parts.items()}


def test_a_side_that_the_hash_leaves_empty_moves_nothing_else():
    items = [f"câu {i}" for i in range(60)]
    many = split(items, {"test": 0.1, "validation": 0.0001})
    assert many["test"] == split(items, {"test": 0.1})["test"] and len(many["validation"]) == 1


def triples_of(lengths):
    """Documents of ones, twos, ..., end to end: a token tells where it came from."""
    tokens = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    columns = {"token_ids": tokens, "target": tokens, "sample_weight": np.ones(len(tokens))}
    return columns, np.array(lengths)


def test_flow_fills_every_row_and_loses_nothing():
    rows = concatenate_and_split(*triples_of([5, 3, 9]), 4)
    assert rows["token_ids"].tolist() == [
        [1, 1, 1, 1],
        [1, 2, 2, 2],
        [3] * 4,
        [3] * 4,
        [3, 0, 0, 0],
    ]
    assert rows["segment_ids"].tolist() == [
        [1, 1, 1, 1], [1, 2, 2, 2], [1] * 4, [1] * 4, [1, 0, 0, 0],
    ]  # fmt: skip
    assert rows.tokens == 17


def test_ids_beyond_two_bytes_stay_what_they_are_also_where_they_are_targets_alone():
    columns, sizes = triples_of([3, 2])
    rows = concatenate_and_split({**columns, "target": columns["target"] + 151_645}, sizes, 5)
    assert rows["target"].tolist() == [[151_646] * 3 + [151_647] * 2]


def test_best_fit_keeps_documents_whole():
    lengths = np.random.default_rng(0).integers(1, 17, 200)
    rows = best_fit(*triples_of(lengths), 32)
    assert rows.fill > 0.95
    found = {}
    for tokens, segments in zip(rows["token_ids"], rows["segment_ids"], strict=True):
        for segment in set(segments) - {0}:
            (document,) = set(tokens[segments == segment])
            found[document] = (segments == segment).sum()
    assert found == dict(enumerate(lengths, 1))


def test_a_small_set_is_packed_several_times_and_trained_as_often_as_asked(preprocessor):
    conversations = [Conversation(("hỏi " * n,), ("đáp " * n,), "") for n in range(1, 6)]
    once = prepare_conversations(conversations, preprocessor)
    often = prepare_conversations(conversations, preprocessor, few_rows=16)
    assert once.passes == 1 and often.passes > 1
    assert often.rows.tokens == often.passes * once.rows.tokens
    assert often.rows.weight == often.passes * once.rows.weight
    assert len(often.rows) >= 16 and often.rows.fill > once.rows.fill
    settings = FinetuneSettings(epochs=10, batch_size=2, evaluations=1)
    data = TaskData(often.rows, often.rows, passes=often.passes)
    plan = Plan.of(data, TASKS["finetune"], settings)
    trained = plan.steps * plan.batch_size * often.rows.tokens / len(often.rows)
    assert trained == pytest.approx(10 * once.rows.tokens, rel=0.1)


def test_text_fills_the_gaps_and_the_documents_stay_as_they_are():
    rows = best_fit(*triples_of([5, 3, 6, 8]), 8)
    columns, sizes = triples_of([5, 9, 40, 3])
    moved = {name: columns[name] + 100 for name in ("token_ids", "target")}
    text = concatenate_and_split({**columns, **moved}, sizes, 6)
    filled = fill_with_replay(rows, text, 0.5, start_token_id=103)
    is_gap = rows["segment_ids"] == 0
    assert is_gap.any() and filled.fill == 1
    for name, array in filled.columns.items():
        np.testing.assert_array_equal(array[~is_gap], rows[name][~is_gap])
    assert set(filled["sample_weight"][is_gap]) == {0.5}
    assert (filled["token_ids"][is_gap] > 100).all() and (filled["target"][is_gap] > 100).all()
    for segments, gap in zip(filled["segment_ids"].astype(int), is_gap, strict=True):
        assert (np.diff(segments) >= 0).all() and segments[0] == 1
        assert not set(segments[gap]) & set(segments[~gap])


@pytest.mark.parametrize("seed", range(20))
def test_a_gap_never_sees_its_row_nor_two_pieces_of_text_each_other(seed):
    generator = np.random.default_rng(seed)
    rows = best_fit(*triples_of(generator.integers(1, 17, 40)), 16)
    columns, sizes = triples_of(generator.integers(3, 30, generator.integers(1, 6)))
    text = concatenate_and_split(columns, sizes, 8)
    filled = fill_with_replay(rows, text, 0.5, start_token_id=999)
    assert (filled["segment_ids"] > 0).all() and filled["segment_ids"].max() < 17
    for own, segments, tokens in zip(
        rows["segment_ids"], filled["segment_ids"], filled["token_ids"], strict=True
    ):
        assert set(np.diff(segments.astype(int))) <= {0, 1}
        assert not set(segments[own == 0]) & set(segments[own > 0])
        for segment in set(segments[own == 0]):  # one piece: of one row of the text, in order
            piece = tokens[segments == segment]
            assert any(
                (row[i : i + len(piece)] == piece).all() for row in text["token_ids"]
                for i in range(9 - len(piece))
            )  # fmt: skip


def test_rows_come_back_from_disk(tmp_path):
    rows = best_fit(*triples_of([5, 3, 9]), 16)
    rows.save(tmp_path / "rows")
    for name, array in PackedDataset.load(tmp_path / "rows").columns.items():
        np.testing.assert_array_equal(array, rows[name])


def test_no_row_is_all_unweighted_and_bytes_are_counted(tokenizer):
    conversations = [Conversation(("hỏi",), ("đáp",), ""), Conversation(("x",), ("",), "")]
    preprocessor = VnGPTCausalLMPreprocessor(tokenizer, 32, eos_weight=0.0)
    prepared = prepare_conversations(conversations, preprocessor)
    assert prepared.cuts["rows dropped"] == 1
    assert prepared.rows["sample_weight"].any(axis=1).all()
    assert prepared.scored_bytes == len("đáp".encode())


def steps(rows, start, stop, seed=0):
    return [
        (np.array(x["token_ids"]).tolist(), np.array(w).tolist())
        for x, _, w in training_batches(rows, 2, seed, start, stop)
    ]


def test_the_order_depends_on_seed_and_step_alone():
    rows = concatenate_and_split(*triples_of([40] * 5), 8)
    assert steps(rows, 0, 30)[13:] == steps(rows, 13, 30)
    assert steps(rows, 0, 30, seed=1) != steps(rows, 0, 30)


def test_every_pass_sees_every_row_once_in_an_order_of_its_own():
    rows = concatenate_and_split(*triples_of([8] * 10), 8)
    firsts = [[row[0] for batch, _ in steps(rows, s, s + 5) for row in batch] for s in (0, 5)]
    assert sorted(firsts[0]) == sorted(firsts[1]) == list(range(1, 11))
    assert firsts[0] != firsts[1]
    seen = [r for x, *_ in evaluation_batches(rows, 4) for r in np.array(x["token_ids"])[:, 0]]
    assert seen == list(range(1, 11))


def test_a_column_of_a_task_is_an_input_of_the_step(tmp_path):
    columns, sizes = triples_of([5, 3, 9])
    rows = concatenate_and_split({**columns, "margin": columns["token_ids"] / 2}, sizes, 4)
    rows.save(tmp_path / "rows")
    for x, _, _ in training_batches(PackedDataset.load(tmp_path / "rows"), 2, 0, 0, 3):
        assert x["margin"].dtype == "float32"
        np.testing.assert_array_equal(x["margin"], np.array(x["token_ids"]) / 2)


def test_a_model_that_cannot_tell_documents_apart_gets_each_in_a_row_by_itself():
    rows = one_a_row(*triples_of([5, 3, 9]), 4)
    assert rows["token_ids"].tolist() == [
        [1] * 4, [1, 0, 0, 0], [2, 2, 2, 0], [3] * 4, [3] * 4, [3, 0, 0, 0],
    ]  # fmt: skip
    assert rows["segment_ids"].max() == 1 and rows.tokens == 17


@pytest.fixture(scope="module")
def samples():
    """The training and the test samples, as their grammar makes them."""
    return home_commands.shipped()


def test_samples_are_what_their_grammar_makes(samples):
    for name, made in zip(("train", "test"), samples, strict=True):
        found = read_conversations([f"samples:home_{name}.jsonl"])
        assert sorted((*c.prompts, *c.responses) for c in found) == sorted(
            (*(request for request, _ in e.turns), *(response for _, response in e.turns))
            for e in made
        )
    assert home_kinds.REFERENCE in samples[0]


def test_test_samples_combine_what_training_shows_apart(samples):
    train, test = ({e.combination for e in side} for side in samples)
    assert not train & test
    shown = {part for key in train & PLAIN for part in key.split("/")}
    assert {part for key in test for part in key.split("/")} <= shown
    # Nor does any other kind of training sample answer as a test sample would be answered.
    answers = {e.response for e in samples[1] if not e.response.startswith("Để")}
    assert not answers & {part for e in samples[0] for part in e.response.split(". ")}


def test_a_sample_request_has_one_answer_however_it_is_typed(samples):
    answers = {}
    for e in (*samples[0], *samples[1]):
        assert answers.setdefault(tuple(p.lower() for p in e.prompts), e.response) == e.response


def test_a_sample_claims_an_action_only_where_a_command_was_given(samples):
    for e in samples[0]:
        is_claim = e.response.startswith(("Đã", "Sẽ"))
        if e.combination in home_kinds.MORE and e.combination != "turns":
            assert is_claim == (e.combination in ("every device", "two actions")), e


def test_training_samples_show_every_value_that_decides_an_answer(samples):
    key = "máy lạnh/phòng trẻ em/quá nhiệt độ"
    requests = [e.request for e in samples[0] if e.combination == key]
    for degrees in (*range(5, 16), *range(31, 46)):
        assert any(re.search(rf"\b{degrees} ?(độ|do|°)", r.lower()) for r in requests), degrees


def test_prose_is_long_and_varied(texts):
    assert sum(len(t.encode()) for t in texts) >= 60_000
    lines = [line for text in texts for line in text.split("\n")]
    assert len(set(lines)) == len(lines)
    assert len({" ".join(line.split()[:3]) for line in lines}) > 0.9 * len(lines)


@pytest.mark.parametrize(
    "content, fault",
    [
        ('{"request": "a \\ud83d", "response": "b"}', ":1: request is not valid Unicode"),
        ('{"request": ' + "1" * 5000 + ', "response": "b"}', ":1: not valid JSON"),
        ("\u200b\ufeff \n", ": the file is empty"),
        (
            '{\n "request": "a",\n "response": "b"\n}',
            ":1: not valid JSON: an object over several",
        ),
        ('{"request": "a", "response": "\u200b"}', ":1: empty response"),
    ],
)
def test_what_is_valid_for_json_and_still_no_text(tmp_path, content, fault):
    path = write(tmp_path / "a.jsonl", content)
    with pytest.raises(UserError) as caught:
        read_conversations([path])
    assert caught.value.faults[0].startswith(path + fault)


def test_two_columns_of_one_name_and_capital_endings(tmp_path):
    path = write(tmp_path / "A.CSV", "request,response\na,b\n")
    assert len(read_conversations([path])) == 1
    path = write(tmp_path / "b.csv", "request,response,response\na,b,c\n")
    with pytest.raises(UserError, match="two columns have one name"):
        read_conversations([path])


def test_text_is_found_and_read_without_what_only_training_needs():
    code = (
        "import sys\n"
        "from keras_vngpt.augmentation import augment, settings\n"
        "from keras_vngpt.data.beam import prepare\n"
        "from keras_vngpt.data.readers import read_documents\n"
        "assert read_documents(['samples:prose'])\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'scipy', 'pyarrow', 'matplotlib', 'openai'}\n"
        "assert not heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
