"""Everything that the user's files hold and everything that is wrong with them, in one reading."""

import re
from dataclasses import dataclass, field, replace

from keras_vngpt.data.cleaning import Cleaner
from keras_vngpt.data.readers import (
    Columns,
    find_documents,
    read_conversations,
    stream_documents,
)
from keras_vngpt.data.splits import drop_overlap, in_part, side_of, split
from keras_vngpt.errors import UserError, with_hints

SAMPLE_BYTES = 2**24  # of the documents, for the tokenizer and the first look
FEW_DOCUMENTS = 20  # fewer cannot be split by document
MAX_FAULTS_SHOWN = 100
HINTS = {  # what to do about a fault
    ": needs text in ": "; --pretrain.text_column names another column",
    'needs "request" and "response" or': "; --finetune.request_column and "
    "--finetune.response_column name other columns",
}
HELD_OUT = ("test", "validation")  # in this order: another share to validate leaves the test alone


@dataclass
class Data:
    """What the stages that run will learn from.

    Args:
        sources: list of `Source` of documents.
        given: dictionary by side ("validation", "test") of lists of `Source`, that stand for the
            side instead of a share of the documents.
        shares: dictionary by side of the share of the documents that falls on it.
        sample: list of str, some training documents from everywhere, mended.
        held_out: list of str, a few documents that are not trained on.
        conversations: dictionary by side, of lists of `Conversation`.
        boundaries: how the few documents of a small corpus are parted into more.
        columns: `Columns` of the documents.
        n_documents: int, of all sources.
    """

    sources: list = field(default_factory=list)
    given: dict = field(default_factory=dict)
    shares: dict = field(default_factory=dict)
    sample: list = field(default_factory=list)
    held_out: list = field(default_factory=list)
    conversations: dict = field(default_factory=dict)
    boundaries: list = field(default_factory=list)
    columns: Columns = field(default_factory=Columns)
    n_documents: int = 0

    def documents(self, source, faults=None):
        """The documents of a source, as they stand there."""
        return stream_documents(source, [] if faults is None else faults, self.columns)

    def part(self, documents):
        """Documents as they are learned: those of a small corpus in parts."""
        for boundary in self.boundaries:
            documents = _parted(documents, boundary)
        return documents


def check(settings):
    """Read all data of the stages that run.

    Args:
        settings: `FitSettings`.

    Returns:
        `Data`.

    Raises:
        UserError: those of all files together.
    """
    faults = []
    stage = settings.pretrain
    data = Data(columns=Columns(text=stage.text_column, split=stage.split_column or None))
    if "pretrain" not in settings.skip:
        _check_documents(data, settings.pretrain, faults)
    if "finetune" not in settings.skip:
        _check_conversations(data, settings.finetune, faults)
    faults = with_hints(faults, HINTS)
    if len(faults) > MAX_FAULTS_SHOWN:
        hidden = len(faults) - MAX_FAULTS_SHOWN
        faults = [*faults[:MAX_FAULTS_SHOWN], f"... and {hidden} more faults"]
    if faults:
        raise UserError(faults)
    return data


def make_cleaner(settings):
    """The cleaner that `pretrain.clean` asks for."""
    return Cleaner(**vars(settings.pretrain.clean))


def _check_documents(data, stage, faults):
    data.sources = _attempt(find_documents, stage.data, "pretrain.data", faults)
    for side in HELD_OUT:
        data.given[side] = find_documents(getattr(stage, f"{side}_data"), faults)
        for source in data.given[side]:
            for text in data.documents(source, faults):
                _hold_out(text, data, side)
    if stage.split_column:
        of_side = {
            side: [replace(source, side=side) for source in data.sources]
            for side in ("train", *HELD_OUT)
        }
        found = {
            side: [s for s in sources if any(True for _ in data.documents(s))]
            for side, sources in of_side.items()
        }
        _announce_column("pretrain", stage, found, faults)
        data.sources = of_side["train"]
        for side in HELD_OUT:
            data.given[side] += found[side]
    data.shares = {
        side: getattr(stage, f"{side}_share") for side in HELD_OUT if not data.given[side]
    }
    for boundary in (None, "\n", r"(?<=[.!?…])\s+"):
        data.boundaries += [boundary] if boundary else []
        _sample(data, stage, faults)
        if not 0 < data.n_documents < FEW_DOCUMENTS or faults:
            break


