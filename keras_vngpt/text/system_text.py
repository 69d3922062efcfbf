"""The system text: what stands before the first request of a conversation, on lines of its own."""


def with_system(system, prompt):
    """A first request as training has it: after the system text, if there is one.

    Args:
        system: str, "" for none.
        prompt: str, or a string tensor of any shape.

    Example:
        >>> with_system("Bạn là trợ lý.", "Bật đèn")
        'Bạn là trợ lý.\\nBật đèn'
    """
    return f"{system}\n" + prompt if system else prompt


def without_system(system, prompt):
    """What `with_system` was given.

    Example:
        >>> without_system("Bạn là trợ lý.", "Bạn là trợ lý.\\nBật đèn")
        'Bật đèn'
    """
    return prompt.removeprefix(f"{system}\n") if system else prompt
