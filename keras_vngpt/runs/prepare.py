"""From the user's files to rows that are ready to train on, kept until files or settings change."""

import itertools
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from keras_vngpt.console import Progress
from keras_vngpt.data.cache_keys import (
    fingerprint,
    fingerprint_of_file,
    fingerprint_of_tokenizer,
    fingerprints_of,
)
from keras_vngpt.data.dataset import PackedDataset
from keras_vngpt.data.prepared_rows import Context, read_figures
from keras_vngpt.data.splits import SIDES
from keras_vngpt.errors import UserError, with_hints
from keras_vngpt.families import FAMILIES, family_of_preset
from keras_vngpt.files import atomic_write, locked
from keras_vngpt.generation.loading import find_preset
from keras_vngpt.models.sizes import PRESETS
from keras_vngpt.runs.run import Run, write_jsonl, write_text
from keras_vngpt.tasks import TASKS
from keras_vngpt.text.tokenizer import load_tokenizer
from keras_vngpt.text.tokenizer_training import train_tokenizer

N_PROMPTS = 3
CUTS = ("requests_cut", "responses_cut", "turns_dropped", "rows_dropped")
MAX_FAULTS_SHOWN = 100


def prepare(settings):
    """Read, clean, split, tokenise and pack all data.

    Everything is kept in `.prepared` beside the runs, under a name made of the files' contents and
    the settings: what did not change is there already, what was interrupted goes on.

    Args:
        settings: `FitSettings`.

    Returns:
        `(found, folders, figures)`: what each task read, the folder of the tokenizer and of the
        rows of each task, and figures for `metrics.json`.

    Raises:
        UserError: everything that is wrong with the data.
    """
    found = read_all(settings)
    store = Path(settings.folder) / ".prepared"
    with _opened(store):
        folders = {"tokenizer": prepare_tokenizer(settings, found, store)}
        tokenizer = load_tokenizer(folders["tokenizer"])
        figures = {"vocabulary_size": tokenizer.vocabulary_size()}
        for task in settings.tasks:
            context = make_context(settings, folders)
            preprocessor = make_preprocessor(task, settings, tokenizer)
            own = getattr(settings, task.name)
            with Progress(f"{task.name}: packing"):
                folder = task.pack(found[task.name], preprocessor, own, store, context)
            folders[task.name] = folder
            figures |= {f"{task.name}.{n}": value for n, value in read_figures(folder).items()}
            if tests := found[task.name].test:
                figures[f"{task.name}.test_requests"] = len(tests)
        return found, folders, figures


def read_all(settings):
    """What the files of all tasks hold, by the name of the task.

    Raises:
        UserError: the faults of all files together.
    """
    faults, found = [], {}
    for task in settings.tasks:
        own = []
        with Progress(f"{task.name}: reading"):
            found[task.name] = task.read(getattr(settings, task.name), own)
        hints = {
            ": needs text in ": f"; --{task.name}.text_column names another column",
            'needs "request" and "response" or': f"; --{task.name}.request_column and "
            f"--{task.name}.response_column name other columns",
        }
        faults += with_hints(own, hints)
    if len(faults) > MAX_FAULTS_SHOWN:
        hidden = len(faults) - MAX_FAULTS_SHOWN
        faults = [*faults[:MAX_FAULTS_SHOWN], f"... and {hidden} more faults"]
    if faults:
        raise UserError(faults)
    return found


def family(settings):
    """The family of the models of a run: that of the model it starts from, or our own."""
    preset = settings.init and find_preset(settings.init)
    return family_of_preset(preset) if preset else FAMILIES["vngpt"]


def make_context(settings, folders):
    """What packing depends on beside the data: the tokenizer, the family, earlier text."""
    tokenizer = fingerprint_of_tokenizer(folders["tokenizer"])
    packs = family(settings).takes_segments
    of_text = [task.name for task in TASKS.values() if task.prompt_format == "text"]
    places = [folders.get(name) for name in of_text]
    if settings.init:
        places += [Path(settings.init, "work", name) for name in of_text]
    for folder in filter(None, places):
        ids = folder / "train" / "token_ids.npy"
        if ids.is_file():
            text = PackedDataset.load(folder / "train")
            return Context(tokenizer, packs, text, fingerprint_of_file(ids))
    return Context(tokenizer, packs)


def make_preprocessor(task, settings, tokenizer, **learned):
    """What makes the triples of a task; `learned` are the `system` and `turns` of its preset."""
    own = getattr(settings, task.name)
    return family(settings).preprocessor(
        tokenizer, own.sequence_length, task.prompt_format, own.eos_weight, **learned
    )


