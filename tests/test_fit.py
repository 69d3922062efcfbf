"""The main job: a whole run, interrupted, repeated, inherited from, and given bad input."""

import csv
import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from conftest import ROOT, SETTINGS, verb

import keras_vngpt
from keras_vngpt.config import flatten
from keras_vngpt.errors import UserError
from keras_vngpt.evaluation.figures import headline, percent
from keras_vngpt.files import locked, write_checksums
from keras_vngpt.runs.fit import show_results
from keras_vngpt.runs.settings import resolve_settings
from keras_vngpt.tasks import TASKS
from keras_vngpt.training import callbacks, checkpoint
from keras_vngpt.training.recipe.cooccurrence import NOISE, NOISE_OF_OTHERS, STD

FOLDER = (
    "config.yaml tokenizer pretrain finetune export/1 report.html metrics.json history.csv "
    "tensorboard answers.jsonl samples.jsonl"
).split()


BRIEF = {"epochs": 0.3, "prompts": []}
PRETRAIN_ALONE = {
    **SETTINGS,
    "skip": ["finetune", "evaluate", "export"],
    "pretrain": {**SETTINGS["pretrain"], **BRIEF},
}


def losses(run):
    with open(run / "history.csv", encoding="utf-8") as file:
        return [
            (r["stage"], r["step"], r["loss"], r["validation_loss"]) for r in csv.DictReader(file)
        ]


def config(path, **more):
    settings = {"folder": str(path.parent), "name": path.stem, **SETTINGS, **more}
    path.write_text(yaml.safe_dump(settings, allow_unicode=True))
    return path


def test_a_run_leaves_everything_in_its_folder(run):
    assert [name for name in FOLDER if not (run / name).exists()] == []
    metrics = run.metrics
    for name in (
        "pretrain.bits_per_byte",
        "finetune.exact_match",
        "parameters",
        "tokens",
        "seconds",
    ):
        assert isinstance(metrics[name], (int, float)), name
    answers = [json.loads(line) for line in (run / "answers.jsonl").read_text().splitlines()]
    assert metrics["finetune.exact_match"] == np.mean([a["correct"] for a in answers])
    stages = {stage for stage, *_ in losses(run)}
    assert stages == {"pretrain", "finetune"}
    phases = json.loads((run / "phases.json").read_text())
    assert all(state["done"] for state in phases.values()) and len(phases) == 4
    tokenizer = keras_vngpt.VnGPTTokenizer.from_preset(str(run / "tokenizer"))
    assert tokenizer.vocabulary_size() == metrics["vocabulary_size"]


def test_the_model_learns(run):
    curve = [float(loss) for stage, _, loss, _ in losses(run) if stage == "finetune" and loss]
    assert np.mean(curve[-5:]) < 0.5 * np.mean(curve[:5])


def test_the_report_is_one_file_with_its_pictures_inside(run):
    page = (run / "report.html").read_text(encoding="utf-8")
    assert (
        page.count("<svg") >= 2
        and "<script" not in page
        and "http://" not in page.replace("http://www.w3.org", "")
    )
    assert "samples" in page.lower()
    assert "finetune.batch_size" in page and "pretrain.clean.near" in page


def test_one_seed_gives_the_same_losses_twice(tmp_path):
    settings = {**SETTINGS, "skip": ["evaluate", "export"]}
    settings |= {task: {**SETTINGS[task], **BRIEF} for task in ("pretrain", "finetune")}
    a, b = (keras_vngpt.fit(folder=str(tmp_path), name=name, **settings) for name in "ab")
    assert losses(a) == losses(b) and {row[0] for row in losses(a)} == {"pretrain", "finetune"}


def test_screen_and_report_show_the_figure_that_says_most(run, capsys):
    settings, _ = resolve_settings(None, SETTINGS)
    show_results(run, settings)
    said, page = capsys.readouterr().out, (run / "report.html").read_text(encoding="utf-8")
    for task in TASKS.values():
        title, value = headline(task, run.metrics)
        assert f"{title}: {value}\n" in said and f"<dt>{title}</dt><dd>{value}</dd>" in page
    exact = run.metrics["finetune.exact_match"]
    assert f"Fine-tuning: exact match on requests never seen: {percent(exact)}\n" in said
    assert percent(0.9999) == "99.9%"  # 100% is for a test without a fault


