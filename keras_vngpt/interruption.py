"""Ctrl-C and SIGTERM, as exceptions that can be made to wait for a moment that suits."""

import signal
import sys
import threading

PAUSE = 0.05  # seconds, until a signal that was swallowed comes again


class Terminated(KeyboardInterrupt):
    """SIGTERM: the machine goes away, or whoever runs it wants this process to end."""


class Signals:
    """A context in which SIGINT raises `KeyboardInterrupt` and SIGTERM `Terminated`.

    What arrives between `hold` and `release` is raised by `release`; a second signal that arrives
    there is raised at once. One that is raised where Python ignores exceptions (while an object is
    deleted) comes again a moment later. Outside of the main thread nothing changes.

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
        self._hook_before = None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):  # a process in the background ignores it
                    self._before[number] = before
                    signal.signal(number, self._arrived)
            self._hook_before, sys.unraisablehook = sys.unraisablehook, self._ignored
        return self

    def __exit__(self, *error):
        for number, before in self._before.items():
            signal.signal(number, before)
        if self._hook_before is not None:
            sys.unraisablehook, self._hook_before = self._hook_before, None
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

    def _ignored(self, unraisable):
        """What Python does with an exception that it ignores."""
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            return self._hook_before(unraisable)
        is_term = isinstance(unraisable.exc_value, Terminated)
        number = signal.SIGTERM if is_term else signal.SIGINT
        main = threading.main_thread().ident
        threading.Timer(PAUSE, signal.pthread_kill, [main, number]).start()
