"""Which side of a split something falls on: a function of its text alone."""

import hashlib

SIDES = ("train", "validation", "test")


def in_part(text, share, salt=""):
    """Whether a text falls into the part that gets this share of all texts.

    Args:
        text: str.
        share: float, about this share of all texts is in the part.
        salt: str, another salt gives another part.

    Example:
        >>> [in_part(text, 0.1) for text in ("một", "hai", "ba")]
    """
    return _place(text, salt) < share


def side_of(text, shares):
    """The side of a split that a text falls on, whatever else there is.

    Args:
        text: str.
        shares: dictionary from a side to about how much of all texts falls on it; the rest is
            "train".

    Example:
        >>> side_of("một", {"test": 0.1, "validation": 0.1})
    """
    place = _place(text, "side") if shares else 1.0
    for side, share in shares.items():
        if place < share:
            return side
        place -= share
    return "train"


def split(items, shares, key=str):
    """Part items by `side_of`; of very few, the last ones go to the other sides.

    Args:
        items: list.
        shares: as for `side_of`.
        key: function from an item to the text that is hashed; equal keys stay together.

    Returns:
        A dictionary of lists, "train" and the sides of `shares`.

    Example:
        >>> sides = split(["một", "hai", "ba"], {"test": 0.1, "validation": 0.1})
    """
    keys = dict.fromkeys(map(key, items))
    sides = {name: side_of(name, shares) for name in keys}
    wanted = [side for side, share in shares.items() if share]
    if not {"train", *wanted} <= {*sides.values()}:  # too few for the hash to part them
        sides = dict.fromkeys(keys, "train")
        for name, side in zip(list(keys)[:0:-1], wanted, strict=False):
            sides[name] = side
    return {
        side: [item for item in items if sides[key(item)] == side] for side in ("train", *shares)
    }


def _place(text, salt):
    """Where a text stands between 0 and 1."""
    digest = hashlib.blake2b((salt + text).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
