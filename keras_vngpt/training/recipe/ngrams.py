"""A trigram model of the text: what follows one token or two elsewhere in it, for soft targets."""

from dataclasses import dataclass

import numpy as np
from keras import ops

DISCOUNT = 0.75  # of each count, for what was not seen
AFTER_ONE, AFTER_TWO = 128, 32  # likeliest successors that have a part of a target
FEWEST = 2  # times that two tokens stand together to be a context


class NGrams:
    """A trigram model: what is likely after the last two tokens, by interpolated discounting.

    `p(w | u v) = max(n(u v w) - 0.75, 0) / n(u v) + rest(u v) p(w | v)`, where `rest` is what the
    discounts left; the same of `p(w | v)`. A pair that was seen once is no context. One token has
    its 128 likeliest successors, two have 32; what the others would have is left out.

    Args:
        token_ids: int array [rows, length], of the text to count.
        segment_ids: int array [rows, length], the document of each position, 0 for padding;
            nothing is counted across documents.
        vocabulary_size: int.

    Example:
        >>> ngrams = NGrams(rows.token_ids, rows.segment_ids, 8192)
        >>> ids, shares = ngrams.successors(token_ids, segment_ids)

    References:
        - [Chen and Goodman, 1999](https://doi.org/10.1006/csla.1999.0128), section 2.7: absolute
          discounting.
    """

    def __init__(self, token_ids, segment_ids, vocabulary_size):
        token_ids, segment_ids = np.asarray(token_ids), np.asarray(segment_ids)
        follows = (segment_ids[:, :-1] == segment_ids[:, 1:]) & (segment_ids[:, 1:] > 0)
        token_ids = token_ids.astype(np.int64)
        token, successor = token_ids[:, :-1][follows], token_ids[:, 1:][follows]
        size = vocabulary_size
        self.after_one = _Successors.count(token, successor, size, size, AFTER_ONE)

        both = follows[:, :-1] & follows[:, 1:]
        before, token, successor = (
            token_ids[:, i : token_ids.shape[1] - 2 + i][both] for i in range(3)
        )
        pair = token * size + before  # those of a token stand side by side
        pairs, n = np.unique(pair, return_counts=True)
        pairs = pairs[n >= FEWEST]
        number = np.searchsorted(pairs, pair)
        is_context = np.append(pairs, -1)[number] == pair
        self.after_two = _Successors.count(
            number[is_context], successor[is_context], len(pairs), size, AFTER_TWO
        )
        first = np.searchsorted(pairs, np.arange(size + 1) * size)
        self.first_pair = ops.convert_to_tensor(first, "int32")
        before = np.append(pairs, 0) % size  # never empty
        self.before = ops.convert_to_tensor(before, "int32")
        self.halvings = int(np.diff(first).max(initial=0)).bit_length()

    def successors(self, token_ids, segment_ids):
        """What is likely after each position.

        Args:
            token_ids: int tensor [rows, length].
            segment_ids: int tensor [rows, length].

        Returns:
            `(ids, shares)`, int32 and float32 tensors [rows * length, 160]: tokens, of which some
            are there twice, and how likely they are; those of a position add up to less than 1.
        """
        token_ids, segment_ids = (ops.cast(x, "int32") for x in (token_ids, segment_ids))
        before = ops.pad(token_ids[:, :-1], [[0, 0], [1, 0]])
        is_same = ops.equal(ops.pad(segment_ids[:, :-1], [[0, 0], [1, 0]]), segment_ids)
        token_ids, before, is_same = (ops.reshape(x, (-1,)) for x in (token_ids, before, is_same))
        pair, is_pair = self._pair(before, token_ids)
        is_pair = ops.logical_and(is_pair, is_same)
        ids_of_two, shares_of_two, rest = self.after_two.of(pair, is_pair)
        ids_of_one, shares_of_one, _ = self.after_one.of(token_ids, ops.greater_equal(token_ids, 0))
        ids = ops.concatenate([ids_of_two, ids_of_one], axis=1)
        return ids, ops.concatenate([shares_of_two, rest[:, None] * shares_of_one], axis=1)

    def _pair(self, before, token_ids):
        """The number of each pair, and whether there is one: by halving, for all at once."""
        low, end = (ops.take(self.first_pair, token_ids + i) for i in (0, 1))
        high, last = end, self.before.shape[0] - 1
        for _ in range(self.halvings):
            middle = (low + high) // 2
            is_below = ops.less(ops.take(self.before, ops.minimum(middle, last)), before)
            is_below = ops.logical_and(is_below, ops.less(low, high))
            low, high = ops.where(is_below, middle + 1, low), ops.where(is_below, high, middle)
        is_found = ops.equal(ops.take(self.before, ops.minimum(low, last)), before)
        return low, ops.logical_and(is_found, ops.less(low, end))


@dataclass(frozen=True)
class _Successors:
    """The likeliest successors of each context, one context after another.

    Args:
        first: int32 tensor [contexts + 1], where those of a context begin.
        ids: int32 tensor [successors].
        shares: float32 tensor [successors].
        rest: float32 tensor [contexts], what is left for the shorter context.
        most: int, that a context has.
    """

    first: object
    ids: object
    shares: object
    rest: object
    most: int

    @classmethod
    def count(cls, context, successor, n_contexts, vocabulary_size, most):
        """The successors of what stands in two int64 arrays [positions]."""
        both, n = np.unique(context * vocabulary_size + successor, return_counts=True)
        context, successor = np.divmod(both, vocabulary_size)
        total = np.maximum(np.bincount(context, weights=n, minlength=n_contexts), 1)
        rest = np.bincount(context, minlength=n_contexts) * DISCOUNT / total
        order = np.lexsort((-n, context))
        context, successor, n = context[order], successor[order], n[order]
        first = np.searchsorted(context, np.arange(n_contexts))
        is_kept = np.arange(len(context)) - first[context] < most
        context, successor, n = context[is_kept], successor[is_kept], n[is_kept]
        arrays = {
            # One context and one successor more, which nothing has: no tensor is empty.
            "first": np.searchsorted(context, np.arange(n_contexts + 2)).astype("int32"),
            "ids": np.append(successor, 0).astype("int32"),
            "shares": np.append((n - DISCOUNT) / total[context], 0).astype("float32"),
            "rest": np.append(rest, 1).astype("float32"),
        }
        tensors = {name: ops.convert_to_tensor(array) for name, array in arrays.items()}
        return cls(**tensors, most=most)

    def of(self, context, is_there):
        """Successors, shares and rest of some contexts [positions], where they are there."""
        context = ops.where(is_there, context, 0)
        first, end = (ops.take(self.first, context + i) for i in (0, 1))
        place = first[:, None] + ops.arange(self.most)
        is_one = ops.logical_and(place < end[:, None], is_there[:, None])
        place = ops.where(is_one, place, 0)
        shares = ops.where(is_one, ops.take(self.shares, place), 0.0)
        rest = ops.where(is_there, ops.take(self.rest, context), 1.0)
        return ops.take(self.ids, place), shares, rest
