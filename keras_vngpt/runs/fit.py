"""`fit`: prepares, trains, evaluates and exports, in one run folder."""

import errno
import os
import re
import shutil
import time
from pathlib import Path

from keras_vngpt.console import Progress, import_tensorflow
from keras_vngpt.errors import UserError
from keras_vngpt.files import locked
from keras_vngpt.interruption import raising_on_sigterm
from keras_vngpt.runs.changed_since import changed_files, changed_settings
from keras_vngpt.runs.run import FINAL_PHASES, Run, read_jsonl
from keras_vngpt.runs.settings import resolve_settings

# What the system, HDF5 and NumPy say of a full disk.
FULL = f"{os.strerror(errno.ENOSPC)}|{os.strerror(errno.EDQUOT)}|\\d requested and \\d+ written"
LOW = 0.5  # of the answers right
WHY_LOW = """\
    Is each a fact of its own? What is held out is never learned. To learn all:
    --{0}.test_share 0 --{0}.validation_share 0
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
    with Progress("loading TensorFlow"):
        import_tensorflow()
    if settings.devices > 1:
        from keras_vngpt.training.devices import check_devices

        check_devices(settings.devices)
    if settings.check:
        from keras_vngpt.runs.check import check

        return check(settings)
    try:
        with raising_on_sigterm(), locked(Path(settings.folder, settings.name)):
            run = open_run(settings, values)
            train_all(run, settings)
    except KeyboardInterrupt:
        print("The same command goes on from here (without --restart, if that was given).")
        raise
    except Exception as error:
        if not re.search(FULL, str(error)):
            raise
        free = shutil.disk_usage(settings.folder).free / 1e6
        raise UserError(
            f"{settings.folder}: the disk is full, {free:,.1f} MB are free. Make room: the same "
            "command, without --restart, goes on from the last checkpoint"
        ) from error
    return run


def open_run(settings, values):
    """The run folder of these settings: a new one, prepared, or the one that was interrupted."""
    from keras_vngpt.runs.prepare import files_of, make_run, prepare, show

    run = Run(f"{settings.folder}/{settings.name}")
    values = {name: value for name, value in values.items() if name not in ("check", "restart")}
    is_empty = run.folder.is_dir() and not any(run.folder.iterdir())
    if run.folder.exists() and not run.exists and not is_empty:
        raise UserError(f"{run.folder}: exists and is not a run folder. Take another --name")
    if run.exists and not settings.restart:
        if changed := changed_settings(run.settings, values):
            raise UserError(
                [
                    f"{run.folder}: is a run with other settings. Take another --name"
                    f"{_shorter_way(run, settings, changed)}, or --restart to throw it away. They "
                    "differ in",
                    *(f"  {line}" for line in changed),
                ]
            )
        if changed := changed_files(run, files_of(settings)):
            raise UserError(
                f"{path}: is {what} since {run.folder} was prepared. Take another --name, or "
                "--restart to throw that run away"
                for path, what in changed.items()
            )
        phases = [*settings.stages, *FINAL_PHASES]
        left = [name for name in phases if name not in settings.skip and not run.is_done(name)]
        print(f"{run.folder}: {'going on with' if left else 'nothing is left to do in'} this run")
        return run
    begin = time.perf_counter()
    prepared = prepare(settings)
    show(settings, prepared)
    make_run(run, values, settings, prepared)
    run.record(**{"seconds.tokenizer": round(time.perf_counter() - begin, 2)})
    return run


def train_all(run, settings):
    """Every phase that is wanted and not done yet."""
    from keras_vngpt.evaluation.report import write_report
    from keras_vngpt.runs.phases import evaluate_run, export_run, train_task

    for task in settings.tasks:
        if not run.is_done(task.name):
            with run.phase(task.name) as figures, Progress(task.name):
                figures |= train_task(run, task, settings)
        shutil.rmtree(run / "work" / task.name / "checkpoint", ignore_errors=True)
    for name, phase in zip(FINAL_PHASES, (evaluate_run, export_run), strict=True):
        if name not in settings.skip and not run.is_done(name):
            with run.phase(name) as figures, Progress(name):
                figures |= phase(run, settings)
    write_report(run.folder, settings.tasks)
    show_results(run, settings)


def show_results(run, settings):
    """Print the figures of a run, and what to do next."""
    from keras_vngpt.evaluation.figures import headline, lines_of
    from keras_vngpt.training.plan import in_minutes

    metrics = run.metrics
    print(f"\n{run.folder}")
    for task in settings.tasks:
        if found := headline(task, metrics):
            print(f"  {': '.join(found)}")
        if task.prompt_format == "request":
            answers = run / "trained_answers.jsonl"
            trained = read_jsonl(answers) if answers.is_file() else []
            print("".join(f"    {line}\n" for line in lines_of(task, metrics, trained)), end="")
        is_low = metrics.get(f"{task.name}.exact_match", 1) < LOW
        if is_low and getattr(settings, task.name).test_data is None:
            print(WHY_LOW.format(task.name))
    print(f"  Time: {in_minutes(metrics['seconds'])}")
    print(f"  Report: {run / 'report.html'}")
    if settings.tasks[-1].prompt_format == "request":
        print(f"\nNow: python -m keras_vngpt.chat {run.folder}")


def _shorter_way(run, settings, changed):
    """How to keep the training that is done and would be the same, where it can be kept."""
    done = [name for name in settings.stages[:-1] if run.is_done(name)]
    last = settings.stages[-1]
    if not done or not all(line.startswith(f"{last}.") for line in changed):
        return ""
    return f" (with --init {run.folder} --skip {' '.join(done)}, for what comes before is done)"
