"""Which side of a split something falls on: a function of its text alone."""

import hashlib


def in_part(text, share, salt=""):
    """Whether a text falls into the part that gets this share of all texts.

    The same text always falls on the same side, whatever the order or the number of files.

    Args:
        text: str.
        share: float, about this share of all texts is in the part.
        salt: str, another salt gives another split.

    Example:
        >>> [in_part(text, 0.1) for text in ("một", "hai", "ba")]
    """
    if not share:
        return False
    digest = hashlib.blake2b((salt + text).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def split_by_hash(items, share, key=str, salt=""):
    """Part items by `in_part`.

    Args:
        items: list.
        share: float, about this share of the items goes to the second part.
        key: function from an item to the text that is hashed; equal keys stay together.
        salt: str, another salt gives another split.

    Returns:
        `(rest, part)`, two lists.

    Example:
        >>> train, test = split_by_hash(["một", "hai", "ba"], share=0.1)
    """
    rest, part = [], []
    for item in items:
        (part if in_part(key(item), share, salt) else rest).append(item)
    return rest, part
