"""Pre-training: the model learns to continue texts, every token of which is scored."""

import json
import shutil
from dataclasses import field
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from keras_vngpt.config import settings
from keras_vngpt.data.cache_keys import fingerprint, fingerprint_of_file
from keras_vngpt.data.cleaning import Cleaner
from keras_vngpt.data.dataset import Mixture, PackedDataset
from keras_vngpt.data.find_texts import PreparedRows, find_corpus
from keras_vngpt.data.prepared_rows import is_complete, write_figures
from keras_vngpt.data.sources import kind
from keras_vngpt.data.splits import SIDES, side_of
from keras_vngpt.errors import UserError
from keras_vngpt.files import atomic_write
from keras_vngpt.tasks.task import PREVIEWED, Positive, Share, Task, TaskSettings


@settings
class CleanSettings:
    encoding: Literal["say", "fix", "off"] = "say"
    """documents in TCVN3, VNI or VIQR, or in UTF-8 that was read as another encoding: say leaves
    them out and says so, fix mends them, off keeps them as they are"""
    control: bool = True
    """take out control characters and those that nobody sees"""
    markup: bool = True
    """take out what HTML and wiki markup leave behind"""
    lines: bool = True
    """take out lines that a document repeats"""
    length: Annotated[int, Field(ge=0)] = 20
    """leave out documents of fewer characters; 0 keeps them"""
    language: str = "vi"
    """leave out documents in another language; '' keeps them"""
    exact: bool = True
    """leave out documents that stood before"""
    near: Share = 0.8
    """leave out documents that share this part with an earlier one (MinHash); 0 keeps them"""


@settings
class PretrainSettings(TaskSettings):
    data: list[str] = field(default_factory=lambda: ["samples:prose"])
    """files, folders, globs or tfds:NAME of text, or rows:FOLDER that Beam prepared;
    "a.txt:0.7 b.txt:0.3" mixes them so"""
    text_column: str = "text"
    """where the text stands in JSONL, CSV, TSV, Parquet and TFDS"""
    clean: CleanSettings = field(default_factory=CleanSettings)
    test_data: list[str] = field(default_factory=list)
    """text for the final figure, instead of a share of `data`"""
    epochs: Positive = 6
    """passes over the rows; a part of a pass is fine"""
    learning_rate: Positive = 8e-3
    """at the end of the warm-up; with adamw rather 3e-3"""
    soft_targets: Annotated[float, Field(ge=0, le=1)] | None = None
    """share of each target of a new model that goes to tokens which followed the same two tokens
    elsewhere in the text; it falls to a fifth of that; by default 1, or 0 where the text is read
    three times or more"""