@pytest.mark.slow
def test_another_seed_and_targets_that_are_not_shared_give_other_losses(tmp_path):
    run = keras_vngpt.fit(folder=str(tmp_path), name="a", **PRETRAIN_ALONE)
    other = keras_vngpt.fit(folder=str(tmp_path), name="b", seed=1, **PRETRAIN_ALONE)
    assert losses(other)[0] != losses(run)[0]
    own = {**PRETRAIN_ALONE["pretrain"], "soft_targets": 0.0}
    # The first step is the same, and leads elsewhere.
    plain = keras_vngpt.fit(folder=str(tmp_path), name="c", **PRETRAIN_ALONE | {"pretrain": own})
    assert losses(plain)[0] == losses(run)[0] and losses(plain)[1:] != losses(run)[1:]


@pytest.mark.slow
def test_a_new_model_starts_from_cooccurrence_and_its_tokens_learn_from_each_other(tmp_path):
    """What `model.embeddings` and `model.token_features` say, seen in the weights of a run."""

    def embeddings(name, **more):
        settings = dict(PRETRAIN_ALONE)
        own = {"embeddings": "cooccurrence", "token_features": True}
        own |= {name: more.pop(name) for name in list(more) if name in own}
        settings["model"] = {**SETTINGS["model"], **own}
        settings["pretrain"] = {**SETTINGS["pretrain"], "epochs": 0.1, "prompts": [], **more}
        run = keras_vngpt.fit(folder=str(tmp_path), name=name, **settings)
        model = keras_vngpt.VnGPTCausalLM.from_preset(str(run / "pretrain"))
        tokenizer = model.preprocessor.tokenizer
        pieces = [tokenizer.id_to_token(i) for i in range(tokenizer.vocabulary_size())]
        return model.backbone.token_embedding.embeddings.numpy(), pieces

    still = {"learning_rate": 1e-9, "weight_decay": 0.0}
    start, pieces = embeddings("start", **still)
    by_chance, _ = embeddings("chance", embeddings="random", **still)
    assert abs(by_chance.std() / 0.02 - 1) < 0.05
    low, high = (STD * (1 + noise**2) ** 0.5 for noise in (NOISE, NOISE_OF_OTHERS))
    assert low < start.std() < high

    pairs = [
        (i, pieces.index(piece.lower()))
        for i, piece in enumerate(pieces)
        if piece.strip("▁").istitle() and piece.lower() in pieces
    ]
    assert len(pairs) >= 10

    def movement_in_common(token_features):
        moved = embeddings(f"moved {token_features}", token_features=token_features)[0] - start
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        return np.mean([moved[i] @ moved[j] for i, j in pairs])

    alone, shared = movement_in_common(False), movement_in_common(True)
    assert shared > alone + 0.1, (shared, alone)


@pytest.mark.slow
def test_an_interrupted_run_may_go_on_in_another_number_of_parts(tmp_path, monkeypatch, capsys):
    whole = keras_vngpt.fit(folder=str(tmp_path), name="whole", **PRETRAIN_ALONE)

    due = checkpoint.Checkpoint.is_evaluation_due

    def interrupt(self, *arguments):
        if self.counter.step:  # after the first evaluation
            raise KeyboardInterrupt
        return due(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint.Checkpoint, "is_evaluation_due", interrupt)
        patch.setattr(checkpoint, "SHARE", math.inf)  # a state is written, however slow the disk
        keras_vngpt.fit(folder=str(tmp_path), name="cut", **PRETRAIN_ALONE)
    own = {**PRETRAIN_ALONE["pretrain"], "gradient_accumulation_steps": 2}
    cut = keras_vngpt.fit(folder=str(tmp_path), name="cut", **PRETRAIN_ALONE | {"pretrain": own})
    assert "going on from step 6 of 12" in capsys.readouterr().out
    found = [[float(row[2] or row[3]) for row in losses(run)] for run in (whole, cut)]
    np.testing.assert_allclose(*found, rtol=1e-3)


