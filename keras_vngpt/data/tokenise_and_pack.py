"""Documents and conversations to packed rows, every cut counted."""

import itertools
import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from keras_vngpt.console import Progress
from keras_vngpt.data.dataset import PackedDataset
from keras_vngpt.data.packing import best_fit, concatenate_and_split, one_a_row
from keras_vngpt.errors import UserError

BATCH = 512  # conversations that are tokenised at once
BATCH_BYTES = 2**19  # text of documents that is


@dataclass
class Prepared:
    """Rows, and what became of the text on the way.

    Args:
        rows: `PackedDataset`.
        scored_bytes: int, UTF-8 bytes of the text that carries weight.
        cuts: dictionary of counts: requests and responses cut, turns and rows dropped.
        passes: int, how often each text is in the rows.
    """

    rows: PackedDataset
    scored_bytes: int
    cuts: dict = field(default_factory=dict)
    passes: int = 1


def prepare_documents(documents, preprocessor, packs=True):
    """Documents to rows: they flow from row to row, nothing is cut.

    Args:
        documents: list of str.
        preprocessor: a `VnGPTCausalLMPreprocessor`; its `sequence_length` is that of the rows.
        packs: bool, whether documents share rows.

    Returns:
        `Prepared`.
    """
    batches, size = [[]], 0
    for document in documents:
        if size > BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(document)
        size += len(document)
    batches = ((None, [[document] for document in batch]) for batch in batches)
    columns, sizes, _ = _end_to_end(batches, preprocessor, tf.int32.max // 2)
    n_bytes = sum(len(document.encode()) for document in documents)
    if not preprocessor.control_ids[0]:  # without [BOS] nothing predicts the first token
        first = columns["token_ids"][np.cumsum(sizes) - sizes]
        n_bytes -= sum(len(preprocessor.tokenizer.id_to_token(int(i))) for i in first)
    pack = concatenate_and_split if packs else one_a_row
    return Prepared(pack(columns, sizes, preprocessor.sequence_length), n_bytes)


def prepare_conversations(conversations, preprocessor, name="data", few_rows=1, packs=True):
    """Conversations to rows: they stay whole and are packed by best fit.

    What is too long for a row is cut as the preprocessor says. Of a small set several passes are
    packed together: the last row, which is never full, is then one of many.

    Args:
        conversations: list of `Conversation`.
        preprocessor: a `VnGPTCausalLMPreprocessor`; its `sequence_length` is that of the rows.
        name: what a message calls the conversations.
        few_rows: int, a set that fills fewer rows is packed in several passes.
        packs: bool, whether conversations share rows.

    Returns:
        `Prepared`.

    Raises:
        UserError: where no response is left.
    """
    length = preprocessor.sequence_length
    progress = Progress("tokenising", len(conversations), "conversations")

    def batches():
        for start in range(0, len(conversations), BATCH):
            batch = conversations[start : start + BATCH]
            yield [c.prompts for c in batch], [c.responses for c in batch]
            progress.add(len(batch))

    with progress:
        columns, sizes, cuts = _end_to_end(batches(), preprocessor, length)
    document = np.repeat(np.arange(len(sizes)), sizes)
    is_scored = np.bincount(document, columns["sample_weight"], minlength=len(sizes)) > 0
    cuts["rows dropped"] = int(np.sum(~is_scored))
    if not is_scored.any():
        raise UserError(f"{name}: no response is left to learn from")
    columns = {name: column[is_scored[document]] for name, column in columns.items()}
    sizes = sizes[is_scored]
    n_bytes = sum(len(text.encode()) for c in conversations for text in c.responses)
    passes = math.ceil(few_rows * length / sizes.sum()) if packs else 1
    pack = best_fit if packs else one_a_row
    return Prepared(pack(columns, sizes, length, passes), n_bytes, dict(cuts), passes)


def _end_to_end(batches, preprocessor, length):
    """The triples of all batches end to end, the positions of each document, and the cuts."""
    parts, sizes, cuts = [], [], Counter()
    for batch in batches:
        ids = (turns and tokenise(turns, preprocessor.tokenizer) for turns in batch)
        *columns, counts = preprocessor.triples(*ids, length)
        parts.append([column.flat_values.numpy() for column in columns])
        sizes.append(columns[0].row_lengths().numpy())
        cuts.update({name: int(count) for name, count in counts.items()})
    names = "token_ids", "target", "sample_weight"
    columns = {n: np.concatenate(c) for n, c in zip(names, zip(*parts, strict=True), strict=True)}
    return columns, np.concatenate(sizes), cuts


def tokenise(conversations, tokenizer):
    """Texts to ids.

    Args:
        conversations: list of lists of str, the turns of each.
        tokenizer: `VnGPTTokenizer`, or another of KerasHub.

    Returns:
        Ragged int tensor [conversations, (turns), (ids)].
    """
    texts = list(itertools.chain.from_iterable(conversations))
    if hasattr(tokenizer, "encode"):  # outside of a graph, faster
        ids = tokenizer.encode(texts)
        sizes = np.fromiter(map(len, ids), np.int64, len(ids))
        flat = np.fromiter(itertools.chain.from_iterable(ids), np.int32, sizes.sum())
        ids = tf.RaggedTensor.from_row_lengths(flat, sizes, validate=False)
    else:
        ids = tokenizer(texts)  # some of KerasHub's give lists, others a ragged tensor
        ids = ids.to_list() if isinstance(ids, tf.RaggedTensor) else ids
        ids = tf.ragged.constant(ids, tf.int32, ragged_rank=1)
    return tf.RaggedTensor.from_row_lengths(ids, np.array([len(turns) for turns in conversations]))
