"""What makes one kind of training differ from another: the base of all tasks and their settings.

Importing this needs no TensorFlow: `--help` reads the settings.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from keras_vngpt.config import settings

Count = Annotated[int, Field(ge=1, le=10**12)]
Size = Annotated[int, Field(ge=1, le=2**16)]
Length = Annotated[int, Field(ge=8, le=2**16)]
Share = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]

PREVIEWED = 200  # documents or requests, from which the rows of a preview are packed


@settings
class TaskSettings:
    """What every kind of training has."""

    patience, eos_weight, soft_targets = 0, 1.0, 0.0  # settings of the tasks that name them

    validation_data: list[str] = field(default_factory=list)
    """data to validate on, instead of a share of `data`"""
    sequence_length: Length = 128
    """positions in a row"""
    batch_size: Size = 16
    """rows in a step"""
    gradient_accumulation_steps: Size = 1
    """parts that a step is computed in, one after the other, to save memory; the result is the
    same"""
    gradient_checkpointing: bool = False
    """compute activations again in the backward pass instead of keeping them, to save memory
    (modern)"""
    epochs: Positive = 1
    """passes over the rows; a part of a pass is fine"""
    tokens: Count | None = None
    """stop after this many tokens instead of after `epochs`"""
    evaluations: Size = 5
    """times to validate and answer the sample prompts; an epoch of the progress bar"""
    checkpoint_minutes: NotNegative = 1.0
    """save the state of training this often; less often where that took over 2% of the time"""
    optimizer: Literal["muon", "adamw"] = "muon"
    """muon takes the hidden matrices, with AdamW for the rest; adamw takes all"""
    learning_rate: Positive = 6e-3
    """at the end of the warm-up"""
    warmup: Share = 0.01
    """share of the steps over which the learning rate rises"""
    final_learning_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """what it falls to, linearly, as a share of `learning_rate`"""
    weight_decay: NotNegative = 0.01
    """decoupled, on the matrices"""
    dropout: Share = 0.0
    """share of the activations dropped in training"""
    clip_norm: NotNegative = 1.0
    """largest norm of all gradients together; 0 for no limit"""
    jit_compile: Literal["auto", "true", "false"] = "auto"
    """compile all of the training step with XLA, not parts alone; auto picks what was measured to
    be faster"""
    validation_share: Share = 0.1
    """share of the data to validate on, picked by the hash of its text"""
    test_share: Share = 0.1
    """share of the data for the final figures, picked by the hash of its text"""
    split_column: str | None = None
    """a column of train, validation and test, that splits the data instead of the shares"""
    prompts: list[str] | None = None
    """what the model is asked at each evaluation; by default some of the data"""


class Task(ABC):
    """One kind of training.

    A task reads its data, packs it into rows, and says what is learned from them. The training
    loop, the run folder and the report know tasks by what stands here and nothing else.

    Attributes:
        name: str, of its settings, its folder in a run, and its figures ("name.figure").
        title: str, as people read it.
        prompt_format: "text" where the model continues texts, "request" where it answers.
        sample_tokens: int, the longest sample at an evaluation; `None` for no limit.
        steps: pair of ints, the least and the most where no setting says how many passes; but for
            the most, three passes are not too many.
        counts: str, what the data is counted in: "documents" or "requests".
        loss: static method `(head, hidden, target, weight, columns)` to a float32 scalar, a sum
            over a batch whose weights add up to 1; `columns` is every other column of the rows.
            `None` for the cross-entropy of the targets.
    """

    name = title = ""
    prompt_format = "text"
    sample_tokens = None
    steps = 0, math.inf
    counts = "documents"
    loss = None

    @abstractmethod
    def read(self, settings, faults):
        """Everything that the user's files hold for this task.

        Args:
            settings: `TaskSettings` of this task.
            faults: list that gets a line for everything that is wrong.

        Returns:
            An object with `texts` (list of str, to train a tokenizer on), `prompts` (list of str,
            that are not trained on), `test` (list of `Conversation`), `system` (str, the text
            before requests), `turns` (int, how long conversations are) and `tokenizer` (Path of
            the one that the data is bound to, or `None`).
        """

    @abstractmethod
    def pack(self, found, preprocessor, settings, store, context):
        """Tokenise and pack what `read` found, unless it is in the store already.

        Args:
            found: from `read`.
            preprocessor: makes triples.
            settings: `TaskSettings` of this task.
            store: Path, a folder of prepared data.
            context: `keras_vngpt.data.prepared_rows.Context`.

        Returns:
            Path of a folder in the store, with a `PackedDataset` a side and `figures.json`.
        """

    @abstractmethod
    def first_rows(self, found, preprocessor, settings, context):
        """A `PackedDataset` of the first `PREVIEWED` items, to look at; arguments as for `pack`."""

    def rank(self, figures):
        """How good a model is, as a tuple: of two evaluations the lower one is better.

        Args:
            figures: dictionary of an evaluation, with `val_loss` and `val_right`, the share of
                responses that are right as a whole.
        """
        return (figures["val_loss"],)