def _sample(data, stage, faults):
    """Count all documents; put some that are trained on, from everywhere, into `data.sample`."""
    mend = Cleaner(**vars(stage.clean)).mend
    data.sample, data.n_documents = [], 0
    data.held_out = data.held_out if data.given["validation"] else []
    size, rate = 0, 1.0
    for source in data.sources:
        for text in data.part(map(mend, data.documents(source, faults))):
            data.n_documents += 1
            side = side_of(text, data.shares)
            if side != "train":
                _hold_out(text, data, side)
                continue
            if not in_part(text, rate, "tokenizer"):
                continue
            data.sample.append(text)
            size += len(text)
            if size > SAMPLE_BYTES:
                rate /= 2
                data.sample = [t for t in data.sample if in_part(t, rate, "tokenizer")]
                size = sum(map(len, data.sample))


def _hold_out(text, data, side):
    if side == "validation" and len(data.held_out) < FEW_DOCUMENTS:
        data.held_out.append(text)


def _check_conversations(data, stage, faults):
    columns = Columns(
        request=stage.request_column,
        response=stage.response_column,
        split=stage.split_column or None,
    )
    given = {"test": stage.test_data, "validation": stage.validation_data}
    if stage.test_data is None and stage.data == ["samples:home_train.jsonl"]:
        given["test"] = ["samples:home_test.jsonl"]
    items = _attempt(
        lambda patterns: read_conversations(patterns, columns), stage.data, "finetune.data", faults
    )
    columns = replace(columns, split=None)
    sides = {
        side: _attempt(
            lambda patterns: read_conversations(patterns, columns),
            files,
            f"finetune.{side}",
            faults,
        )
        for side, files in given.items()
        if files
    }
    by_column = {
        side: [item for item in items if item.side == side] for side in ("train", *HELD_OUT)
    }
    if stage.split_column and items:
        _announce_column("finetune", stage, by_column, faults)
    for side in HELD_OUT:
        if by_column[side]:
            sides[side] = sides.get(side, []) + by_column[side]
    learned = by_column["train"] if stage.split_column else items
    given = {side: sides[side] for side in HELD_OUT if side in sides} | {"train": learned}
    kept = dict(zip(given, drop_overlap(given.values(), lambda c: c.asked), strict=True))
    if n := sum(map(len, given.values())) - sum(map(len, kept.values())):
        print(f"finetune: {n:,} requests stand on two sides: what is tested on is not learned")
    shares = {side: getattr(stage, f"{side}_share") for side in HELD_OUT if side not in sides}
    parts = split(kept["train"], shares, lambda c: c.key)
    sides = {"validation": [], "test": []} | kept | parts
    if items and not sides["train"]:
        faults.append(
            f"finetune.data: of {len(items)} examples none is left to train on: all of them are "
            "held out too, or too few to part into training, validation and test"
        )
    if sides["train"] and not sides["validation"]:
        why = "too few requests to hold one out" if stage.validation_share else "none is held out"
        print(f"finetune: {why}: validation is on what is trained")
        sides["validation"] = sides["train"]
    data.conversations = sides


def _announce_column(stage, settings, found, faults):
    """Say which sides a split column leaves to the shares; one that trains nothing is a fault."""
    if not found["train"] and not faults:
        faults.append(f"{stage}.split_column: no line says train in {settings.split_column!r}")
    for side in HELD_OUT:
        share = getattr(settings, f"{side}_share")
        if not found[side] and share and not getattr(settings, f"{side}_data"):
            print(f"{stage}: no line says {side}: {share:.0%} of the training lines are held out")


def _attempt(reader, patterns, name, faults):
    if not patterns:
        faults.append(f"{name}: needs at least one file, folder or glob")
        return []
    try:
        return reader(patterns, faults) if reader is find_documents else reader(patterns)
    except UserError as fault:
        faults.extend(fault.faults)
        return []


def _parted(documents, boundary):
    return (part for text in documents for part in re.split(boundary, text) if part.strip())
