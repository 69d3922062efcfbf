"""Everything that the user's files hold and everything that is wrong with them, in one reading."""

import re
from dataclasses import dataclass, field

from keras_vngpt.data.cleaning import Cleaner
from keras_vngpt.data.readers import (
    Columns,
    find_documents,
    read_conversations,
    stream_documents,
)
from keras_vngpt.data.splits import in_part, split_by_hash
from keras_vngpt.faults import Faults

SAMPLE_BYTES = 2**24  # of the documents, for the tokenizer and the first look
FEW_DOCUMENTS = 20  # fewer cannot be split by document
MAX_FAULTS_SHOWN = 100


@dataclass
class Data:
    """What the stages that run will learn from.

    Args:
        sources: list of `Source` of documents.
        validation_sources: list of `Source`, to validate on instead of a share of the documents.
        sample: list of str, some training documents from everywhere, mended.
        held_out: list of str, a few documents that are not trained on.
        conversations: dictionary by side, of lists of `Conversation`.
        boundaries: how the few documents of a small corpus are parted into more.
        column: str, where the text stands in tables.
        n_documents: int, of all sources.
    """

    sources: list = field(default_factory=list)
    validation_sources: list = field(default_factory=list)
    sample: list = field(default_factory=list)
    held_out: list = field(default_factory=list)
    conversations: dict = field(default_factory=dict)
    boundaries: list = field(default_factory=list)
    column: str = "text"
    n_documents: int = 0

    def documents(self, source, faults=None):
        """The documents of a source, as they stand there."""
        return stream_documents(source.paths, [] if faults is None else faults, self.column)

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
        Faults: those of all files together.
    """
    faults = []
    data = Data(column=settings.pretrain.text_column)
    if "pretrain" not in settings.skip:
        _check_documents(data, settings.pretrain, faults)
    if "finetune" not in settings.skip:
        _check_conversations(data, settings.finetune, faults)
    if len(faults) > MAX_FAULTS_SHOWN:
        hidden = len(faults) - MAX_FAULTS_SHOWN
        faults = [*faults[:MAX_FAULTS_SHOWN], f"... and {hidden} more faults"]
    if faults:
        raise Faults(faults)
    return data


def make_cleaner(settings):
    """The cleaner that `pretrain.clean` asks for."""
    return Cleaner(**vars(settings.pretrain.clean))


def _check_documents(data, stage, faults):
    data.sources = _attempt(find_documents, stage.data, "pretrain.data", faults)
    data.validation_sources = find_documents(stage.validation_data, faults)
    for source in data.validation_sources:
        for text in data.documents(source, faults):
            data.held_out += [text] if len(data.held_out) < FEW_DOCUMENTS else []
    for boundary in (None, "\n", r"(?<=[.!?…])\s+"):
        data.boundaries += [boundary] if boundary else []
        _sample(data, stage, faults)
        if not 0 < data.n_documents < FEW_DOCUMENTS or faults:
            break


def _sample(data, stage, faults):
    """Count all documents; put some that are trained on, from everywhere, into `data.sample`."""
    share = 0.0 if data.validation_sources else stage.validation_share
    mend = Cleaner(**vars(stage.clean)).mend
    data.sample, data.n_documents = [], 0
    data.held_out = data.held_out if data.validation_sources else []
    size, rate = 0, 1.0
    for source in data.sources:
        for text in data.part(map(mend, data.documents(source, faults))):
            data.n_documents += 1
            if in_part(text, share, "validation"):
                data.held_out += [text] if len(data.held_out) < FEW_DOCUMENTS else []
                continue
            if not in_part(text, rate, "tokenizer"):
                continue
            data.sample.append(text)
            size += len(text)
            if size > SAMPLE_BYTES:
                rate /= 2
                data.sample = [t for t in data.sample if in_part(t, rate, "tokenizer")]
                size = sum(map(len, data.sample))


def _check_conversations(data, stage, faults):
    columns = Columns(request=stage.request_column, response=stage.response_column)

    def read(patterns):
        return read_conversations(patterns, columns)

    def split(items, given, share, name):
        """The items left, and those to validate or test on."""
        if given:
            return items, _attempt(read, given, name, faults)
        rest, part = split_by_hash(items, share, lambda c: c.key, salt=name)
        if share and not (rest and part):  # too few for the hash to part them
            rest = [item for item in items if item.key != items[-1].key]
            part = [item for item in items if item.key == items[-1].key] if rest else []
        return rest or items, part

    test_data = stage.test_data
    if test_data is None and stage.data == ["samples:home_train.jsonl"]:
        test_data = ["samples:home_test.jsonl"]
    items = _attempt(read, stage.data, "finetune.data", faults)
    rest, test = split(items, test_data, stage.test_share, "test")
    train, validation = split(rest, stage.validation_data, stage.validation_share, "validation")
    if items and not train:
        faults.append(
            f"finetune.data: {len(items)} examples are too few to part into training, "
            "validation and test"
        )
    if train and not validation and stage.validation_share:
        print("finetune: too few requests to hold one out: validation is on what is trained")
    data.conversations = {"train": train, "validation": validation or train, "test": test}


def _attempt(reader, patterns, name, faults):
    if not patterns:
        faults.append(f"{name}: needs at least one file, folder or glob")
        return []
    try:
        return reader(patterns, faults) if reader is find_documents else reader(patterns)
    except Faults as fault:
        faults.extend(fault.faults)
        return []


def _parted(documents, boundary):
    return (part for text in documents for part in re.split(boundary, text) if part.strip())
