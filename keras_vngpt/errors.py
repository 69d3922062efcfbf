"""The one exception that a user's own mistake raises, with every fault found so far, and hints."""


class UserError(ValueError):
    """Mistakes in what the user gave: settings, files, folders.

    The command line prints each fault on a line of its own and exits with status 2; in a notebook
    the same lines are the message of the exception.

    Args:
        faults: one string, or several. Each names the file, the line and the fault.

    Example:
        >>> raise UserError("data.jsonl:17: not valid JSON")
        Traceback (most recent call last):
        ...
        keras_vngpt.errors.UserError: data.jsonl:17: not valid JSON
    """

    def __init__(self, faults):
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))


def with_hints(faults, hints):
    """UserError with what to do about them.

    Args:
        faults: list of str.
        hints: dictionary by a sign in the text of a fault, of what follows it then.
    """
    return [fault + next((h for sign, h in hints.items() if sign in fault), "") for fault in faults]


def needs_extra(what, error, extra):
    """The line for a package that is not installed, with the extra that brings it.

    Args:
        what: str, what it is needed for: a file, a setting.
        error: `ModuleNotFoundError`.
        extra: str.
    """
    package = error.name.partition(".")[0]
    return f'{what}: needs {package}. pip install "keras_vngpt[{extra}]"'
