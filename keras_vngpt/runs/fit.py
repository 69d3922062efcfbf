"""The main job: from text and requests to a model that answers, in one run folder."""

import errno
import os
import re
import shlex
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from keras_vngpt.data.rows import Rows
from keras_vngpt.errors import UserError
from keras_vngpt.evaluation.evaluate import nats_per_token
from keras_vngpt.evaluation.exact_match import exact_match
from keras_vngpt.evaluation.report import write_report
from keras_vngpt.exporting.saved_model import save_generator
from keras_vngpt.files import locked
from keras_vngpt.generation.loading import load_generator
from keras_vngpt.interruption import Signals
from keras_vngpt.runs.fingerprints import changes, differences
from keras_vngpt.runs.prepare import make_run, prepare, show
from keras_vngpt.runs.run import Run, as_conversations, read_jsonl, write_jsonl
from keras_vngpt.runs.settings import resolve_settings
from keras_vngpt.runs.stage import clock, run_stage

PHASES = ("pretrain", "finetune", "evaluate", "export")
LOW = 0.5  # of the answers right
WHY_LOW = """\
                  Is each a fact of its own? What is held out is never learned. To learn all:
                  --finetune.test_share 0 --finetune.validation_share 0
                  More phrasings of each: python -m keras_vngpt.augment"""


def fit(config: str | None = None, **settings):
    """Train a small Vietnamese GPT: tokenizer, pre-training, fine-tuning, evaluation, SavedModel.

    Without arguments it trains on the samples that come with the package, in a few minutes. With
    your own data:

        python -m keras_vngpt.fit --name mine --pretrain.data text/ --finetune.data qa.jsonl
        python -m keras_vngpt.fit --config mine.yaml --model.preset tiny
        python -m keras_vngpt.fit --name more --init runs/mine --skip pretrain --finetune.data b.csv

    In a notebook the same names: fit(name="mine", pretrain={"data": ["text/"]}).

    An interrupted run goes on when the same command is given again, to the same weights. Everything
    is left in the run folder: config.yaml, tokenizer/, pretrain/, finetune/, export/1/,
    report.html, metrics.json, history.csv, tensorboard/.

    Args:
        config: YAML file with any of the settings; flags come before it
        **settings: every setting, nested or dotted; `--help` lists them with their defaults.

    Returns:
        `Run`, whose `metrics` and `folder` hold the results.

    Raises:
        UserError: everything that is wrong with the settings or the data.

    Example:
        >>> run = fit(name="small", model={"preset": "small"})
        >>> run.metrics["finetune.exact_match"]
    """
    settings, values = resolve_settings(config, settings)
    if settings.check:
        _, folders, figures = prepare(settings)
        show(folders, figures)
        print("No fault found. The same command without --check trains.")
        return figures
    try:
        with Signals(), locked(Path(settings.folder, settings.name)):
            run = open_run(settings, values)
            train(run, settings)
    except KeyboardInterrupt:
        print("The same command goes on from here (without --restart, if that was given).")
        raise
    except Exception as error:
        if not is_full(error):
            raise
        raise UserError(explain_full(error, settings.folder)) from error
    return run


