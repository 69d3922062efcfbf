"""On how many devices of this machine a step is computed."""

import contextlib

import keras


@contextlib.contextmanager
def replicas(n=None):
    """What is built in here stands on several devices of this process, which share each batch.

    On TensorFlow these are GPUs, or logical processors where there are not enough of them; other
    backends see all devices of a process anyway.

    Args:
        n: int, devices; by default all GPUs.

    Example:
        >>> with replicas():
        ...     trainer = Trainer(model)
        ...     trainer.compile(optimizer=Muon(6e-3))
    """
    if keras.config.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    n = n or max(1, len(gpus))
    if n == 1:
        yield
        return
    kind = "GPU" if len(gpus) >= n else "CPU"
    if kind == "CPU":
        _make_logical_processors(tf, n)
    with tf.distribute.MirroredStrategy([f"{kind}:{i}" for i in range(n)]).scope():
        yield


def sum_over_replicas(tensors):
    """Tensors that each replica has its own of, added up; as they are where there is one."""
    if keras.config.backend() != "tensorflow":
        return tensors
    import tensorflow as tf

    tensors = [tf.convert_to_tensor(x) for x in tensors]  # gradients of embeddings may be sparse
    context = tf.distribute.get_replica_context()
    is_one = context is None or context.num_replicas_in_sync == 1
    return tensors if is_one else context.all_reduce("SUM", tensors)


def _make_logical_processors(tf, n):
    (processor,) = tf.config.list_physical_devices("CPU")
    if tf.config.get_logical_device_configuration(processor) is None:
        tf.config.set_logical_device_configuration(
            processor, [tf.config.LogicalDeviceConfiguration()] * n
        )
