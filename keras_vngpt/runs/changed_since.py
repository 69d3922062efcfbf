"""What is no longer as it was when a run was prepared: settings, files."""

import json

from keras_vngpt.config import flatten
from keras_vngpt.runs.settings import OLD_DEFAULTS, with_current_names

# On what a run becomes.
WITHOUT_EFFECT = (
    "folder", "checkpoint_minutes", "gradient_accumulation_steps", "gradient_checkpointing",
)  # fmt: skip


def changed_settings(old, new):
    """The settings that matter in which two runs differ: lines of "name: old, now new"."""
    old, new = with_current_names(old, tell=False), flatten(new)
    return [
        f"{name}: {old.get(name)} there, {new.get(name)} now"
        for name in new
        # An older run lacks what is new since.
        if old.get(name, new[name]) != new[name]
        and name.split(".")[-1] not in WITHOUT_EFFECT
        and not (new[name] is None and old[name] == OLD_DEFAULTS.get(name))
    ]


def changed_files(run, now):
    """What became of the files of a run's data since: "changed" or "new", by path.

    Args:
        run: `Run`.
        now: dictionary of the digest of each file, by its path.
    """
    try:
        then = json.loads((run / "work" / "files.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        then = None
    if not isinstance(then, dict):
        return {}
    return {  # a file that is gone is not needed any more
        path: "changed" if path in then else "new"
        for path, digest in now.items()
        if then.get(path) != digest
    }
