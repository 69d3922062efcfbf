"""Which side of a split something falls on: a function of its text alone."""

import hashlib
from collections import Counter

SIDES = ("train", "validation", "test")
HELD_OUT = ("test", "validation")  # in this order: another share to validate leaves the test alone


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
    """Part items by `side_of`; a side that this leaves empty gets one key, by its hash too.

    Args:
        items: list.
        shares: as for `side_of`.
        key: function from an item to the text that is hashed; equal keys stay together.

    Returns:
        A dictionary of lists, "train" and the sides of `shares`.

    Example:
        >>> sides = split(["một", "hai", "ba"], {"test": 0.1, "validation": 0.1})
    """
    sides = {name: side_of(name, shares) for name in map(key, items)}
    for side in ("train", *(side for side, share in shares.items() if share)):
        n = Counter(sides.values())
        free = [name for name, other in sides.items() if n[other] > 1 or side == "train"]
        if free and not n[side]:
            sides[min(free, key=lambda name: _place(name, side))] = side
    return {
        side: [item for item in items if sides[key(item)] == side] for side in ("train", *shares)
    }


def drop_overlap(parts, key):
    """Lists without the items whose key an item of an earlier list has.

    Args:
        parts: list of lists.
        key: function from an item to what tells it apart.

    Example:
        >>> test, train = drop_overlap([["một"], ["một", "hai"]], str)
    """
    seen, kept = set(), []
    for part in parts:
        kept.append([item for item in part if key(item) not in seen])
        seen |= set(map(key, part))
    return kept


def announce_split_column(name, settings, shares, found, faults):
    """Say which sides a split column leaves to the shares; one that trains nothing is a fault.

    Args:
        name: str, of the settings.
        settings: with `split_column`, and the data of each side.
        shares: dictionary by side, of what is held out otherwise.
        found: dictionary by side of a list of what was found.
        faults: list.
    """
    if not found["train"] and not faults:
        faults.append(f"{name}.split_column: no line says train in {settings.split_column!r}")
    for side in HELD_OUT:
        if not found[side] and shares[side] and not getattr(settings, f"{side}_data"):
            share = f"{shares[side]:.0%} of the training lines"
            print(f"{name}: no line says {side}: {share} are held out")


def _place(text, salt):
    """Where a text stands between 0 and 1."""
    digest = hashlib.blake2b((salt + text).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
