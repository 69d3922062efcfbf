"""A run folder: where everything of a run stands."""

import json
import time
from contextlib import contextmanager
from pathlib import Path

import yaml

from keras_vngpt.data.records import Conversation
from keras_vngpt.errors import UserError
from keras_vngpt.files import atomic_write, verify_checksums

FINAL_PHASES = ("evaluate", "export")  # of a run, after its tasks


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
        """What the model is asked at each evaluation, by task."""
        return self._read("work/prompts.json", json.loads, "system")

    def learned(self, task):
        """The `system` text of the requests of a task, and the `turns` of its conversations."""
        learned = {"system": self.prompts["system"], "turns": self.prompts.get("turns", 1)}
        return learned if task.prompt_format == "request" else {}

    def _read(self, name, parse, *needed):
        try:
            values = parse((self / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            values = None
        if not isinstance(values, dict) or not values.keys() >= set(needed):
            raise UserError(f"{self / name}: is damaged. --restart makes the run anew")
        return values

    @property
    def phases(self):
        """The state of each phase that was begun: `seconds` that it took, and whether `done`."""
        if (self / "phases.json").is_file():
            return self._read("phases.json", json.loads)
        # A run of an older version: what has its time among the figures is done.
        names = (n.removeprefix("seconds.") for n in self.metrics if n.startswith("seconds."))
        return {name: {"seconds": self.metrics[f"seconds.{name}"], "done": True} for name in names}

    @contextmanager
    def phase(self, name):
        """Gives a dictionary for the figures of a phase; records them once it is done.

        Its time counts also where it was interrupted.
        """
        earlier = self.phases.get(name, {}).get("seconds", 0.0)
        begin, figures = time.perf_counter(), {}

        def note(done):
            seconds = round(earlier + time.perf_counter() - begin, 2)
            state = self.phases | {name: {"seconds": seconds, "done": done}}
            if done:  # the figures first: what is done is not done again
                self.record(**figures, **{f"seconds.{name}": seconds})
            write_text(self / "phases.json", json.dumps(state, indent=2))

        try:
            yield figures
        except KeyboardInterrupt:
            note(done=False)
            raise
        note(done=True)

    def is_done(self, phase):
        """Whether a phase has ended."""
        return self.phases.get(phase, {}).get("done", False)

    def start_of(self, task, settings):
        """The preset folder that a task goes on from: of the task before, or of an earlier run.

        Args:
            task: str.
            settings: `FitSettings` of this run.

        Returns:
            Path, or `None` for a new model.

        Raises:
            UserError: it is gone or damaged.
        """
        before = [*reversed(settings.stages[: settings.stages.index(task)])]
        for name in before:
            if self.is_done(name):
                if not (self / name).is_dir():
                    raise UserError(f"{self / name}: is gone. --restart makes the run anew")
                verify_checksums(self / name)
                return self / name
        if not settings.init:
            return None
        from keras_vngpt.generation.loading import find_preset  # which needs TensorFlow

        preset = find_preset(settings.init, first=(*before, task))
        if not preset:
            raise UserError(f"{settings.init}: has no trained model to start from yet")
        verify_checksums(preset)
        return preset

    def record(self, **figures):
        """Add figures to `metrics.json`, and the sums over tasks and phases."""
        metrics = self.metrics | figures
        metrics["tokens"] = sum(v for k, v in metrics.items() if k.endswith(".tokens"))
        seconds = sum(v for k, v in metrics.items() if k.startswith("seconds."))
        metrics["seconds"] = round(seconds, 2)
        write_text(self / "metrics.json", json.dumps(metrics, indent=2))


def write_text(path, text):
    """Write a text file that is complete or not there, also when the power fails."""
    with atomic_write(path, durable=True) as partial:
        partial.write_text(text, encoding="utf-8")


def write_jsonl(path, records):
    """One JSON object a line."""
    write_text(path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records))


def read_jsonl(path):
    """What `write_jsonl` wrote."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").split("\n") if line]


def as_conversations(records):
    """Conversations that were written as their fields, from `read_jsonl`."""
    return [
        Conversation(**{**r, "prompts": tuple(r["prompts"]), "responses": tuple(r["responses"])})
        for r in records
    ]
