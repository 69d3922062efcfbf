"""The files that `augment` writes: the set, its report, the rejected pairs."""

import json
import re
from pathlib import Path

from keras_vngpt.files import atomic_write


class Output:
    """The file of a set, and those beside it.

    Args:
        path: str, that ends in .jsonl.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.rejected = self.path.with_suffix(".rejected.log")
        self.report = self.path.with_suffix(".report.json")

    def faults(self, taken):
        """What is wrong with the paths: a list of str.

        Args:
            taken: set of resolved paths, that are read.
        """
        faults = []
        if self.path.suffix != ".jsonl":
            faults.append(f"output: must end in .jsonl. Received: {str(self.path)!r}")
        for path in (self.path, self.report, self.rejected):
            if path.resolve() in taken:
                faults.append(f"output: {path} is read here too. Take another")
            if path.is_dir():
                faults.append(f"output: {path} is a folder. Take another")
        return faults

    def write(self, lines, figures, rejected):
        """Write all files, each whole or not at all.

        Args:
            lines: list of dictionaries, as `PairSet.lines` makes them.
            figures: dictionary.
            rejected: list of `(pair, reason)`.
        """
        with (
            # No table by its ending: fit reads those from a folder, and should not read this.
            atomic_write(self.rejected) as partial_rejected,
            atomic_write(self.report) as partial_report,
            atomic_write(self.path) as partial,
        ):
            records = (json.dumps(_record(line), ensure_ascii=False) + "\n" for line in lines)
            partial.write_text("".join(records), encoding="utf-8")
            text = json.dumps(figures, ensure_ascii=False, indent=2)
            partial_report.write_text(text, encoding="utf-8")
            rows = [("source", "reason", "request", "response")]
            rows += [(p.source, reason, p.question, p.answer) for p, reason in rejected]
            rows = ("\t".join(re.sub(r"\s+", " ", cell) for cell in row) + "\n" for row in rows)
            partial_rejected.write_text("".join(rows), encoding="utf-8")
        if not rejected:
            self.rejected.unlink()


def _record(line):
    """A line as it is written: a conversation of its own, and what it belongs to."""
    line = dict(line)
    turns = [("system", line.pop("system"))]
    turns += [("user", line.pop("request")), ("assistant", line.pop("response"))]
    return {"messages": [{"role": r, "content": text} for r, text in turns if text], **line}
