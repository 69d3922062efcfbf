"""On how many devices a step is computed: replicas of one process, or several processes."""

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
        ...     trainer.compile(optimizer=MuonAdamW(6e-3))
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


def processes(n, index, port, host="127.0.0.1"):
    """Make this process one of several that train one model together (JAX).

    Every process is given the same batches; each computes its share of the rows.

    Args:
        n: int, processes.
        index: int, which one this is, from 0.
        port: int, of the first process.
        host: str, where the first process runs.

    Example:
        >>> processes(2, index=0, port=12345)
    """
    keras.distribution.initialize(f"{host}:{port}", num_processes=n, process_id=index)
    keras.distribution.set_distribution(keras.distribution.DataParallel())


def _make_logical_processors(tf, n):
    (processor,) = tf.config.list_physical_devices("CPU")
    if tf.config.get_logical_device_configuration(processor) is None:
        tf.config.set_logical_device_configuration(
            processor, [tf.config.LogicalDeviceConfiguration()] * n
        )
