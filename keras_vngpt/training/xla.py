"""Element-wise work compiled into one loop, where TensorFlow would run each operation by itself."""

from functools import cache

import keras


@cache
def fused(function):
    """A function of element-wise operations and sums, compiled by itself.

    XLA's matrix products are slower than TensorFlow's on processors, but of everything between two
    products it makes one loop, which goes through memory once. The other backends compile the whole
    step, and get the function as it is.

    Args:
        function: of a module, for it is compiled once and kept; it closes over no tensors. Numbers
            of Python among its arguments are compiled in.

    Returns:
        A function with the same arguments and results.

    Example:
        >>> loss = chunked_cross_entropy(hidden, embeddings, target, weight, fuse=fused)
    """
    if keras.config.backend() != "tensorflow":
        return function
    import tensorflow as tf

    compiled = tf.function(function, jit_compile=True, autograph=False)

    def of_tensors(*arguments):
        return compiled(*keras.tree.map_structure(_value, arguments))

    def _value(x):
        """What a variable holds; it cannot be an argument itself."""
        return tf.convert_to_tensor(x) if isinstance(x, keras.Variable) else x

    return of_tensors
