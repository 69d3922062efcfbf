"""How much memory a step of training will take, and how much there is."""

import resource
import subprocess
from pathlib import Path

import keras
import numpy as np

from keras_vngpt.errors import UserError
from keras_vngpt.models.backbone import VnGPTBackbone
from keras_vngpt.models.cross_entropy import positions_at_once

# Measured on CPU: what is kept of a layer for the way back, in values for each position.
OF_WIDTH, OF_INTERMEDIATE, OF_SCORES = 14, 5, 2
OF_WIDTH_RECOMPUTED = 3  # of a layer that is made again on the way back
RUNTIME = 170e6  # bytes: the graph, the threads


def check_memory(task, model, plan):
    """Refuse a step that does not fit into memory, before the first one is tried.

    Args:
        task: str, for the message.
        model: a KerasHub `CausalLM`; only of one on a `VnGPTBackbone` it is known what it takes.
        plan: `Plan`.

    Raises:
        UserError: it does not fit; the line names the settings to lower.
    """
    if not isinstance(model.backbone, VnGPTBackbone):
        return
    free = available_bytes()
    rows = plan.batch_size // plan.parts
    fixed, needed = (step_bytes(model, n, plan.length) for n in (0, rows))
    if free is None or needed <= free:
        return
    fits = int((free - fixed) / (needed - fixed) * rows)
    raise UserError(
        f"{task}: a step needs about {needed / 1e9:,.1f} GB of memory, {free / 1e9:,.1f} GB are "
        f"free. Go on with --{task}.gradient_checkpointing true or "
        f"--{task}.gradient_accumulation_steps 2 or more, which change nothing else, "
        f"or make a run with a lower {task}.batch_size ({plan.batch_size}"
        + (f"; {fits} rows at once would fit" if fits > 0 else "")
        + f"), {task}.sequence_length ({plan.length}) or model"
    )


def step_bytes(model, batch_size, length):
    """What a step takes beside the weights: gradients, moments, activations, logits.

    Args:
        model: a KerasHub `CausalLM` on a `VnGPTBackbone`.
        batch_size: int, rows.
        length: int, positions in a row.

    Returns:
        float, bytes; measured peaks were within a factor of 1.3.
    """
    size = model.backbone
    # TensorFlow's CPU kernels keep about as much in float32 where computations are in less.
    item = np.dtype(size.compute_dtype).itemsize if _has_gpu() else 4
    of_layer = (
        OF_WIDTH * size.hidden_dim
        + OF_INTERMEDIATE * size.intermediate_dim
        + OF_SCORES * size.num_heads * length
    )
    of_position = size.num_layers * of_layer
    if size.gradient_checkpointing and size.decoder == "modern":  # one layer at a time
        of_position = of_layer + size.num_layers * OF_WIDTH_RECOMPUTED * size.hidden_dim
    weights = sum(4 * int(np.prod(v.shape)) for v in model.trainable_variables)
    # And what becomes of them on the way to the gradient.
    logits = 4 * 4 * positions_at_once(size.vocabulary_size) * size.vocabulary_size
    # Gradients and updates, and two moments.
    return 4 * weights + item * of_position * batch_size * length + logits + RUNTIME


def available_bytes():
    """Memory that this process can still get, or that its GPU has; `None` if unknown."""
    if _has_gpu():
        return _gpu_bytes()
    bounds = [_system_bytes(), _control_group_bytes(), _address_bytes()]
    return min((b for b in bounds if b is not None), default=None)


def _has_gpu():
    return any(device.startswith("gpu") for device in keras.distribution.list_devices())


def _gpu_bytes():
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, check=True).stdout
        return float(said.split("\n")[0]) * 2**20
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


def _system_bytes():
    return _numbers("/proc/meminfo", 1024).get("MemAvailable:")


def _control_group_bytes():
    """What a container leaves; the files that it holds in memory can go."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((folder / f"memory.{n}").read_text()) for n in ("max", "current"))
    except (OSError, ValueError):  # no container, or no limit
        return None
    return limit - used + _numbers(folder / "memory.stat").get("inactive_file", 0)


def _address_bytes():
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    return limit - _numbers("/proc/self/status", 1024).get("VmSize:", 0)


def _numbers(path, unit=1):
    """The lines "name number" of a file of the system."""
    try:
        lines = [line.split() for line in Path(path).read_text().splitlines()]
    except OSError:
        return {}
    return {line[0]: int(line[1]) * unit for line in lines if len(line) > 1 and line[1].isdigit()}
