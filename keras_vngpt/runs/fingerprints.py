"""What tells that a file, a setting or a tokenizer is no longer what it was."""

import hashlib
import json

from keras_vngpt.config import flatten
from keras_vngpt.data.sources import DUMPS, TABLES, TEXT, TFDS, find_sources
from keras_vngpt.files import file_digest

FORMAT = 2  # of the rows; another one prepares everything anew
# On what a run becomes.
WITHOUT_EFFECT = (
    "folder",
    "checkpoint_minutes",
    "keep_checkpoints",
    "gradient_accumulation_steps",
    "gradient_checkpointing",
)


def fingerprint(*parts):
    """A short name that changes with what it is made of."""
    text = json.dumps([FORMAT, *parts], sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def fingerprints_of_data(settings):
    """The digest of every file that the stages that run learn from, by its path."""
    stages = [getattr(settings, s) for s in ("pretrain", "finetune") if s not in settings.skip]
    patterns = [p for s in stages for p in (*s.data, *s.validation_data, *(s.test_data or ()))]
    sources = find_sources(patterns, (*TEXT, *TABLES, *DUMPS), [])
    return {str(path): fingerprint_of_file(path) for s in sources for path in s.paths}


def changes(run, settings):
    """What became of the files of a run's data since: "changed" or "new", by path."""
    try:
        then = json.loads((run / "work" / "files.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        then = None
    if not isinstance(then, dict):
        return {}
    now = fingerprints_of_data(settings)
    return {  # a file that is gone is not needed any more
        path: "changed" if path in then else "new"
        for path, digest in now.items()
        if then.get(path) != digest
    }


def fingerprint_of_file(path):
    """The digest of what is in a file; of a TFDS data set its name."""
    if str(path).startswith(TFDS):
        return str(path)
    return file_digest(path)


def fingerprint_of_tokenizer(folder):
    """The digest of all that makes a tokenizer."""
    return [fingerprint_of_file(path) for path in sorted(folder.rglob("*")) if path.is_file()]


def differences(old, new):
    """The settings that matter in which two runs differ: lines of "name: old, now new"."""
    old, new = flatten(old), flatten(new)
    return [
        f"{name}: {old.get(name)} there, {new.get(name)} now"
        for name in new
        # An older run lacks what is new since.
        if old.get(name, new[name]) != new[name] and not name.endswith(WITHOUT_EFFECT)
    ]
