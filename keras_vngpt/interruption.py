"""Ctrl-C and SIGTERM as a flag that training reads between two steps."""

import signal
import threading
from contextlib import contextmanager


class Terminated(KeyboardInterrupt):
    """SIGTERM: the machine goes away, or whoever runs it wants this process to end."""


class Interruption:
    """A context in which the first SIGINT or SIGTERM only sets a flag; a second one raises.

    Whoever works in the context calls `check` where stopping does no harm. Outside of the main
    thread nothing changes.

    Example:
        >>> with Interruption() as interruption:
        ...     train_step()
        ...     interruption.check()
    """

    def __init__(self):
        self.error = None  # what the signal means, once it has come
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):  # a process in the background ignores it
                    self._before[number] = before
                    signal.signal(number, self._arrived)
        return self

    def __exit__(self, *error):
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}

    def check(self):
        """Raise what arrived: `KeyboardInterrupt`, or `Terminated` for SIGTERM."""
        if self.error:
            raise self.error

    def _arrived(self, number, frame):
        error = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if self.error:
            raise error
        self.error = error


@contextmanager
def raising_on_sigterm():
    """A context in which SIGTERM raises `Terminated`, as Ctrl-C raises `KeyboardInterrupt`."""

    def arrived(number, frame):
        raise Terminated

    is_default = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if threading.current_thread() is threading.main_thread() and is_default:
        signal.signal(signal.SIGTERM, arrived)
    try:
        yield
    finally:
        if is_default and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
