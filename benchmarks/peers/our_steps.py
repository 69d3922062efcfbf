"""A worker: training steps of keras_vngpt, whenever told to.

    python our_steps.py --preset tiny --rows 16 --length 128

`steps N` trains for N steps, `pipeline N` does so and tells how long it waited for rows, `gemm`
measures matrix products; each answers in JSON. All that the benchmarks of the speed know about the
engine stands in `make_training`. Runs without TensorFlow under KERAS_BACKEND=jax.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the package does; Keras comes first here

import keras
import numpy as np

sys.path.append(str(Path(__file__).parent.parent))
from products import best_rate, shapes
from workers import serve, timed

N_ROWS = 4096  # of the pipeline, when no folder is given


def make_training(preset, decoder, optimizer, dtype, xla, length):
    """A model, ready to train.

    Returns:
        `(model, sizes, fit, step)`: `fit(batches, steps)` trains on a tf.data set or a
        generator, as `fit` of the package does, `step(batch)` on one batch and waits for it.
    """
    from keras_vngpt.models.backbone import VnGPTBackbone
    from keras_vngpt.models.causal_lm import VnGPTCausalLM
    from keras_vngpt.models.sizes import PRESETS
    from keras_vngpt.tasks.finetune import FinetuneSettings
    from keras_vngpt.training.optimizers import make_optimizer
    from keras_vngpt.training.trainer import Trainer

    sizes = PRESETS[preset]
    model = VnGPTCausalLM(
        VnGPTBackbone(**sizes, decoder=decoder, max_sequence_length=length, dtype=dtype)
    )
    trainer = Trainer(model)
    settings = FinetuneSettings(optimizer=optimizer, learning_rate=1e-3)
    trainer.compile(make_optimizer(settings, total_steps=100_000), jit_compile=xla)

    def fit(batches, steps):
        trainer.fit(batches, steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False)

    return model, sizes, fit, lambda batch: trainer.train_on_batch(*batch)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--decoder", choices=("modern", "classic"), default="modern")
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="adamw")
    parser.add_argument("--dtype", default="float32", help="or mixed_bfloat16, mixed_float16")
    parser.add_argument("--xla", action="store_true", help="compile the step with XLA")
    parser.add_argument("--rows", type=int, default=16, help="in a step")
    parser.add_argument("--length", type=int, default=128, help="positions in a row")
    parser.add_argument("--data", help="folder with packed rows; by default random ones")
    parser.add_argument("--threads", type=int, help="by default as TensorFlow chooses")
    given = parser.parse_args()

    if given.threads and is_tensorflow():
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    keras.utils.set_random_seed(0)
    model, sizes, fit, step = make_training(
        given.preset, given.decoder, given.optimizer, given.dtype, given.xla, given.length
    )
    batch = make_batch(sizes, given.rows, given.length)
    if is_tensorflow():
        import tensorflow as tf

        options = tf.data.Options()
        options.autotune.enabled = False  # as in the package: its thread holds up the end of fit
        same = tf.data.Dataset.from_tensors(batch).repeat().with_options(options)
        steps_done = 0

        def pipeline(steps):
            """Real rows through the real pipeline, and the time that the steps waited for them."""
            nonlocal steps_done
            batches = iter(real_batches(given, sizes, steps_done, steps_done + steps + 1))
            steps_done += steps + 1
            step(next(batches))  # the first row waits for the files to be opened
            waited, begin = 0.0, time.perf_counter()
            for _ in range(steps):
                asked = time.perf_counter()
                rows = next(batches)
                waited += time.perf_counter() - asked
                step(rows)
            return {"waited": waited, "seconds": time.perf_counter() - begin}

    else:

        def forever():
            while True:
                yield batch

        same, pipeline = forever(), None

    def memory():
        if keras.config.backend() == "jax":
            import jax

            if statistics := jax.devices()[0].memory_stats():
                return statistics["peak_bytes_in_use"]
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def gemm():
        dtype = model.backbone.compute_dtype

        def product(m, k, n):
            a, b = keras.ops.ones((m, k), dtype), keras.ops.ones((k, n), dtype)

            def multiply(times):
                for _ in range(times):
                    c = keras.ops.matmul(a, b)
                float(keras.ops.convert_to_numpy(keras.ops.cast(c[0, 0], "float32")))

            return multiply

        return {"rate": best_rate(product, shapes(sizes, given.rows * given.length))}

    begin = time.perf_counter()
    fit(same, 3)
    facts = {
        "parameters": model.count_params(),
        "compilation_seconds": time.perf_counter() - begin,
        "sizes": sizes,
        "backend": keras.config.backend(),
    }
    serve(
        facts,
        {
            "steps": lambda n: timed(lambda: fit(same, n)) | {"memory": memory()},
            "pipeline": pipeline,
            "gemm": gemm,
        },
    )


def is_tensorflow():
    return keras.config.backend() == "tensorflow"


def make_batch(sizes, rows, length):
    """A triple of random tokens, two documents a row."""
    ids = np.random.default_rng(0).integers(5, sizes["vocabulary_size"], (rows, length), "int32")
    segments = np.broadcast_to(1 + (np.arange(length) >= length // 2), ids.shape).astype("int32")
    x = {"token_ids": ids, "padding_mask": segments}
    return x, ids, np.ones(ids.shape, "float32")


def real_batches(given, sizes, start, stop):
    """Batches of the package's own pipeline, from rows on disk."""
    from keras_vngpt.data.dataset import TRIPLE, PackedDataset
    from keras_vngpt.data.pipeline import training_batches

    if given.data:
        return training_batches(PackedDataset.load(given.data), given.rows, 0, start, stop)
    with tempfile.TemporaryDirectory() as folder:  # a mapped file outlives its name
        x, target, weight = make_batch(sizes, N_ROWS, given.length)
        columns = x["token_ids"], x["padding_mask"], target, weight
        PackedDataset(dict(zip(TRIPLE, columns, strict=True))).save(f"{folder}/rows")
        return training_batches(PackedDataset.load(f"{folder}/rows"), given.rows, 0, start, stop)


if __name__ == "__main__":
    main()
