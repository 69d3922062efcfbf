"""From the user's files to rows that are ready to train on, kept until files or settings change."""

import itertools
import json
import math
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import yaml
from filelock import FileLock, Timeout
from rich.console import Console
from rich.table import Table

from keras_vngpt.data.corpus import prepare_corpus
from keras_vngpt.data.examples import FEW_ROWS, prepare_conversations
from keras_vngpt.data.preprocessor import VnGPTCausalLMPreprocessor
from keras_vngpt.data.rows import Mixture, Rows, fill_gaps
from keras_vngpt.data.sources import kind
from keras_vngpt.data.splits import SIDES, side_of
from keras_vngpt.errors import UserError
from keras_vngpt.files import atomic_write, checksums_match
from keras_vngpt.models.backbone import PRESETS
from keras_vngpt.runs.check import check, make_cleaner
from keras_vngpt.runs.fingerprints import (
    fingerprint,
    fingerprint_of_file,
    fingerprint_of_tokenizer,
    fingerprints_of_data,
)
from keras_vngpt.runs.run import Run, as_records, write_jsonl, write_text
from keras_vngpt.text.tokenizer import load_tokenizer
from keras_vngpt.text.training import train_tokenizer

N_PROMPTS = 3
FULL, REPLAY = 0.95, 0.1  # rows that are less full get text of this weight
PREFIXES = {"train": "", "validation": "validation_", "test": "test_"}  # of their figures
CUTS = ("requests_cut", "responses_cut", "turns_dropped", "rows_dropped")


def prepare(settings):
    """Read, clean, split, tokenise and pack all data.

    Everything is kept in `.prepared` beside the runs, under a name made of the files' contents and
    the settings: what did not change is there already, what was interrupted goes on.

    Args:
        settings: `FitSettings`.

    Returns:
        `(data, folders, figures)`: `Data`, the folder of the tokenizer and of the rows of each
        stage, and figures for `metrics.json`.

    Raises:
        UserError: everything that is wrong with the data.
    """
    data = check(settings)
    store = Path(settings.folder) / ".prepared"
    with opened(store):
        return data, *_prepare(settings, data, store)


def _prepare(settings, data, store):
    folders = {"tokenizer": prepare_tokenizer(settings, data, store)}
    tokenizer = load_tokenizer(folders["tokenizer"])
    figures = {"vocabulary_size": tokenizer.vocabulary_size()}
    for stage, has_data, prepare_stage in (
        ("pretrain", data.sources, prepare_pretrain),
        ("finetune", data.conversations, prepare_finetune),
    ):
        if not has_data:
            continue
        preprocessor = make_preprocessor(stage, settings, tokenizer)
        folder = prepare_stage(settings, data, preprocessor, folders, store)
        folders[stage] = folder
        figures |= json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    if "test" in data.conversations:
        figures["finetune.test_requests"] = len(data.conversations["test"])
    return folders, figures


