"""Where in the user's files the rows of a batch come from: looked up when something is wrong."""

import unicodedata

import numpy as np
import tensorflow as tf

from keras_vngpt.data.readers import (
    Columns,
    find_documents,
    read_conversations,
    stream_documents,
)

BATCH = 512  # conversations that are tokenised at once
SHOWN = 4  # places in a message
EXCERPT = 40  # characters of a text


def origins(stage, settings, preprocessor, token_ids, segment_ids):
    """The places of the documents in some rows, as a phrase.

    Rows do not know where they come from; here their text is looked up in the files again.

    Args:
        stage: "pretrain" or "finetune".
        settings: `FitSettings`.
        preprocessor: the `VnGPTCausalLMPreprocessor` that made the rows.
        token_ids: int array [rows, length].
        segment_ids: int array [rows, length].

    Returns:
        str: "a.jsonl:3, a.jsonl:17", or 'a.txt ("Sáng nay trời")' for text.
    """
    documents = [
        tuple(row[segments == n].tolist())
        for row, segments in zip(np.array(token_ids), np.array(segment_ids), strict=True)
        for n in range(1, segments.max() + 1)
    ]
    find = _of_texts if stage == "pretrain" else _of_conversations
    try:
        places = list(dict.fromkeys(find(settings, preprocessor, documents)))
    except Exception:  # noqa: BLE001  the fault that is being told must not be hidden by another
        places = []
    if not places:
        return "its rows are no longer found in the files"
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return f"its rows come from {', '.join(places[:SHOWN])}{more}"


def _of_conversations(settings, preprocessor, documents):
    stage = settings.finetune
    columns = Columns(request=stage.request_column, response=stage.response_column)
    conversations = read_conversations(stage.data, columns)
    for start in range(0, len(conversations), BATCH):
        batch = conversations[start : start + BATCH]
        texts = {
            "prompts": tf.ragged.constant([c.prompts for c in batch]),
            "responses": tf.ragged.constant([c.responses for c in batch]),
        }
        token_ids, *_ = preprocessor.documents(texts, preprocessor.sequence_length)
        for conversation, ids in zip(batch, token_ids.to_list(), strict=True):
            if tuple(ids) in documents:
                yield conversation.source


def _of_texts(settings, preprocessor, documents):
    tokenizer = preprocessor.tokenizer
    texts = tokenizer.detokenize(
        [[i for i in ids if i > tokenizer.end_token_id] for ids in documents]
    )
    wanted = {plain(text)[:EXCERPT]: text for text in texts if len(plain(text)) > EXCERPT // 2}
    stage = settings.pretrain
    for source in find_documents(stage.data, []):
        for path in source.paths:
            for document in stream_documents(
                type(source)(source.name, (path,)), [], Columns(text=stage.text_column)
            ):
                document = plain(document)
                for start in [s for s in wanted if s in document]:
                    text = wanted.pop(start).replace("\ufffd", "")  # it may begin within a letter
                    yield f'{path} ("{" ".join(text[:EXCERPT].split())}")'
            if not wanted:
                return


def plain(text):
    """A text without marks, capitals and spaces, which the tokenizer may have changed."""
    letters = unicodedata.normalize("NFD", text.casefold())
    return "".join(c for c in letters if c.isalnum())
