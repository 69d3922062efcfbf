"""A run folder: where everything of a run stands."""

import json
import os
from pathlib import Path

import yaml

from keras_vngpt.data.readers import Conversation
from keras_vngpt.faults import Faults


class Run:
    """A run folder on disk; stands for its path wherever one is expected.

    Args:
        folder: str or Path.

    Example:
        >>> run = Run.open("runs/default")
        >>> run.metrics["finetune.exact_match"]
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    @classmethod
    def open(cls, folder):
        """A folder that must be a run.

        Raises:
            Faults: where it is none.
        """
        run = cls(folder)
        if not run.exists:
            what = "not a run folder: it has no config.yaml" if run.folder.is_dir() else (
                "no such run folder"
            )  # fmt: skip
            raise Faults(f"{folder}: {what}. A run is made by python -m keras_vngpt.fit")
        return run

    def __fspath__(self):
        return str(self.folder)

    def __repr__(self):
        return f"Run({str(self.folder)!r})"

    def __truediv__(self, name):
        return self.folder / name

    @property
    def exists(self):
        return (self / "config.yaml").is_file()

    @property
    def settings(self):
        """The settings that it was made with, a nested dictionary."""
        return yaml.safe_load((self / "config.yaml").read_text(encoding="utf-8"))

    @property
    def metrics(self):
        """The figures so far: a dictionary with dotted names."""
        path = self / "metrics.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def record(self, **figures):
        """Add figures to `metrics.json`; two underscores in a name stand for its dot."""
        metrics = self.metrics | {k.replace("__", "."): v for k, v in figures.items()}
        write_whole(self / "metrics.json", json.dumps(metrics, indent=2))

    def is_done(self, phase):
        """Whether a phase has ended."""
        return f"seconds.{phase}" in self.metrics


def write_whole(path, text):
    """Write a file beside `path`, then rename it."""
    partial = path.with_name("partial-" + path.name)
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def write_jsonl(path, records):
    """One JSON object a line."""
    write_whole(path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records))


def read_jsonl(path):
    """What `write_jsonl` wrote."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def as_records(conversations):
    """Conversations for `write_jsonl`."""
    return [vars(c) for c in conversations]


def as_conversations(records):
    """What `as_records` made, from `read_jsonl`."""
    return [Conversation(tuple(r["prompts"]), tuple(r["responses"]), r["source"]) for r in records]
