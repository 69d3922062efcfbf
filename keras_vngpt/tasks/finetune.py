"""Fine-tuning: the model learns to answer requests; only the responses are scored."""

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from keras_vngpt.config import settings
from keras_vngpt.data.cache_keys import fingerprint
from keras_vngpt.data.find_requests import SAMPLES, find_requests
from keras_vngpt.data.packing import fill_with_replay
from keras_vngpt.data.prepared_rows import is_complete, write_figures
from keras_vngpt.files import atomic_write
from keras_vngpt.tasks.rephrased import with_rephrasings
from keras_vngpt.tasks.task import PREVIEWED, Positive, Share, Task, TaskSettings

FULL, REPLAY = 0.95, 0.1  # rows that are less full get text of this weight
REPHRASED_EPOCHS = 1
FEW_ROWS = 64  # of fewer, the last one, which is never full, would show


@settings
class FinetuneSettings(TaskSettings):
    data: list[str] = field(default_factory=lambda: list(SAMPLES))
    """JSONL, CSV, TSV or Parquet files, folders, globs or tfds:NAME, of requests and responses"""
    request_column: str | None = None
    """the name of the request in them, instead of request or prompt"""
    response_column: str | None = None
    """the name of the response in them, instead of response or completion"""
    encoding: Literal["say", "fix", "off"] = "say"
    """requests in TCVN3, VNI or VIQR, or in UTF-8 that was read as another encoding: say is a fault
    that names it, fix mends them, off learns them as they are"""
    keep_html: bool = False
    """learn tags and entities of HTML in requests and responses as they stand, not without them"""
    test_data: list[str] | None = None
    """requests for the final figures; with the samples' `data` the samples' own, else a share"""
    free_test_data: list[str] | None = None
    """JSONL files of requests in free words, each with a regular expression that accepts the right
    answers; with the samples' `data` the samples' own"""
    epochs: Positive | None = None
    """passes over the rows; a part of a pass is fine; by default 20, or 1 where requests are
    rephrased, fewer (but 3) where those would be more than 3,600 steps, and 150 steps at least"""
    validation_share: Share | None = None
    """share of the data to validate on, picked by the hash of its text; by default 0.1, or 0 for
    single facts: up to 1,000 requests that have answers of their own, and no share that is set.
    These are validated and tested on rephrasings"""
    test_share: Share | None = None
    """share of the data for the final figures, likewise"""
    rephrasings: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """other phrasings of each request that are learned too, made by the rules of `augment`; by
    default 40,000 for all single facts together, and none for other sets"""
    unanswerable: Share | None = None
    """share of the requests that nothing in the data answers and that are answered by `refusal`:
    of many worlds, made from lines that ship; by default 0.25 beside single facts, else 0"""
    refusal: Annotated[str, Field(min_length=1)] = "Xin lỗi, tôi chưa biết điều này."
    """the answer to an unanswerable request"""
    patience: Annotated[int, Field(ge=0)] = 3
    """stop after this many evaluations that are no better; 0 never stops"""
    replay: Annotated[float, Field(ge=0, le=1)] | None = None
    """weight of the pre-training text that fills what is left of the rows, so that less of it is
    forgotten; 0 leaves them empty; by default 0.1 where they would be less than 95% full"""
    eos_weight: Annotated[float, Field(ge=0, le=1)] = 1.0
    """weight of the end-of-answer token in the loss"""


class Finetune(Task):
    """Requests with their responses, whole, packed by best fit."""

    name = "finetune"
    title = "Fine-tuning"
    prompt_format = "request"
    steps = 150, 3600  # in fewer, 70 questions and answers are half learned
    counts = "requests"

    def read(self, settings, faults):
        found = find_requests(self, settings, faults)
        if faults:
            return found
        if found.are_facts:
            print(
                f"{self.name}: single facts: what is held out of them is never learned. So all are "
                "learned, and validation and test are on rephrasings of them"
            )
        found = with_rephrasings(found, settings)
        if not found.sides["validation"]:
            is_wanted = settings.validation_share != 0
            why = "too few requests to hold one out" if is_wanted else "none is held out"
            print(f"{self.name}: {why}: validation is on what is trained")
            found.sides["validation"] = found.sides["train"]
        return found

    def pack(self, found, preprocessor, settings, store, context):
        from keras_vngpt.data.tokenise_and_pack import prepare_conversations

        sides = {side: found.sides[side] for side in ("train", "validation")}
        name = fingerprint(
            {side: [(c.prompts, c.responses) for c in sides[side]] for side in sides},
            [settings.sequence_length, settings.eos_weight, context.packs],
            [settings.replay, context.text_name],
            context.tokenizer,
        )
        folder = store / f"{self.name}-{name}"
        if is_complete(folder):
            return folder
        print(f"{self.name}: tokenising and packing")
        scored = {}
        with atomic_write(folder) as partial:
            for side, conversations in sides.items():
                is_train = side == "train"
                prepared = prepare_conversations(
                    conversations,
                    preprocessor,
                    f"{self.name}.data ({side} part)",
                    FEW_ROWS if is_train else 1,
                    context.packs,
                )
                rows = prepared.rows
                if is_train:
                    rows = self.with_replay(rows, settings, preprocessor, context)
                    more = {**prepared.cuts, "passes": prepared.passes}
                    if found.before:  # a pass has each request in many phrasings
                        more["default_epochs"] = REPHRASED_EPOCHS
                rows.save(partial / side)
                scored[side] = {
                    "bytes": prepared.scored_bytes,
                    "weight": rows.weight,
                    "tokens": rows.tokens,
                }
            write_figures(partial, self.counts, len(sides["train"]), scored, more)
        return folder

    def with_replay(self, rows, settings, preprocessor, context):
        """Rows of requests with text in their gaps, where the settings want it."""
        is_full = settings.replay is None and rows.fill >= FULL
        if context.text is None or not context.packs or settings.replay == 0 or is_full:
            return rows
        start = preprocessor.tokenizer.start_token_id
        return fill_with_replay(rows, context.text, settings.replay or REPLAY, start)

    def first_rows(self, found, preprocessor, settings, context):
        from keras_vngpt.data.tokenise_and_pack import prepare_conversations

        few = found.sides["train"][:PREVIEWED]
        rows = prepare_conversations(few, preprocessor, packs=context.packs).rows
        return self.with_replay(rows, settings, preprocessor, context)

    def rank(self, figures):
        """The most responses right, and among equals the lowest loss.

        Late in fine-tuning the loss rises by a few confident mistakes while ever more answers are
        right.
        """
        return -figures["val_right"], figures["val_loss"]
