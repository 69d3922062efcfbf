"""Folders that know whether they still hold what was written: a digest of each of their files."""

import hashlib
import json
from pathlib import Path

from keras_vngpt.faults import Faults

SEAL = "checksums.json"


def seal(folder):
    """Note the digest of each file of a folder in a file beside them.

    Args:
        folder: Path; an earlier seal is replaced.
    """
    digests = {path.relative_to(folder).as_posix(): digest(path) for path in _files(folder)}
    (folder / SEAL).write_text(json.dumps(digests, indent=2), encoding="utf-8")


def is_sealed(folder):
    """Whether a folder has a seal, and the files that it names are what they were.

    Args:
        folder: Path.
    """
    try:
        digests = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        return all(digest(folder / name) == then for name, then in digests.items())
    except (OSError, ValueError, AttributeError):
        return False


def check_seal(folder):
    """Refuse a folder whose files are no longer what was written.

    Args:
        folder: Path; one without a seal, of an earlier version or made by hand, is not refused.

    Raises:
        Faults: a file is damaged or gone.
    """
    if (folder / SEAL).exists() and not is_sealed(folder):
        raise Faults(f"{folder}: is damaged. --restart makes the run anew")


def digest(path):
    """Eight bytes of BLAKE2 of what is in a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def _files(folder):
    paths = sorted(Path(folder).rglob("*"))
    return [path for path in paths if path.is_file() and path.name != SEAL]
