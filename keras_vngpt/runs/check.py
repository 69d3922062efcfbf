"""`--check`: what is wrong with the data, and what of it will not be learned, in a few lines."""

import contextlib
import functools
import json
import re
import sys
from collections import defaultdict

import tensorflow as tf
from rich.console import Console
from rich.table import Column, Table

from keras_vngpt.data.find_requests import Requests
from keras_vngpt.data.splits import HELD_OUT
from keras_vngpt.data.tokenise_and_pack import tokenise
from keras_vngpt.errors import UserError
from keras_vngpt.runs.prepare import make_preprocessor, prepare, show
from keras_vngpt.text.normalization import canonical
from keras_vngpt.text.tokenizer import load_tokenizer

EXAMPLES, WIDTH = 3, 60  # shown of a kind; characters of a text in one
CUTS = {
    "requests cut": "too long: the request loses its beginning",
    "responses cut": "too long: the response loses its end",
    "turns dropped": "too long: the conversation loses its first turns",
    "rows dropped": "too long: nothing is left of the response",
}


def check(settings):
    """Prepare the data, train nothing, and print what one should know of it.

    With the setting `check` at "json" all is one object on the standard output, `files`, `figures`
    and `faults`, and what people read goes to the error output.

    Args:
        settings: `FitSettings`.

    Returns:
        The figures of `prepare`, with `contradictions`, `duplicates` and `unanswerable` of each
        task that learns requests.

    Raises:
        UserError: everything that is wrong with the data.
    """
    if settings.check != "json":
        return _check(settings)[0]
    told = {"files": [], "figures": {}, "faults": []}
    try:
        with contextlib.redirect_stdout(sys.stderr):
            told["figures"], told["files"] = _check(settings)
    except UserError as fault:
        told["faults"] = fault.faults
        raise
    finally:
        print(json.dumps(told, ensure_ascii=False, indent=1))
    return told["figures"]


def _check(settings):
    """The figures, and a dictionary for each file."""
    found, folders, figures = prepared = prepare(settings)
    files = [
        {"task": name, **summary.record()}
        for name, of_task in found.items()
        for summary in getattr(of_task, "own", of_task).files.values()
    ]
    _print_files(files)
    show(settings, prepared)
    for task in settings.tasks:
        if not isinstance(found[task.name], Requests):
            continue
        requests = found[task.name].own
        preprocessor = make_preprocessor(task, settings, load_tokenizer(folders["tokenizer"]))
        cuts = {kind: figures.get(f"{task.name}.{kind.replace(' ', '_')}", 0) for kind in CUTS}
        kinds = {
            "contradictions": [_disagreement(*pair) for pair in contradictions(requests)],
            "duplicates": [f"{_places(a, b)}: {_last(a)}" for a, b in duplicates(requests)],
            "unanswerable": [f"{c.source}: {_last(c)}" for c in unanswerable(requests)],
        }
        figures |= {f"{task.name}.{kind}": len(lines) for kind, lines in kinds.items()}
        is_clean = not any((*cuts.values(), *kinds.values(), _held_out(requests)))
        what = "contradictions, duplicates, and what is not learned"
        print(f"{task.name}: {what}{': none' * is_clean}")
        _print("one request, two answers: one of them is learned", kinds["contradictions"])
        _print("twice the same", kinds["duplicates"])
        _print_held_out(requests, kinds["unanswerable"])
        for kind, n in cuts.items():
            if n:
                place = first_cut(found[task.name].sides["train"], preprocessor, kind).source
                _print(CUTS[kind], [place], n)
    print("No line is broken. The same command without --check trains.")
    return figures, files


