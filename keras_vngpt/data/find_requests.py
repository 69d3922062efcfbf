"""The requests of a set as a task reads them: checked, split into sides, none on two of them."""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

from keras_vngpt.data.file_summary import print_summaries
from keras_vngpt.data.free_requests import read_free_requests
from keras_vngpt.data.readers import Columns, read_conversations
from keras_vngpt.data.splits import HELD_OUT, announce_split_column, drop_overlap, split
from keras_vngpt.errors import UserError
from keras_vngpt.text.legacy_encodings import LOST, legacy_encoding, mend_encoding

SAMPLES = ["samples:home_train.jsonl"]
MOST_ASKED = 100  # of the requests that were trained on
WORDED = 3_000  # tokens, of which most are syllables
MOST_FACTS = 1_000  # requests of a set that is learned as a whole
SHARE = 0.1  # of other sets, for each side that is held out
FEW = 0.01  # of the conversations are as long: such a length is not learned
SAMPLED = 100  # conversations of a file, that tell its encoding
SHOWN = 60  # characters of a system text in a message


@dataclass
class Requests:
    """What was found in the files of a set of requests with their responses.

    Args:
        sides: dictionary by side, of lists of `Conversation`.
        are_facts: bool, whether each request is a fact of its own and none is held out for that.
        before: optional `Requests`, what the user's files hold, where the sides have more.
        free: list of dictionaries, from `read_free_requests`.
        files: dictionary by path of `FileSummary`.
    """

    sides: dict = field(default_factory=dict)
    are_facts: bool = False
    before: "Requests | None" = None
    free: list = field(default_factory=list)
    files: dict = field(default_factory=dict)
    tokenizer = None

    @property
    def own(self):
        """What the user's files hold."""
        return self.before or self

    @property
    def vocabulary_size(self):
        """Tokens that are wanted at least: syllables as a whole, where single ones tell apart."""
        return WORDED if self.are_facts else 0

    @property
    def asked(self):
        """What the model is asked at the end: lists of conversations by name."""
        trained = self.own.sides["train"]
        every = math.ceil(len(trained) / MOST_ASKED)
        asked = {"test": self.test, "trained": trained[::every]}
        if self.before:  # with requests to refuse
            asked["validation"] = self.sides["validation"]
        return {name: conversations for name, conversations in asked.items() if conversations}

    @property
    def texts(self):
        """All that is learned, request by request."""
        return [t for c in self.sides.get("train", ()) for t in (*c.prompts, *c.responses)]

    @property
    def prompts(self):
        """Requests that are not trained on, without the system text."""
        return [c.requests[0] for c in self.sides.get("validation", ())]

    @property
    def test(self):
        """The conversations for the final figures."""
        return self.sides.get("test", [])

    @property
    def system(self):
        """The system text that most conversations are trained with; "" for none."""
        ((system, _),) = self.systems.most_common(1) or [("", 0)]
        return system

    @property
    def systems(self):
        """How many conversations are trained with each system text, a `Counter`."""
        return Counter(c.system for c in self.sides.get("train", ()))

    @property
    def turns(self):
        """How long the conversations are that are learned, in turns; rare lengths do not count."""
        lengths = sorted(len(c.prompts) for c in self.sides.get("train", ()))
        return lengths[-1 - int(FEW * len(lengths))] if lengths else 1


