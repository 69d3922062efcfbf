"""Files and folders that are whole or not there, and written by one process at a time."""

import errno
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from keras_vngpt.faults import Faults


@contextmanager
def alone(path):
    """No other process of this machine works on a file or a folder meanwhile.

    Raises:
        Faults: another one does.
    """
    name = hashlib.blake2b(str(Path(path).resolve()).encode(), digest_size=8).hexdigest()
    lock = FileLock(Path(tempfile.gettempdir()) / f"keras_vngpt-{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Faults(f"{path}: another process is at work on it") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def whole(path, durable=False):
    """Write a file or a folder beside its place; it takes its place when it is done.

    What stood there is replaced then, and not before. If writing fails, nothing is left. A folder
    that is replaced moves aside first, and comes back where the new one does not take its place.

    Args:
        path: str or Path.
        durable: bool, that it is on the disk itself before it takes its place, and stays there
            when the power fails.

    Yields:
        Path to write to.

    Example:
        >>> with whole("metrics.json") as partial:
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
