"""How fast matrix products run at the shapes of a model, in any library."""

import time

SECONDS = 0.3  # for each shape


def shapes(sizes, tokens):
    """`(m, k, n)` of the products of a step: the projections, the feed-forward part, the head."""
    width, inner = sizes["hidden_dim"], sizes["intermediate_dim"]
    return [
        (tokens, width, width),
        (tokens, width, inner),
        (tokens, inner, width),
        (tokens, width, sizes["vocabulary_size"]),
    ]


def best_rate(product, shapes):
    """Operations a second of the fastest shape.

    Args:
        product: function from `m, k, n` to a function that multiplies so many times and returns
            when it is done.
        shapes: list of `(m, k, n)`.
    """
    rates = []
    for m, k, n in shapes:
        multiply = product(m, k, n)
        multiply(2)
        begin, times, done = time.perf_counter(), 1, 0
        while time.perf_counter() - begin < SECONDS:
            multiply(times)
            done += times
            times *= 2
        rates.append(2 * m * k * n * done / (time.perf_counter() - begin))
    return max(rates)
