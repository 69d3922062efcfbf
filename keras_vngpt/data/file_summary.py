"""What a file was taken for, and what of it was passed over."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class FileSummary:
    """How a file was read: filled in by its readers, said in a line where something was assumed.

    Args:
        path: Path, or str of a TFDS data set.
        format: str, "CSV", "ShareGPT conversations".
        encoding: str.
        delimiter: str, of a table; "" for none.
        columns: dictionary from what is learned ("request", "text") to the name it has there.
        rows: int, that were read.
        passed_over: `Counter` of what was left out by its kind, "empty rows".
        not_used: dictionary from fields that have a meaning and are not learned to why.
        assumed: list of str, each a guess that the user should see: "semicolons between columns".

    Example:
        >>> summary = FileSummary(Path("a.csv"), "CSV", assumed=["semicolons between columns"])
        >>> summary.line
        'a.csv: read as CSV, semicolons between columns'
    """

    path: object
    format: str = ""
    encoding: str = "UTF-8"
    delimiter: str = ""
    columns: dict = field(default_factory=dict)
    rows: int = 0
    passed_over: Counter = field(default_factory=Counter)
    not_used: dict = field(default_factory=dict)
    assumed: list = field(default_factory=list)

    def record(self):
        """All of it, as JSON can hold it."""
        return vars(self) | {"path": str(self.path), "passed_over": dict(self.passed_over)}

    @property
    def line(self):
        """What a user should know of it; "" where nothing was assumed or left out."""
        taken_for = [self.format, *dict.fromkeys(self.assumed)] if self.assumed else []
        parts = {
            "read as ": taken_for,
            "passed over ": [f"{n:,} {what}" for what, n in self.passed_over.items()],
            "not used: ": [f"{name} ({why})" for name, why in self.not_used.items()],
        }
        said = "; ".join(what + ", ".join(which) for what, which in parts.items() if which)
        return f"{self.path}: {said}" if said else ""


def print_summaries(name, files):
    """Say what was assumed of files, and what in them is not used, a line each.

    Args:
        name: str, the line begins with it.
        files: dictionary by path of `FileSummary`.
    """
    for line in filter(None, (summary.line for summary in files.values())):
        print(f"{name}: {line}")
