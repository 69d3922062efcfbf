"""Which side of a split something falls on: a function of its text alone."""

import hashlib


def split_by_hash(items, share, key=str, salt=""):
    """Part items so that the same text always falls on the same side.

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
        digest = hashlib.blake2b((salt + key(item)).encode(), digest_size=8).digest()
        (part if int.from_bytes(digest, "big") < share * 2**64 else rest).append(item)
    return rest, part
