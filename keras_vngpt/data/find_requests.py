"""The requests of a set as a task reads them: checked, split into sides, none on two of them."""

from dataclasses import dataclass, field, replace

from keras_vngpt.data.readers import Columns, read_conversations
from keras_vngpt.data.splits import HELD_OUT, announce_split_column, drop_overlap, split
from keras_vngpt.errors import UserError


@dataclass
class Requests:
    """What was found in the files of a set of requests with their responses.

    Args:
        sides: dictionary by side, of lists of `Conversation`.
    """

    sides: dict = field(default_factory=dict)
    tokenizer = None

    @property
    def texts(self):
        """All that is learned, request by request."""
        return [t for c in self.sides.get("train", ()) for t in (*c.prompts, *c.responses)]

    @property
    def prompts(self):
        """Requests that are not trained on."""
        return [c.prompts[0] for c in self.sides.get("validation", ())]

    @property
    def test(self):
        """The conversations for the final figures."""
        return self.sides.get("test", [])

    @property
    def system(self):
        """The system text of all conversations that are trained on, if they have one."""
        systems = {c.system for c in self.sides.get("train", ())}
        return systems.pop() if len(systems) == 1 else ""


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
    )

    def read(patterns, columns, what):
        if not patterns:
            faults.append(f"{name}.{what}: needs at least one file, folder or glob")
            return []
        try:
            return read_conversations(patterns, columns)
        except UserError as error:
            faults.extend(error.faults)
            return []

    given = {"test": settings.test_data, "validation": settings.validation_data}
    if settings.test_data is None and settings.data == ["samples:home_train.jsonl"]:
        given["test"] = ["samples:home_test.jsonl"]
    items = read(settings.data, columns, "data")
    columns = replace(columns, split=None)
    sides = {side: read(files, columns, side) for side, files in given.items() if files}
    by_column = {side: [i for i in items if i.side == side] for side in ("train", *HELD_OUT)}
    if settings.split_column and items:
        announce_split_column(name, settings, by_column, faults)
    for side in HELD_OUT:
        if by_column[side]:
            sides[side] = sides.get(side, []) + by_column[side]
    learned = by_column["train"] if settings.split_column else items
    given = {side: sides[side] for side in HELD_OUT if side in sides} | {"train": learned}
    kept = dict(zip(given, drop_overlap(given.values(), lambda c: c.asked), strict=True))
    if n := sum(map(len, given.values())) - sum(map(len, kept.values())):
        print(f"{name}: {n:,} requests stand on two sides: what is tested on is not learned")
    shares = {side: getattr(settings, f"{side}_share") for side in HELD_OUT if side not in sides}
    parts = split(kept["train"], shares, lambda c: c.key)
    sides = {"validation": [], "test": []} | kept | parts
    if items and not sides["train"]:
        faults.append(
            f"{name}.data: of {len(items)} examples none is left to train on: all of them are "
            "held out too, or too few to split into training, validation and test"
        )
    if sides["train"] and not sides["validation"]:
        why = (
            "too few requests to hold one out" if settings.validation_share else "none is held out"
        )
        print(f"{name}: {why}: validation is on what is trained")
        sides["validation"] = sides["train"]
    return Requests(sides)