def prepare_tokenizer(settings, found, store):
    """The folder of the tokenizer: of the model to start from, or one trained on this text."""
    start = settings.init and Path(settings.init)
    if start:
        start = start / "tokenizer" if Run(start).exists else start
    of_rows = [f.tokenizer for f in found.values() if f.tokenizer]
    for folder in of_rows:
        if start and fingerprint_of_tokenizer(folder) != fingerprint_of_tokenizer(start):
            raise UserError(f"{folder}: is not the tokenizer of {settings.init}")
    if start or of_rows:
        return start or of_rows[0]
    own = settings.tokenizer
    texts = [text for of_task in found.values() for text in of_task.texts]
    default_size = PRESETS[settings.model.preset]["vocabulary_size"]
    default_size = max(default_size, *(getattr(f, "vocabulary_size", 0) for f in found.values()))
    folder = store / f"tokenizer-{fingerprint(texts, vars(own), default_size)}"
    if folder.is_dir():
        try:
            load_tokenizer(folder)
            print(f"tokenizer: unchanged, taken from {folder}")
            return folder
        except UserError as fault:
            print(f"{fault}; training it again")
    print("tokenizer: training")
    with Progress("tokenizer: training"):
        tokenizer = train_tokenizer(
            texts,
            own.vocabulary_size or default_size,
            kind=own.kind,
            tone_placement=own.tone_placement,
            split_digits=own.split_digits,
            words=own.words,
            shrink=own.vocabulary_size is None,
        )
    with atomic_write(folder) as partial:
        tokenizer.save_to_preset(str(partial))
    return folder


def make_run(run, values, settings, prepared):
    """A run folder that is ready to train.

    Args:
        run: `Run`.
        values: nested dictionary of all settings, for `config.yaml`.
        settings: `FitSettings`.
        prepared: from `prepare`.
    """
    found, folders, figures = prepared
    with atomic_write(run.folder) as folder:
        partial = Run(folder)
        for task, side in itertools.product(settings.tasks, SIDES):
            if (folders[task.name] / side).exists():
                _link(folders[task.name] / side, partial / "work" / task.name / side)
        load_tokenizer(folders["tokenizer"]).save_to_preset(str(partial / "tokenizer"))
        for task in settings.tasks:
            for name, conversations in found[task.name].asked.items():
                file = partial / "work" / task.name / f"{name}.jsonl"
                write_jsonl(file, map(vars, conversations))
            if free := found[task.name].free:
                write_jsonl(partial / "work" / task.name / "free.jsonl", free)
        prompts = {task.name: _pick_prompts(task, settings, found) for task in settings.tasks}
        prompts["system"] = next((f.system for f in found.values() if f.system), "")
        prompts["turns"] = max(f.turns for f in found.values())
        text = json.dumps(prompts, ensure_ascii=False)
        write_text(partial / "work" / "prompts.json", text)
        write_text(partial / "work" / "files.json", json.dumps(files_of(settings)))
        partial.record(**figures)
        write_text(partial / "phases.json", "{}")
        text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False)
        write_text(partial / "config.yaml", text)


def files_of(settings):
    """The digest of every file that the tasks learn from, by its path."""
    own = [getattr(settings, task.name) for task in settings.tasks]
    return fingerprints_of(
        [p for s in own for p in (*s.data, *s.validation_data, *(s.test_data or ()))]
    )


def show(settings, prepared):
    """Print what became of the data: the cleaning, the rows, the cuts."""
    _, folders, all_figures = prepared
    console = Console()
    for task in settings.tasks:
        cleaning = folders[task.name] / "cleaning.json"
        taken = json.loads(cleaning.read_text()) if cleaning.exists() else {}
        taken = {name: removed for name, removed in taken.items() if removed["bytes"]}
        if len(taken) > 1:
            table = Table("cleaning", "documents", "bytes", title_justify="left")
            for name, removed in taken.items():
                table.add_row(name, f"{removed['documents']:,}", f"{removed['bytes']:,}")
            console.print(table)
        prefix = f"{task.name}."
        _show_rows(
            task,
            {n.removeprefix(prefix): v for n, v in all_figures.items() if n.startswith(prefix)},
        )


def _show_rows(task, figures):
    passes = figures.get("passes", 1)
    times = f" {passes} times each" if passes > 1 else ""
    print(
        f"{task.name}: {figures[task.counts]:,} {task.counts}{times} in {figures['rows']:,} rows "
        f"of {figures['sequence_length']}, {figures['fill']:.1%} full; "
        f"{figures['weighted_share']:.1%} of the tokens carry weight"
    )
    others = [f"validated on {figures['validation_rows']:,} rows"]
    if "test_rows" in figures:
        others.append(f"tested on {figures['test_rows']:,}")
    elif "test_requests" in figures:
        others.append(f"tested on {figures['test_requests']:,} requests")
    print(f"  {', '.join(others)}")
    if cut := [f"{figures[n]:,} {n.replace('_', ' ')}" for n in CUTS if figures.get(n)]:
        print(f"  too long for a row: {', '.join(cut)}")


@contextmanager
def _opened(store):
    """The store, for one process at a time; a new one goes away again on a fault."""
    new = [folder for folder in (store, store.parent) if not folder.exists()]
    store.mkdir(parents=True, exist_ok=True)
    with locked(store, waits=True):
        try:
            yield
        except UserError:
            for folder in new:
                shutil.rmtree(folder)
            raise


def _link(folder, to):
    """A second name for the files of a folder, where the disk can do that; else a copy."""
    try:
        shutil.copytree(folder, to, copy_function=os.link)
    except OSError:
        shutil.copytree(folder, to, dirs_exist_ok=True)


def _pick_prompts(task, settings, found):
    """What the model is asked at each evaluation: as set, or a few that it is not trained on."""
    given = getattr(settings, task.name).prompts
    return list(dict.fromkeys(found[task.name].prompts))[:N_PROMPTS] if given is None else given
