"""The documents of a corpus as a task reads them: found, checked, sampled, split."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from keras_vngpt.data.cleaning import Cleaner, print_legacy
from keras_vngpt.data.file_summary import print_summaries
from keras_vngpt.data.readers import Columns, stream_documents
from keras_vngpt.data.sources import find_sources
from keras_vngpt.data.splits import HELD_OUT, announce_split_column, in_part, side_of

SAMPLE_BYTES = 2**24  # of the documents, for the tokenizer and the first look
ROWS = "rows:"
FEW_DOCUMENTS = 20  # fewer cannot be split by document


@dataclass
class Documents:
    """What was found in the files of a corpus.

    Args:
        sources: list of `Source`.
        given: dictionary by side ("validation", "test") of lists of `Source`, that stand for the
            side instead of a share of the documents.
        shares: dictionary by side of the share of the documents that falls on it.
        texts: list of str, some training documents from everywhere, mended.
        held_out: list of str, a few documents that are not trained on.
        boundaries: how the few documents of a small corpus are split into more.
        columns: `Columns` of the documents.
        n_documents: int, of all sources.
        files: dictionary by path of `FileSummary`.
    """

    sources: list = field(default_factory=list)
    given: dict = field(default_factory=dict)
    shares: dict = field(default_factory=dict)
    texts: list = field(default_factory=list)
    held_out: list = field(default_factory=list)
    boundaries: list = field(default_factory=list)
    columns: Columns = field(default_factory=Columns)
    n_documents: int = 0
    files: dict = field(default_factory=dict)
    test, asked, free, system, turns, tokenizer = (), {}, (), "", 1, None

    @property
    def prompts(self):
        """Beginnings of texts that are not trained on."""
        return [" ".join(text.split()[:3]) for text in self.held_out]

    def stream(self, source, faults=None):
        """The documents of a source, as they stand there."""
        faults = [] if faults is None else faults
        return stream_documents(source, faults, self.columns, self.files)

    def split(self, documents):
        """Documents as they are learned: those of a small corpus in parts."""
        for boundary in self.boundaries:
            documents = _split(documents, boundary)
        return documents


@dataclass
class PreparedRows:
    """Rows that Beam prepared, with the tokenizer that they were made with.

    Args:
        folder: Path.
        files: as of `Documents`; rows have none.
    """

    folder: Path
    files: dict = field(default_factory=dict)
    texts, prompts, test, asked, free, system, turns = (), (), (), {}, (), "", 1

    @property
    def tokenizer(self):
        return self.folder / "tokenizer"


def find_corpus(task, settings, faults):
    """Read a corpus once: every fault, a sample for the tokenizer, how it will be split.

    Args:
        task: `Task`, whose name a message begins with.
        settings: `PretrainSettings`.
        faults: list, that gets a line for everything that is wrong.

    Returns:
        `Documents`, or `PreparedRows` for "rows:FOLDER".
    """
    name = task.name
    if len(settings.data) == 1 and settings.data[0].startswith(ROWS):
        folder = Path(settings.data[0].removeprefix(ROWS))
        if not (folder / "dataset_info.json").is_file() or not (folder / "tokenizer").is_dir():
            faults.append(f"{folder}: no rows that python -m keras_vngpt.data.beam prepared")
        for key in ("validation_data", "test_data", "split_column"):
            if getattr(settings, key):
                faults.append(f"{name}.{key}: the rows of {folder} are split already")
        return PreparedRows(folder)
    found = Documents(
        columns=Columns(text=settings.text_column, split=settings.split_column or None)
    )
    if not settings.data:
        faults.append(f"{name}.data: needs at least one file, folder or glob")
        return found
    found.sources = find_sources(settings.data, faults)
    for side in HELD_OUT:
        found.given[side] = find_sources(getattr(settings, f"{side}_data"), faults)
        for source in found.given[side]:
            for text in found.stream(source, faults):
                _hold_out(text, found, side)
    shares = {side: getattr(settings, f"{side}_share") for side in HELD_OUT}
    if settings.split_column:
        of_side = {
            side: [replace(source, side=side) for source in found.sources]
            for side in ("train", *HELD_OUT)
        }
        has = {
            side: [s for s in sources if any(True for _ in found.stream(s))]
            for side, sources in of_side.items()
        }
        announce_split_column(name, settings, shares, has, faults)
        found.sources = of_side["train"]
        for side in HELD_OUT:
            found.given[side] += has[side]
    found.shares = {side: share for side, share in shares.items() if not found.given[side]}
    cleaner = Cleaner(**vars(settings.clean))
    for boundary in (None, "\n", r"(?<=[.!?…])\s+"):
        found.boundaries += [boundary] if boundary else []
        cleaner.legacy.clear()
        _sample(found, cleaner.mend, faults)
        if not 0 < found.n_documents < FEW_DOCUMENTS or faults:
            break
    print_summaries(name, found.files)
    if cleaner.legacy and not found.n_documents:
        hint = f"--{name}.clean.encoding fix mends them"
        if settings.clean.encoding == "fix":
            hint = "Letters of them are lost"
        faults.append(f"{name}.data: no document is in Unicode. {hint}")
    print_legacy(name, cleaner.legacy, settings.clean.encoding, f"--{name}.clean.encoding fix")
    return found


def _sample(found, mend, faults):
    """Count all documents; put some that are trained on, from everywhere, into `found.texts`."""
    found.texts, found.n_documents = [], 0
    found.held_out = found.held_out if found.given["validation"] else []
    size, rate = 0, 1.0
    for source in found.sources:
        for text in found.split(map(mend, found.stream(source, faults))):
            if not text:
                continue
            found.n_documents += 1
            side = side_of(text, found.shares)
            if side != "train":
                _hold_out(text, found, side)
                continue
            if not in_part(text, rate, "tokenizer"):
                continue
            found.texts.append(text)
            size += len(text)
            if size > SAMPLE_BYTES:
                rate /= 2
                found.texts = [t for t in found.texts if in_part(t, rate, "tokenizer")]
                size = sum(map(len, found.texts))


def _hold_out(text, found, side):
    if side == "validation" and len(found.held_out) < FEW_DOCUMENTS:
        found.held_out.append(text)


def _split(documents, boundary):
    return (part for text in documents for part in re.split(boundary, text) if part.strip())