class Pretrain(Task):
    """Texts, packed one after another into full rows."""

    name = "pretrain"
    title = "Pre-training"
    prompt_format = "text"
    sample_tokens = 24
    counts = "documents"
    read = find_corpus

    def pack(self, found, preprocessor, settings, store, context):
        if isinstance(found, PreparedRows):
            return self._take(found, settings, store, context)
        folder = store / f"{self.name}-{self._fingerprint(found, settings, context)}"
        shards = [folder / f"{side}-shards" for side in SIDES]
        if is_complete(folder, "cleaning.json"):
            print(f"{self.name}: unchanged, taken from {folder}")
            return _without(shards, folder)
        print(f"{self.name}: cleaning, tokenising and packing")
        clean = Cleaner(**vars(settings.clean))
        figures = self._prepare(found, clean, preprocessor, folder, context.packs)
        self._refuse_little(figures, settings, clean)
        if "validation" not in figures:  # too few documents for one to be held out
            print(f"{self.name}: too few documents to hold one out: validation is on what is "
                  "trained")  # fmt: skip
            figures["validation"] = figures["train"]
            shutil.copytree(folder / "train", folder / "validation", dirs_exist_ok=True)
        if mixture := Mixture.load(folder / "train"):
            for source, rows, share in zip(
                found.sources, mixture.rows, mixture.shares, strict=True
            ):
                share /= sum(mixture.shares)
                print(f"  {share:.1%} of the training: {source.name}, {rows:,} rows")
        cleaned = {n: vars(r) for n, r in {**clean.removed, "kept": clean.kept}.items()}
        with atomic_write(folder / "cleaning.json") as path:
            path.write_text(json.dumps(cleaned), encoding="utf-8")
        write_figures(folder, self.counts, figures["train"]["documents"], figures)
        return _without(shards, folder)

    def _take(self, found, settings, store, context):
        """Rows that Beam prepared, as they are."""
        from keras_vngpt.data.beam.load import load_rows

        if not context.packs:
            raise UserError(
                f"{found.folder}: documents share its rows, which this model cannot tell apart"
            )
        contents = fingerprint_of_file(found.folder / "dataset_info.json")
        folder = store / f"{self.name}-{fingerprint(str(found.folder.resolve()), contents)}"
        if not is_complete(folder):
            print(f"{self.name}: reading the rows of {found.folder}")
            with atomic_write(folder) as partial:
                figures = load_rows(found.folder, partial)
                if missing := [s for s in ("train", "validation") if s not in figures]:
                    raise UserError(f"{found.folder}: has no rows of {' and '.join(missing)}")
                write_figures(partial, self.counts, figures["train"]["documents"], figures)
        length = PackedDataset.load(folder / "train").length
        if length != settings.sequence_length:
            raise UserError(
                f"{self.name}.sequence_length: the rows of {found.folder} have {length} "
                f"positions. Received: {settings.sequence_length}"
            )
        return folder

    def _fingerprint(self, found, settings, context):
        """What the rows depend on; the files count by what is in them, not by their names."""
        sources = {"train": found.sources, **found.given}
        return fingerprint(
            {
                side: [
                    (s.share, s.side, [(kind(p), fingerprint_of_file(p)) for p in s.paths])
                    for s in of_side
                ]
                for side, of_side in sources.items()
            },
            [found.shares, found.boundaries, vars(found.columns)],
            [settings.sequence_length, vars(settings.clean), context.packs],
            context.tokenizer,
        )

    def _prepare(self, found, clean, preprocessor, folder, packs):
        """The rows of every side; what is tested on comes first: nothing like it is learned."""
        from keras_vngpt.data.corpus_shards import prepare_corpus
        from keras_vngpt.data.tokenise_and_pack import prepare_documents

        pack = partial(prepare_documents, preprocessor=preprocessor, packs=packs)
        figures = {}
        for side, given in found.given.items():
            held_out = partial(_cleaned, found, clean.held_out)
            figures |= prepare_corpus(
                given, found.stream, held_out, pack, folder, lambda text, side=side: side
            )
        return figures | prepare_corpus(
            found.sources,
            found.stream,
            partial(_cleaned, found, clean),
            pack,
            folder,
            lambda text: side_of(text, found.shares),
            found.n_documents,
        )

    def _refuse_little(self, figures, settings, clean):
        n_tokens = figures.get("train", {}).get("tokens", 0)
        if n_tokens >= settings.sequence_length:
            return
        taken = [f"{r.documents:,} {name}" for name, r in clean.removed.items() if r.documents]
        raise UserError(
            f"{self.name}.data: the text is shorter than a row: {n_tokens} tokens, a row has "
            f"{settings.sequence_length}. Give more text, or a smaller "
            f"{self.name}.sequence_length"
            + (f". Cleaning left out {', '.join(taken)} (see --{self.name}.clean)" if taken else "")
        )

    def first_rows(self, found, preprocessor, settings, context):
        from keras_vngpt.data.tokenise_and_pack import prepare_documents

        if isinstance(found, PreparedRows):
            raise UserError(f"{found.folder}: rows are prepared already; look at their texts")
        return prepare_documents(found.texts[:PREVIEWED], preprocessor, context.packs).rows


def _cleaned(found, clean, documents):
    return found.split(clean(documents))


def _without(shards, folder):
    """The folder, without the shards that it was made from."""
    for shard in shards:
        shutil.rmtree(shard, ignore_errors=True)
    return folder