LONG = {
    "skip": ["finetune", "export"],
    "pretrain": {**SETTINGS["pretrain"], "epochs": 4, "evaluations": 4, "prompts": ["Buổi"]},
}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    path = config(tmp_path_factory.mktemp("whole") / "whole.yaml", **LONG)
    done = verb("fit", "--config", path)
    assert done.returncode == 0, done.stderr
    return path.with_suffix("")


def evaluations(run):
    """The steps of the validations, and those of the samples: as many."""
    validated = [row[1] for row in losses(run) if row[3]]
    lines = (run / "samples.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    asked = [str(json.loads(line)["step"]) for line in lines]
    assert len(validated) == len(asked) > 2
    return validated, asked


@pytest.mark.slow
def test_a_ctrl_c_within_an_evaluation_loses_nothing_of_it(tmp_path, uninterrupted, monkeypatch):
    inside = [
        (callbacks.Validation, "on_epoch_end"),
        (callbacks.SampleAnswers, "on_epoch_end"),
        (checkpoint.Checkpoint, "evaluated"),
    ]
    for kind, method in inside:

        def interrupt(self, *arguments, **more):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(kind, method, interrupt)
            with pytest.raises(KeyboardInterrupt):
                keras_vngpt.fit(folder=str(tmp_path), name="cut", **{**SETTINGS, **LONG})
    keras_vngpt.fit(folder=str(tmp_path), name="cut", **{**SETTINGS, **LONG})
    assert evaluations(tmp_path / "cut") == evaluations(uninterrupted)


def test_a_finished_run_is_not_trained_again_and_other_settings_are_refused(run):
    before = run.metrics
    again = keras_vngpt.fit(folder=str(run.folder.parent), name="small", **SETTINGS)
    assert again.metrics == before
    with pytest.raises(UserError, match="seed: 0 there, 7 now"):
        keras_vngpt.fit(folder=str(run.folder.parent), name="small", seed=7, **SETTINGS)
    settings = {**SETTINGS, "finetune": {**SETTINGS["finetune"], "epochs": 4}}
    with pytest.raises(UserError, match=f"Take another --name .with --init {run.folder} --skip"):
        keras_vngpt.fit(folder=str(run.folder.parent), name="small", **settings)


@pytest.mark.slow
def test_a_run_whose_data_changed_is_not_gone_on_with(run, tmp_path):
    data = tmp_path / "qa.csv"
    lines = "request,response\n" + "".join(f"Số {i} là gì?,Là số {i}\n" for i in range(40))
    data.write_text(lines)
    settings = {
        "folder": str(tmp_path), "name": "more", "init": str(run.folder), "skip": ["pretrain"],
        "finetune": {"data": [str(data)], "epochs": 0.5, "prompts": []},
    }  # fmt: skip
    settings["skip"] += ["export", "evaluate"]
    keras_vngpt.fit(**settings)
    data.write_text(lines + "Mới là gì?,Là mới\n")
    with pytest.raises(UserError, match=r"qa.csv: is changed since .* was prepared"):
        keras_vngpt.fit(**settings)
    data.write_text(lines)
    keras_vngpt.fit(**settings)
    data.unlink()  # the run has its rows
    keras_vngpt.fit(**settings)


def test_two_processes_do_not_train_one_run(tmp_path):
    with locked(tmp_path / "one"):
        done = verb("fit", "--folder", tmp_path, "--name", "one")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "another process is at work on it" in done.stderr


def test_finetuning_an_earlier_run_inherits_and_says_so(run, tmp_path, capsys):
    data = tmp_path / "qa.csv"
    data.write_text("câu hỏi,đáp\n" + "".join(f"Số {i} là gì?,Là số {i}\n" for i in range(60)))
    columns = {"finetune.request_column": "câu hỏi", "finetune.response_column": "đáp"}
    more = keras_vngpt.fit(
        folder=str(tmp_path),
        name="more",
        init=str(run.folder),
        skip=["pretrain"],
        **{"finetune.data": [str(data)], "finetune.epochs": 2, "finetune.prompts": ["Số 3 là gì?"]},
        **{"finetune.test_share": 0.1},
        **columns,
    )
    said = capsys.readouterr().out
    assert "model.hidden_dim 64" in said.partition("other than by default:")[2]
    assert "  finetune.epochs 2 (there 1" in said
    assert more.metrics["finetune.exact_match"] < 0.5 and "held out is never learned" in said
    assert keras_vngpt.evaluate(more, data=[str(data)])["requests"] == 60
    with pytest.raises(UserError, match="missing column: .* --request_column and"):
        keras_vngpt.evaluate(run, data=[str(data)])
    named = {name.removeprefix("finetune."): column for name, column in columns.items()}
    assert keras_vngpt.evaluate(run, data=[str(data)], **named)["requests"] == 60
    assert flatten(more.settings)["tokenizer.vocabulary_size"] == 600
    assert (more / "tokenizer/assets/tokenizer/vocabulary.spm").read_bytes() == (
        run / "tokenizer/assets/tokenizer/vocabulary.spm"
    ).read_bytes()
    with pytest.raises(UserError, match="model.hidden_dim: comes with --init"):
        keras_vngpt.fit(
            folder=str(tmp_path), name="x", init=str(run.folder), **{"model.hidden_dim": 32}
        )


def as_written_before(run, to):
    """A run folder as version 0.1 left it: other names, no state of phases, no prompt format."""
    shutil.copytree(run, to)
    (to / "phases.json").unlink()
    values = yaml.safe_load((to / "config.yaml").read_text())
    del values["stages"], values["devices"], values["model"]["token_features"]
    for task in ("pretrain", "finetune"):
        own = values[task]
        own["micro_batches"] = own.pop("gradient_accumulation_steps")
        own["recompute"] = own.pop("gradient_checkpointing")
        own |= {"keep_checkpoints": 2, "validation_rows": 4096, "token_features": True}
        config = json.loads((to / task / "config.json").read_text())
        config["config"]["recompute"] = config["config"].pop("gradient_checkpointing")
        (to / task / "config.json").write_text(json.dumps(config))
        form = json.loads((to / task / "preprocessor.json").read_text())
        del form["config"]["prompt_format"], form["config"]["separator"]
        (to / task / "preprocessor.json").write_text(json.dumps(form))
        write_checksums(to / task)
    values["pretrain"] |= {"short_sequences": 0.6, "soft_targets": 1.0}
    (to / "config.yaml").write_text(yaml.safe_dump(values))
    shutil.move(to / "work" / "finetune" / "test.jsonl", to / "work" / "test.jsonl")
    return to


def test_a_run_of_the_version_before_opens_as_it_did(run, tmp_path, capsys):
    old = as_written_before(run.folder, tmp_path / "runs" / "small")
    prompts = ["Bật đèn phòng khách", "tắt"]
    assert keras_vngpt.generate(old, prompts) == keras_vngpt.generate(run, prompts)
    # A folder named "pretrain" is prompted with beginnings, as its name says.
    assert keras_vngpt.generate(old / "pretrain", prompts, 4) == keras_vngpt.generate(
        run / "pretrain", prompts, 4
    )
    again = keras_vngpt.fit(folder=str(tmp_path / "runs"), name="small", **SETTINGS)
    assert "nothing is left to do in" in capsys.readouterr().out
    assert again.metrics == run.metrics
    data = tmp_path / "qa.csv"
    data.write_text("request,response\n" + "".join(f"Số {i}?,Là số {i}\n" for i in range(40)))
    given = {"finetune.data": [str(data)], "finetune.epochs": 0.5, "finetune.prompts": []}
    more = keras_vngpt.fit(
        folder=str(tmp_path), name="more", init=str(old), skip=["pretrain", "export"], **given
    )
    said = capsys.readouterr().out
    assert f"init: the settings of {old}, except" in said
    assert "no longer a setting" not in said and more.metrics["finetune.steps"] > 0


def test_old_names_of_settings_are_accepted_and_what_is_gone_is_said(tmp_path, capsys):
    given = {"finetune.micro_batches": 2, "pretrain.recompute": True, "pretrain.short_sequences": 0}
    settings, _ = resolve_settings(None, {**given, "finetune.token_features": False})
    assert settings.finetune.gradient_accumulation_steps == 2
    assert settings.pretrain.gradient_checkpointing and not settings.model.token_features
    assert "pretrain.short_sequences: is no longer a setting" in capsys.readouterr().out
    done = verb("fit", "--finetune.micro_batches", 3, "--name", "x", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("finetune.gradient_accumulation_steps: must divide")


@pytest.mark.slow
def test_two_devices_train_what_one_trains(tmp_path):
    found = []
    for n in (1, 2):
        path = config(tmp_path / f"of{n}.yaml", devices=n, **PRETRAIN_ALONE)
        code = (  # a processor in so many parts takes the place of GPUs
            "import keras_vngpt, tensorflow as tf\n"
            "(cpu,) = tf.config.list_physical_devices('CPU')\n"
            f"parts = [tf.config.LogicalDeviceConfiguration()] * {n}\n"
            "tf.config.set_logical_device_configuration(cpu, parts)\n"
            f"keras_vngpt.fit({str(path)!r})"
        )
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
        found.append([float(row[2] or row[3]) for row in losses(path.with_suffix(""))])
    np.testing.assert_allclose(*found, rtol=1e-3)


@pytest.mark.slow
def test_classic_and_bfloat16_go_through_the_same_fit(tmp_path):
    run = keras_vngpt.fit(
        folder=str(tmp_path),
        name="classic",
        **{
            **SETTINGS,
            "model": {**SETTINGS["model"], "decoder": "classic", "dtype": "mixed_bfloat16"},
            "finetune": {**SETTINGS["finetune"], "epochs": 1, "optimizer": "adamw"},
        },
    )
    prompts = ["Bật đèn phòng khách", "tắt"]
    assert keras_vngpt.generate(run, prompts) == keras_vngpt.generate(run / "export/1", prompts)


def test_settings_from_yaml_come_before_flags(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("seed: 1\npretrain:\n  batch_size: 4\n  learning_rate: 1e-3\n")
    settings, values = resolve_settings(str(path), {"pretrain.batch_size": 8})
    assert (settings.seed, settings.pretrain.batch_size) == (1, 8)
    assert values["pretrain"]["learning_rate"] == 1e-3


@pytest.mark.slow
def test_a_separator_of_lines_inside_a_request_is_no_end_of_a_record(tmp_path):
    data = tmp_path / "a.jsonl"
    pairs = ({"request": f"số\u2028{i}", "response": f"là\u2028{i}"} for i in range(60))
    data.write_text("\n".join(json.dumps(p, ensure_ascii=False) for p in pairs), encoding="utf-8")
    settings = {
        **SETTINGS,
        "skip": ["pretrain", "export"],
        "tokenizer": {},
        "finetune": {**SETTINGS["finetune"], "data": [str(data)], "epochs": 1},
    }
    run = keras_vngpt.fit(folder=str(tmp_path), name="u", **settings)
    assert run.metrics["finetune.test_requests"] > 0


def test_evaluate_measures_both_kinds(run, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("Buổi sáng trời mưa, cả nhà ngồi trong bếp uống trà.\n\n" * 20)
    figures = keras_vngpt.evaluate(run, data=["samples:home_test.jsonl"], text=[str(text)])
    assert figures["exact_match"] == run.metrics["finetune.exact_match"]
    assert 0 < figures["bits_per_byte"] < 8 and figures["bytes"] == 20 * len(
        "Buổi sáng trời mưa, cả nhà ngồi trong bếp uống trà.".encode()
    )


def test_preview_shows_token_target_and_weight(tmp_path):
    done = verb("preview", "--positions", 200, "--finetune.sequence_length", 64, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pretrain, row 1" in done.stdout and "finetune, row 1" in done.stdout
    for symbol in ("[BOS]", "[SEP]", "[EOS]", "[PAD]"):
        assert symbol in done.stdout
    assert list(tmp_path.iterdir()) == []
