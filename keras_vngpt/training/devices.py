"""On how many devices of this machine a step is computed."""

import contextlib
import functools

import keras

from keras_vngpt.errors import UserError


def make_devices(n):
    """Have as many devices as a run asks for; called before TensorFlow does anything.

    On TensorFlow these are GPUs, or logical processors where there are not enough of them.

    Args:
        n: int.

    Raises:
        UserError: TensorFlow has done something already.
    """
    if keras.config.backend() != "tensorflow" or n == 1:
        return
    import tensorflow as tf

    (processor, *_) = tf.config.list_physical_devices("CPU")
    if gpus := tf.config.list_physical_devices("GPU"):
        if len(gpus) < n:
            raise UserError(f"devices: this machine has {len(gpus)} GPUs. Received: {n}")
        return
    logical = [tf.config.LogicalDeviceConfiguration()] * n
    given = tf.config.get_logical_device_configuration(processor)
    if given is None or len(given) != n:
        try:
            tf.config.set_logical_device_configuration(processor, logical)
        except RuntimeError:
            raise UserError(
                f"devices: {n} logical processors must be made before anything else. Use a new "
                "process, or restart the notebook"
            ) from None


def replicas(n=1):
    """A context: what is built in it stands on several devices, which share each batch.

    Args:
        n: int, devices, after `make_devices`.

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

    kind = "GPU" if len(tf.config.list_physical_devices("GPU")) >= n else "CPU"
    return tf.distribute.MirroredStrategy([f"{kind}:{i}" for i in range(n)])


def sum_over_replicas(tensors):
    """Tensors that each replica has its own of, added up; as they are where there is one."""
    if keras.config.backend() != "tensorflow":
        return tensors
    import tensorflow as tf

    tensors = [tf.convert_to_tensor(x) for x in tensors]  # gradients of embeddings may be sparse
    context = tf.distribute.get_replica_context()
    is_one = context is None or context.num_replicas_in_sync == 1
    return tensors if is_one else context.all_reduce("SUM", tensors)
