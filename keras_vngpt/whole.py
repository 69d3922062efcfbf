"""Files and folders that are whole or not there."""

import errno
import os
import shutil
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path):
    """Write a file or a folder beside its place; it takes its place when it is done.

    What stood there is replaced then, and not before. If writing fails, nothing is left.

    Args:
        path: str or Path.

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
        os.replace(partial, path)
    finally:
        _remove(partial)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