def is_full(error):
    """Whether what went wrong is a full disk, in the words of the system, HDF5 and NumPy."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return True
    return bool(re.search(rf"{os.strerror(errno.ENOSPC)}|\d requested and \d+ written", str(error)))


def explain_full(error, folder):
    """A full disk, as a line for the user."""
    needed = getattr(error, "needed", None)
    what = f" for {error.filename}" if getattr(error, "filename", None) else ""
    size = f", {needed / 1e6:,.1f} MB are needed{what}" if needed else what
    return (
        f"{folder}: the disk is full: {room(folder) / 1e6:,.1f} MB are free{size}. Nothing that "
        "was finished or saved is lost: make room, and the same command goes on (without "
        "--restart, if that was given)"
    )


def room(folder):
    """Bytes that are free where a folder stands."""
    return shutil.disk_usage(folder).free


def train(run, settings):
    """Every phase that is wanted and not done yet."""
    for stage in ("pretrain", "finetune"):
        if stage not in settings.skip and not run.is_done(stage):
            with phase(run, stage) as figures:
                figures |= run_stage(stage, run, settings)
        if run.is_done(stage):
            shutil.rmtree(run / "work" / stage / "checkpoint", ignore_errors=True)
    if "evaluate" not in settings.skip and not run.is_done("evaluate"):
        with phase(run, "evaluate") as figures:
            figures |= run_evaluation(run)
    if "export" not in settings.skip and not run.is_done("export"):
        with phase(run, "export"):
            generator = load_generator(run.folder, settings.export.weights)
            save_generator(generator, run / "export" / "1", text=settings.export.text)
    write_report(run.folder)
    show_results(run, settings)


def open_run(settings, values):
    """The run folder of these settings: a new one, prepared, or the one that was interrupted."""
    run = Run(f"{settings.folder}/{settings.name}")
    values = {name: value for name, value in values.items() if name not in ("check", "restart")}
    is_empty = run.folder.is_dir() and not any(run.folder.iterdir())
    if run.folder.exists() and not run.exists and not is_empty:
        raise UserError(f"{run.folder}: exists and is not a run folder. Take another --name")
    if run.exists and not settings.restart:
        if changed := differences(run.settings, values):
            raise UserError(
                [
                    f"{run.folder}: is a run with other settings. Take another --name"
                    f"{_another_finetuning(run, changed)}, or --restart to throw it away. They "
                    "differ in",
                    *(f"  {line}" for line in changed),
                ]
            )
        if changed := changes(run, settings):
            raise UserError(
                f"{path}: is {what} since {run.folder} was prepared. Take another --name, or "
                "--restart to throw that run away"
                for path, what in changed.items()
            )
        left = [name for name in PHASES if name not in settings.skip and not run.is_done(name)]
        print(f"{run.folder}: {'going on with' if left else 'nothing is left to do in'} this run")
        return run
    begin = time.perf_counter()
    data, folders, figures = prepare(settings)
    show(folders, figures)
    make_run(run, values, settings, data, folders, figures)
    run.record(**{"seconds.tokenizer": round(time.perf_counter() - begin, 2)})
    return run


def _another_finetuning(run, changed):
    """The shorter way, where the pre-training is done and would be the same."""
    if not run.is_done("pretrain") or not all(line.startswith("finetune.") for line in changed):
        return ""
    return f" (with --init {run.folder} --skip pretrain, for its pre-training is done)"


@contextmanager
def phase(run, name):
    """Gives a dictionary for the figures of a phase; notes them, and its time, when it is done."""
    earlier = run.metrics.get(f"interrupted.{name}", 0.0)
    begin = time.perf_counter()
    figures = {}
    try:
        yield figures
    except KeyboardInterrupt:
        run.record(**{f"interrupted.{name}": earlier + time.perf_counter() - begin})
        raise
    figures[f"seconds.{name}"] = round(earlier + time.perf_counter() - begin, 2)
    run.record(**figures)


def run_evaluation(run):
    """The final figures, on text and requests that training never saw."""
    figures = {}
    if (run / "work" / "pretrain" / "test").exists():
        rows = Rows.load(run / "work" / "pretrain" / "test")
        print(f"\nevaluate: {len(rows):,} rows of text that training never saw")
        figures["pretrain.test_bits_per_byte"] = (
            nats_per_token(run / "pretrain", rows) * run.metrics["pretrain.test_bits_per_nat"]
        )
    if test := as_conversations(read_jsonl(run / "work" / "test.jsonl")):
        print(f"\nevaluate: {len(test):,} requests that training never saw")
        answers = exact_match(load_generator(run.folder), test)
        write_jsonl(run / "answers.jsonl", answers)
        figures["finetune.exact_match"] = float(np.mean([a["correct"] for a in answers]))
    return figures


def show_results(run, settings):
    metrics = run.metrics
    print(f"\n{run.folder}")
    if "pretrain.bits_per_byte" in metrics:
        if "pretrain.test_bits_per_byte" in metrics:
            bits, text = metrics["pretrain.test_bits_per_byte"], "text never seen"
        else:
            bits, text = metrics["pretrain.bits_per_byte"], "the validation text"
        print(f"  pre-training    {bits:.4f} bits per byte of {text}")
    if "finetune.exact_match" in metrics:
        print(
            f"  exact match     {metrics['finetune.exact_match']:.2%} of "
            f"{metrics['finetune.test_requests']:,} requests never seen"
        )
        if metrics["finetune.exact_match"] < LOW and settings.finetune.test_data is None:
            print(WHY_LOW)
    elif "finetune.validation_right" in metrics:
        right = metrics["finetune.validation_right"]
        print(f"  validation      {right:.2%} of the responses right")
    print(f"  time            {clock(metrics['seconds'])}")
    print(f"  report          {run / 'report.html'}")
    if "finetune" not in settings.skip:
        system = run.prompts["system"]
        told = f" --system {shlex.quote(system)}" if system else ""
        print(f"\nNow: python -m keras_vngpt.chat {run.folder}{told}")
