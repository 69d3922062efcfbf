"""On how many devices of this machine a step is computed."""

import contextlib
import functools

import keras

from keras_vngpt.errors import UserError


def check_devices(n):
    """Refuse more devices than there are.

    Args:
        n: int.

    Raises:
        UserError: this machine has fewer.
    """
    if keras.config.backend() == "tensorflow" and n > len(_devices()):
        raise UserError(f"devices: this machine has {len(_devices())} of them. Received: {n}")


def replicas(n=1):
    """A context: what is built in it stands on several devices, which share each batch.

    Args:
        n: int, devices.

    Example:
        >>> with replicas(2):
        ...     trainer = Trainer(model)
        ...     trainer.compile(optimizer=Muon(6e-3))
    """
    if keras.config.backend() != "tensorflow" or n == 1:
        return contextlib.nullcontext()
    return _strategy(n).scope()


@functools.cache  # model and optimizer must stand on the same one
def _strategy(n):
    import tensorflow as tf

    return tf.distribute.MirroredStrategy([device.name for device in _devices()[:n]])


def _devices():
    """The GPUs; without any, the processor (or what a test made of it)."""
    import tensorflow as tf

    return tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")


def sum_over_replicas(tensors):
    """Tensors that each replica has its own of, added up; as they are where there is one."""
    if keras.config.backend() != "tensorflow":
        return tensors
    import tensorflow as tf

    tensors = [tf.convert_to_tensor(x) for x in tensors]  # gradients of embeddings may be sparse
    context = tf.distribute.get_replica_context()
    is_one = context is None or context.num_replicas_in_sync == 1
    return tensors if is_one else context.all_reduce("SUM", tensors)
