"""Files and folders that are whole or not there."""

import errno
import os
import shutil
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path, durable=False):
    """Write a file or a folder beside its place; it takes its place when it is done.

    What stood there is replaced then, and not before. If writing fails, nothing is left.

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
    _remove(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        if path.is_dir():
            if not partial.is_dir():
                raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
            shutil.rmtree(path)
        if durable:
            for written in (partial, *(partial.rglob("*") if partial.is_dir() else ())):
                _sync(written)
        os.replace(partial, path)
        if durable:
            _sync(path.parent)
    finally:
        _remove(partial)


def _sync(path):
    """Have the system write out a file, or the names in a folder."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