def _print_files(files):
    """A table of what each file was taken for."""
    names = "read as", "encoding", "columns", "rows"
    whole = (Column(name, no_wrap=True) for name in names)  # a long path is broken, not these
    table = Table(Column("file", overflow="fold"), *whole, "passed over, not used")
    for file in files:
        columns = (f"{what}: {name}" for what, name in file["columns"].items())
        left_out = [f"{n:,} {what}" for what, n in file["passed_over"].items()]
        table.add_row(
            file["path"],
            ", ".join(filter(None, [file["format"], file["delimiter"]])),
            file["encoding"],
            "\n".join(columns),
            f"{file['rows']:,}",
            "\n".join([*left_out, *file["not_used"]]),
        )
    Console().print(table)


def contradictions(requests):
    """Pairs of conversations that are the same up to a request, and answer it in two ways.

    Args:
        requests: `Requests`.

    Returns:
        list of `(conversation, conversation, turn)`, one for each request.
    """
    asked = defaultdict(dict)
    for c in _all(requests):
        for turn, response in enumerate(c.responses):
            before = c.system, *c.requests[: turn + 1], *c.responses[:turn]
            asked[tuple(map(_folded, before))].setdefault(_folded(response), (c, turn))
    found = ([*answers.values()][:2] for answers in asked.values() if len(answers) > 1)
    return [(a, b, turn) for (a, turn), (b, _) in found]


def duplicates(requests):
    """Pairs of conversations that are the same: each that came before with its first."""
    first, found = {}, []
    for c in _all(requests):
        key = tuple(map(_folded, (c.system, *c.requests, *c.responses)))
        if key in first:
            found.append((first[key], c))
        first.setdefault(key, c)
    return found


def unanswerable(requests):
    """The conversations that are held out and whose response no training line has."""
    learned = {_folded(r) for c in requests.sides["train"] for r in c.responses}
    return [c for c in _held_out(requests) if _folded(c.responses[-1]) not in learned]


def first_cut(conversations, preprocessor, kind):
    """A conversation that the preprocessor cuts in a way, one of `CUTS`; there must be one."""
    while len(conversations) > 1:
        middle = len(conversations) // 2
        first, rest = conversations[:middle], conversations[middle:]
        conversations = first if _cuts(first, preprocessor)[kind] else rest
    return conversations[0]


def _cuts(conversations, preprocessor):
    turns = [c.prompts for c in conversations], [c.responses for c in conversations]
    ids = (tokenise(texts, preprocessor.tokenizer) for texts in turns)
    *_, weight, cuts = preprocessor.triples(*ids, preprocessor.sequence_length)
    is_dropped = tf.reduce_sum(weight, axis=1) == 0
    return {**cuts, "rows dropped": tf.math.count_nonzero(is_dropped)}


def _held_out(requests):
    train = requests.sides["train"]
    sides = (requests.sides[side] for side in HELD_OUT)
    return [c for side in sides if side is not train for c in side]  # of few, train is both


def _all(requests):
    return [*requests.sides["train"], *_held_out(requests)]


@functools.cache
def _folded(text):
    """What two texts have in common that a reader takes for the same."""
    return re.sub(r"\s+", " ", canonical(text).lower()).strip(" .?!…")


def _print(what, lines, n=None):
    n = len(lines) if n is None else n
    if n:
        print(f"  {n:,} {what}")
    for line in lines[:EXAMPLES]:
        print(f"    {line}")


def _print_held_out(requests, lines):
    sides = {side: len(requests.sides[side]) for side in HELD_OUT}
    if n := len(_held_out(requests)):
        where = ", ".join(f"{number:,} for {side}" for side, number in sides.items())
        print(f"  {n:,} held out ({where})")
    _print("of them with a response that no training line has", lines)


def _disagreement(a, b, turn):
    answers = " and ".join(_quoted(c.responses[turn]) for c in (a, b))
    return f"{_places(a, b)}: {_quoted(a.requests[turn])} has {answers}"


def _places(a, b):
    return f"{a.source} and {b.source}"


def _last(conversation):
    return _quoted(conversation.requests[-1])


def _quoted(text):
    text = text.replace("\n", "⏎")
    return f'"{text if len(text) <= WIDTH else text[:WIDTH] + "…"}"'