def find_requests(task, settings, faults):
    """Read requests with their responses, and split them.

    Args:
        task: `Task`, whose name a message begins with.
        settings: `FinetuneSettings`.
        faults: list, that gets a line for everything that is wrong.

    Returns:
        `Requests`.
    """
    name = task.name
    columns = Columns(
        request=settings.request_column,
        response=settings.response_column,
        split=settings.split_column or None,
        keep_html=settings.keep_html,
    )

    files = {}

    def read(patterns, columns, what):
        if not patterns:
            faults.append(f"{name}.{what}: needs at least one file, folder or glob")
            return []
        try:
            items = read_conversations(patterns, columns, files)
            return in_unicode(items, name, settings.encoding)
        except UserError as error:
            faults.extend(error.faults)
            return []

    given = {"test": settings.test_data, "validation": settings.validation_data}
    if settings.test_data is None and settings.data == SAMPLES:
        given["test"] = ["samples:home_test.jsonl"]
    free_files = settings.free_test_data
    if free_files is None and settings.data == SAMPLES:
        free_files = ["samples:home_free.jsonl"]
    try:
        free = read_free_requests(free_files or [])
    except UserError as error:
        faults.extend(error.faults)
        free = []
    items = read(settings.data, columns, "data")
    columns = replace(columns, split=None)
    sides = {side: read(files, columns, side) for side, files in given.items() if files}
    by_column = {side: [i for i in items if i.side == side] for side in ("train", *HELD_OUT)}
    learned = by_column["train"] if settings.split_column else items
    shares = {side: getattr(settings, f"{side}_share") for side in HELD_OUT}
    is_split = settings.split_column or any(share is not None for share in shares.values())
    are_facts = not is_split and are_single_facts(items)
    default = 0.0 if are_facts else SHARE
    shares = {side: default if share is None else share for side, share in shares.items()}
    if settings.split_column and items:
        announce_split_column(name, settings, shares, by_column, faults)
    for side in HELD_OUT:
        if by_column[side]:
            sides[side] = sides.get(side, []) + by_column[side]
    given = {side: sides[side] for side in HELD_OUT if side in sides} | {"train": learned}
    kept = dict(zip(given, drop_overlap(given.values(), lambda c: c.asked), strict=True))
    if n := sum(map(len, given.values())) - sum(map(len, kept.values())):
        print(f"{name}: {n:,} requests stand on two sides: what is tested on is not learned")
    shares = {side: share for side, share in shares.items() if side not in sides}
    parts = split(kept["train"], shares, lambda c: c.key)
    sides = {"validation": [], "test": []} | kept | parts
    if items and not sides["train"]:
        faults.append(
            f"{name}.data: of {len(items)} examples none is left to train on: all of them are "
            "held out too, or too few to split into training, validation and test"
        )
    print_summaries(name, files)
    found = Requests(sides, are_facts, free=free, files=files)
    if len(found.systems) > 1:
        most = f"{found.system[:SHOWN]!r}" if found.system else "none"
        print(
            f"{name}: the training data has {len(found.systems)} system texts; answers are asked "
            f"for with the most common, {most} ({found.systems[found.system]:,} conversations)"
        )
    return found


def in_unicode(conversations, name, encoding):
    """Conversations in Unicode's letters; each file is in one encoding.

    Args:
        conversations: list of `Conversation`.
        name: str, of the settings.
        encoding: str, as the setting says: "say", "fix" or "off".

    Raises:
        UserError: a file is in another encoding, and nothing says to mend it.
    """
    by_file = defaultdict(list)
    for c in conversations if encoding != "off" else ():
        by_file[c.source.rpartition(":")[0]].append(c)
    found = {}
    for path, of_file in by_file.items():
        texts = (text for c in of_file[:SAMPLED] for text in (*c.requests, *c.responses))
        if legacy := legacy_encoding("\n".join(texts)):
            found[path] = legacy
    if found and encoding == "say":
        raise UserError(
            f"{path}: is in {legacy}, not in Unicode. --{name}.encoding fix mends it"
            for path, legacy in found.items()
        )
    for path, legacy in found.items():
        print(f"{name}: {path}: is in {legacy}, not in Unicode: mended")
    mended = []
    for c in conversations:
        if legacy := found.get(c.source.rpartition(":")[0]):
            texts = c.prompts, c.responses, [c.system]
            new = [tuple(mend_encoding(t, legacy) for t in of_kind) for of_kind in texts]
            if LOST in "".join(sum(new, ())):
                raise UserError(f"{c.source}: letters are lost in {legacy}. Save it as UTF-8 again")
            c = replace(c, prompts=new[0], responses=new[1], system=new[2][0])
        mended.append(c)
    return mended


def are_single_facts(conversations):
    """Whether most requests of a small set have an answer of their own, and no others beside them.

    What is held out of such a set is never learned: nothing else tells it.

    Args:
        conversations: list of `Conversation`.

    Example:
        >>> are_single_facts([Conversation(("Ở đâu?",), ("Số 5 Lê Lợi",), "a.csv:2")])
        True
    """
    answers = Counter(c.responses for c in conversations)
    groups = Counter(c.key for c in conversations)
    alone = [
        c
        for c in conversations
        if len(c.prompts) == 1 and answers[c.responses] == 1 and groups[c.key] == 1
    ]
    return len(conversations) <= MOST_FACTS and len(alone) > len(conversations) / 2
