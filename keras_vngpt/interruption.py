"""Ctrl-C and SIGTERM, as exceptions that can be made to wait for a moment that suits."""

import signal
import threading


class Terminated(KeyboardInterrupt):
    """SIGTERM: the machine goes away, or whoever runs it wants this process to end."""


class Signals:
    """A context in which SIGINT raises `KeyboardInterrupt` and SIGTERM `Terminated`.

    What arrives between `hold` and `release` is raised by `release`; a second signal that arrives
    there is raised at once. Outside of the main thread nothing changes.

    Example:
        >>> with Signals() as signals:
        ...     signals.hold()
        ...     train_step()
        ...     signals.release()
    """

    def __init__(self):
        self.is_held = False
        self._waiting = None
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
        if not any(error):
            self.release()

    def hold(self):
        """From now on signals wait."""
        self.is_held = True

    def release(self):
        """Signals do not wait any more: raise the one that did."""
        self.is_held = False
        if self._waiting is not None:
            number, self._waiting = self._waiting, None
            self._raise(number)

    def _arrived(self, number, frame):
        if self.is_held and self._waiting is None:
            self._waiting = number
        else:
            self._raise(number)

    def _raise(self, number):
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
