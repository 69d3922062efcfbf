"""A run folder: where everything of a run stands."""

import json
from pathlib import Path

import yaml

from keras_vngpt.data.readers import Conversation
from keras_vngpt.errors import UserError
from keras_vngpt.files import atomic_write


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
            UserError: where it is none.
        """
        run = cls(folder)
        if not run.exists:
            what = "not a run folder: it has no config.yaml" if run.folder.is_dir() else (
                "no such run folder"
            )  # fmt: skip
            raise UserError(f"{folder}: {what}. A run is made by python -m keras_vngpt.fit")
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
        return self._read("config.yaml", yaml.safe_load, "name")

    @property
    def metrics(self):
        """The figures so far: a dictionary with dotted names."""
        if not self.exists:  # it is being made
            return {}
        return self._read("metrics.json", json.loads, "seconds")

    @property
    def prompts(self):
        """What the model is asked at each evaluation, by stage, and the text before requests."""
        return self._read("work/prompts.json", json.loads, "pretrain", "finetune", "system")

    def _read(self, name, parse, *needed):
        try:
            values = parse((self / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            values = None
        if not isinstance(values, dict) or not values.keys() >= set(needed):
            raise UserError(f"{self / name}: is damaged. --restart makes the run anew")
        return values

    def record(self, **figures):
        """Add figures to `metrics.json`, and the sums over stages and phases."""
        metrics = self.metrics | figures
        metrics["tokens"] = sum(v for k, v in metrics.items() if k.endswith(".tokens"))
        seconds = sum(v for k, v in metrics.items() if k.startswith("seconds."))
        metrics["seconds"] = round(seconds, 2)
        write_text(self / "metrics.json", json.dumps(metrics, indent=2))

    def is_done(self, phase):
        """Whether a phase has ended."""
        return f"seconds.{phase}" in self.metrics


def write_text(path, text):
    """A text file, whole or not there, also when the power fails."""
    with atomic_write(path, durable=True) as partial:
        partial.write_text(text, encoding="utf-8")


def write_jsonl(path, records):
    """One JSON object a line."""
    write_text(path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records))


def read_jsonl(path):
    """What `write_jsonl` wrote."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").split("\n") if line]


def as_records(conversations):
    """Conversations for `write_jsonl`."""
    return [vars(c) for c in conversations]


def as_conversations(records):
    """What `as_records` made, from `read_jsonl`."""
    return [
        Conversation(**{**r, "prompts": tuple(r["prompts"]), "responses": tuple(r["responses"])})
        for r in records
    ]
