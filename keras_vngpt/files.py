"""Files on disk: atomic writes, locks between processes, checksums."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from keras_vngpt.errors import UserError

CHECKSUMS = "checksums.json"  # of a folder


@contextmanager
def locked(path, waits=False):
    """Hold a lock on a file or a folder, against the other processes of this machine.

    Args:
        path: str or Path.
        waits: bool, whether to wait for another process that holds it.

    Raises:
        UserError: another process holds it.
    """
    name = hashlib.blake2b(str(Path(path).resolve()).encode(), digest_size=8).hexdigest()
    lock = FileLock(Path(tempfile.gettempdir()) / f"keras_vngpt-{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        fault = f"{path}: another process is at work on it"
        if not waits:
            raise UserError(fault) from None
        print(f"{fault}; waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def atomic_write(path, durable=False):
    """Write a file or a folder under another name and rename it when it is complete.

    What stood there is replaced then, and not before. If writing fails, nothing is left. A folder
    that is replaced moves aside first, and comes back where the new one does not take its place.

    Args:
        path: str or Path.
        durable: bool, that it is on the disk itself before it takes its place, and stays there
            when the power fails.

    Yields:
        Path to write to.

    Example:
        >>> with atomic_write("metrics.json") as partial:
        ...     partial.write_text("{}")
    """
    path = Path(path)
    partial = path.with_name(f".partial-{path.name}")
    aside = path.with_name(f".aside-{path.name}")
    _put_back(aside, path)  # of a process that was killed
    remove(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        if path.is_dir() and not partial.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
        if durable:
            for written in (partial, *(partial.rglob("*") if partial.is_dir() else ())):
                _sync(written)
        if path.is_dir():  # cannot be replaced in one go as a file can
            os.replace(path, aside)
        os.replace(partial, path)
        if durable:
            _sync(path.parent)
    finally:
        _put_back(aside, path)
        remove(partial)


def _put_back(aside, path):
    """A folder that moved aside to its place again, or away where there is a new one."""
    if path.exists():
        remove(aside)
    elif aside.exists():
        os.replace(aside, path)


def _sync(path):
    """Have the system write out a file, or the names in a folder."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def remove(path):
    """A file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_checksums(folder):
    """Write the checksum of each file of a folder into `checksums.json` beside them.

    Args:
        folder: Path; earlier checksums are replaced.
    """
    digests = {path.relative_to(folder).as_posix(): file_digest(path) for path in _files(folder)}
    (folder / CHECKSUMS).write_text(json.dumps(digests, indent=2), encoding="utf-8")


def checksums_match(folder):
    """Whether a folder has checksums, and all of them are right.

    Args:
        folder: Path.
    """
    try:
        digests = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
        return all(file_digest(folder / name) == then for name, then in digests.items())
    except (OSError, ValueError, AttributeError):
        return False


def verify_checksums(folder):
    """Refuse a folder whose files are no longer what was written.

    Args:
        folder: Path; one without checksums, of an earlier version or made by hand, is accepted.

    Raises:
        UserError: a file is damaged or gone.
    """
    if (folder / CHECKSUMS).exists() and not checksums_match(folder):
        raise UserError(f"{folder}: is damaged. --restart makes the run anew")


def file_digest(path):
    """Eight bytes of BLAKE2 of what is in a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def _files(folder):
    paths = sorted(Path(folder).rglob("*"))
    return [path for path in paths if path.is_file() and path.name != CHECKSUMS]