@contextmanager
def opened(store):
    """The store, for one process at a time; what is new in it goes away again on a fault."""
    is_new = [folder for folder in (store, store.parent) if not folder.exists()]
    store.mkdir(parents=True, exist_ok=True)
    lock = FileLock(store / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{store}: another process prepares data here; waiting for it")
        lock.acquire()
    old = set(store.iterdir())
    try:
        yield
    except UserError:
        for folder in set(store.iterdir()) - old:
            shutil.rmtree(folder)
        if is_new:
            (store / ".lock").unlink(missing_ok=True)
        for folder in is_new:
            folder.rmdir()
        raise
    finally:
        lock.release()


def prepare_tokenizer(settings, data, store):
    """The folder of the tokenizer: of the run to start from, or one trained on this text."""
    if settings.init:
        return Run.open(settings.init) / "tokenizer"
    texts = [*data.sample]
    for conversation in data.conversations.get("train", []):
        texts += [*conversation.prompts, *conversation.responses]
    size = settings.tokenizer.vocabulary_size
    default_size = PRESETS[settings.model.preset]["vocabulary_size"]
    folder = store / f"tokenizer-{fingerprint(texts, vars(settings.tokenizer), default_size)}"
    if folder.is_dir():
        try:
            load_tokenizer(folder)
            print(f"tokenizer: unchanged, taken from {folder}")
            return folder
        except UserError as fault:
            print(f"{fault}; training it again")
    print("tokenizer: training")
    tokenizer = train_tokenizer(
        texts,
        size or default_size,
        kind=settings.tokenizer.kind,
        tone_placement=settings.tokenizer.tone_placement,
        split_digits=settings.tokenizer.split_digits,
        words=settings.tokenizer.words,
        shrink=size is None,
    )
    with atomic_write(folder) as partial:
        tokenizer.save_to_preset(str(partial))
    return folder


def prepare_pretrain(settings, data, preprocessor, folders, store):
    """The folder with the rows of the documents: cleaned, split, packed as they stream by."""
    stage = settings.pretrain
    sources = {"train": data.sources, **data.given}
    digests = {
        path: fingerprint_of_file(path) for s in sum(sources.values(), []) for path in s.paths
    }
    name = fingerprint(
        {
            side: [(s.share, s.side, [(kind(p), digests[p]) for p in s.paths]) for s in of_side]
            for side, of_side in sources.items()
        },
        [data.shares, data.boundaries, vars(data.columns)],
        [stage.sequence_length, vars(stage.clean)],
        fingerprint_of_tokenizer(folders["tokenizer"]),
    )
    folder = store / f"pretrain-{name}"
    shards = [folder / f"{side}-shards" for side in SIDES]
    if is_complete(folder, "pretrain"):
        print(f"pretrain: unchanged, taken from {folder}")
        remove(shards)
        return folder
    print("pretrain: cleaning, tokenising and packing")
    clean = make_cleaner(settings)
    figures = {}
    for side, given in data.given.items():
        figures |= prepare_corpus(
            given,
            data.documents,
            lambda documents: data.part(clean.held_out(documents)),
            preprocessor,
            folder,
            lambda text, side=side: side,
        )
    figures |= prepare_corpus(
        data.sources,
        data.documents,
        lambda documents: data.part(clean(documents)),
        preprocessor,
        folder,
        lambda text: side_of(text, data.shares),
        data.n_documents,
    )
    n_tokens = figures.get("train", {}).get("tokens", 0)
    if n_tokens < stage.sequence_length:
        taken = [f"{r.documents:,} {name}" for name, r in clean.removed.items() if r.documents]
        raise UserError(
            f"pretrain.data: the text is shorter than a row: {n_tokens} tokens, a row has "
            f"{stage.sequence_length}. Give more text, or a smaller pretrain.sequence_length"
            + (f". Cleaning left out {', '.join(taken)} (see --pretrain.clean)" if taken else "")
        )
    if "validation" not in figures:  # too few documents for one to be held out
        print("pretrain: too few documents to hold one out: validation is on what is trained")
        figures["validation"] = figures["train"]
        shutil.copytree(folder / "train", folder / "validation", dirs_exist_ok=True)
    if mixture := Mixture.load(folder / "train"):
        for source, rows, share in zip(data.sources, mixture.rows, mixture.shares, strict=True):
            print(
                f"  {share / sum(mixture.shares):.1%} of the training: {source.name}, {rows:,} rows"
            )
    cleaned = {
        name: vars(removed) for name, removed in {**clean.removed, "kept": clean.kept}.items()
    }
    write_text(folder / "cleaning.json", json.dumps(cleaned))
    write_figures(folder, "pretrain", figures["train"]["documents"], figures)
    remove(shards)
    return folder


def prepare_finetune(settings, data, preprocessor, folders, store):
    """The folder with the rows of the conversations."""
    stage = settings.finetune
    text = find_text(settings, folders)
    sides = {side: data.conversations[side] for side in ("train", "validation")}
    name = fingerprint(
        {side: [(c.prompts, c.responses) for c in sides[side]] for side in sides},
        [stage.sequence_length, stage.eos_weight],
        [stage.replay, text and fingerprint_of_file(text / "token_ids.npy")],
        fingerprint_of_tokenizer(folders["tokenizer"]),
    )
    folder = store / f"finetune-{name}"
    if is_complete(folder, "finetune"):
        return folder
    print("finetune: tokenising and packing")
    scored = {}
    with atomic_write(folder) as partial:
        for side, conversations in sides.items():
            prepared = prepare_conversations(
                conversations,
                preprocessor,
                f"finetune.data ({side} part)",
                FEW_ROWS if side == "train" else 1,
            )
            rows = prepared.rows
            if text and side == "train":
                start = preprocessor.tokenizer.start_token_id
                rows = with_text(rows, Rows.load(text), stage.replay, start)
            rows.save(partial / side)
            scored[side] = {
                "bytes": prepared.scored_bytes,
                "weight": rows.weight,
                "tokens": rows.tokens,
            }
            if side == "train":
                more = {**prepared.cuts, "passes": prepared.passes}
        write_figures(partial, "finetune", len(sides["train"]), scored, more)
    return folder


def with_text(rows, text, replay, start_token_id):
    """Rows of conversations with text in their gaps, where `finetune.replay` wants it."""
    if replay == 0 or (replay is None and rows.fill >= FULL):
        return rows
    return fill_gaps(rows, text, replay or REPLAY, start_token_id)


def find_text(settings, folders):
    """The rows of text that were pre-trained on, in this run or the one to start from, if any."""
    run = settings.init and Run(settings.init) / "work" / "pretrain"
    text = (folders.get("pretrain") or run or Path()) / "train"
    return text if text.is_dir() else None


def is_complete(folder, stage):
    """Whether the rows of a stage stand in a folder as its figures say."""
    try:
        figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
        if stage == "pretrain":
            json.loads((folder / "cleaning.json").read_text(encoding="utf-8"))
        return all(
            checksums_match(folder / side)
            and len(Rows.load(folder / side)) == figures[f"{stage}.{prefix}rows"]
            for side, prefix in PREFIXES.items()
            if side != "test" or f"{stage}.{prefix}rows" in figures
        )
    except (OSError, ValueError, KeyError):
        return False


def remove(folders):
    """Folders that are not needed any more; that they are gone does not matter."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def write_figures(folder, stage, n_items, scored, more=()):
    """What `metrics.json` says of the rows in a folder; with it the folder is complete."""
    rows, of_train = Rows.load(folder / "train"), scored["train"]
    figures = {
        "documents" if stage == "pretrain" else "requests": n_items,
        "fill": of_train["tokens"] / rows.token_ids.size,
        "sequence_length": rows.length,
        "weighted_share": of_train["weight"] / of_train["tokens"],
        **{name.replace(" ", "_"): n for name, n in dict(more).items()},
    }
    for side, prefix in PREFIXES.items():
        if (folder / side).exists():
            figures[f"{prefix}rows"] = len(Rows.load(folder / side))
        if side in scored and side != "train":
            # From nats per scored token to bits per byte of the scored text.
            per_byte = scored[side]["weight"] / max(1, scored[side]["bytes"])
            figures[f"{prefix}bits_per_nat"] = per_byte / math.log(2)
    figures = {f"{stage}.{name}": value for name, value in figures.items()}
    write_text(folder / "figures.json", json.dumps(figures))


def show(folders, figures):
    """Print what became of the data: the cleaning, the rows, the cuts."""
    console = Console()
    for stage in ("pretrain", "finetune"):
        if stage not in folders:
            continue
        of_stage = {
            name.removeprefix(f"{stage}."): value
            for name, value in figures.items()
            if name.startswith(f"{stage}.")
        }
        cleaning = folders[stage] / "cleaning.json"
        taken = json.loads(cleaning.read_text()) if cleaning.exists() else {}
        taken = {name: removed for name, removed in taken.items() if removed["bytes"]}
        if len(taken) > 1:
            table = Table("cleaning", "documents", "bytes", title_justify="left")
            for name, removed in taken.items():
                table.add_row(name, f"{removed['documents']:,}", f"{removed['bytes']:,}")
            console.print(table)
        what = "documents" if "documents" in of_stage else "requests"
        passes = of_stage.get("passes", 1)
        times = f" {passes} times each" if passes > 1 else ""
        print(
            f"{stage}: {of_stage[what]:,} {what}{times} in {of_stage['rows']:,} rows of "
            f"{of_stage['sequence_length']}, {of_stage['fill']:.1%} full; "
            f"{of_stage['weighted_share']:.1%} of the tokens carry weight"
        )
        others = [f"validated on {of_stage['validation_rows']:,} rows"]
        if "test_rows" in of_stage:
            others.append(f"tested on {of_stage['test_rows']:,}")
        elif "test_requests" in of_stage:
            others.append(f"tested on {of_stage['test_requests']:,} requests")
        print(f"  {', '.join(others)}")
        cut = [
            f"{of_stage[name]:,} {name.replace('_', ' ')}" for name in CUTS if of_stage.get(name)
        ]
        if cut:
            print(f"  too long for a row: {', '.join(cut)}")


def make_run(run, values, settings, data, folders, figures):
    """A run folder that is ready to train: all or nothing."""
    with atomic_write(run.folder) as folder:
        partial = Run(folder)
        for stage, side in itertools.product(("pretrain", "finetune"), SIDES):
            if stage in folders and (folders[stage] / side).exists():
                link(folders[stage] / side, partial / "work" / stage / side)
        shutil.copytree(folders["tokenizer"], partial / "tokenizer")
        tests = data.conversations.get("test", [])
        write_jsonl(partial / "work" / "test.jsonl", as_records(tests))
        systems = {c.system for c in data.conversations.get("train", [])}
        system = systems.pop() if len(systems) == 1 else ""
        prompts = {**pick_prompts(settings, data), "system": system}
        prompts = json.dumps(prompts, ensure_ascii=False)
        write_text(partial / "work" / "prompts.json", prompts)
        write_text(partial / "work" / "files.json", json.dumps(fingerprints_of_data(settings)))
        partial.record(**figures)
        text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False)
        write_text(partial / "config.yaml", text)


def link(folder, to):
    """A second name for the files of a folder, where the disk can do that; else a copy."""
    try:
        shutil.copytree(folder, to, copy_function=os.link)
    except OSError:
        shutil.copytree(folder, to, dirs_exist_ok=True)


def pick_prompts(settings, data):
    """What the model is asked at each evaluation: as set, or a few that it is not trained on."""
    validation = data.conversations.get("validation", [])
    picked = {
        "pretrain": [" ".join(text.split()[:3]) for text in data.held_out],
        "finetune": [c.prompts[0] for c in validation],
    }
    picked = {stage: list(dict.fromkeys(texts))[:N_PROMPTS] for stage, texts in picked.items()}
    given = {stage: getattr(settings, stage).prompts for stage in picked}
    return {
        stage: texts if given[stage] is None else given[stage] for stage, texts in picked.items()
    }


def make_preprocessor(stage, settings, tokenizer):
    """The preprocessor of a stage."""
    return VnGPTCausalLMPreprocessor(
        tokenizer,
        sequence_length=getattr(settings, stage).sequence_length,
        eos_weight=settings.finetune.eos_weight if stage == "finetune" else 1.0,
    )
