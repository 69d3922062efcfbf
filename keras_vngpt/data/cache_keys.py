"""Short names that change with the files, settings and tokenizer that something is made of."""

import hashlib
import json
from pathlib import Path

from keras_vngpt.data.sources import TFDS, find_sources
from keras_vngpt.files import file_digest

FORMAT = 3  # of the rows; another one prepares everything anew
_digests = {}  # by path, size and time of change: of one process


def fingerprint(*parts):
    """A short name that changes with what it is made of."""
    text = json.dumps([FORMAT, *parts], sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def fingerprint_of_file(path):
    """The digest of what is in a file; of a TFDS data set its name."""
    if str(path).startswith(TFDS):
        return str(path)
    stat = Path(path).stat()
    key = str(path), stat.st_size, stat.st_mtime_ns
    if key not in _digests:
        _digests[key] = file_digest(path)
    return _digests[key]


def fingerprint_of_tokenizer(folder):
    """The digests of all that makes the tokenizer in a preset folder."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in paths]
    return [fingerprint_of_file(p) for p, n in zip(paths, names, strict=True) if "tokenizer" in n]


def fingerprints_of(patterns):
    """The digest of every file that patterns mean, by its path."""
    # Rows that Beam prepared have a description that changes with them.
    patterns = [f"{p[5:]}/dataset_info.json" if p.startswith("rows:") else p for p in patterns]
    sources = find_sources(patterns, [])
    return {str(path): fingerprint_of_file(path) for s in sources for path in s.paths}
