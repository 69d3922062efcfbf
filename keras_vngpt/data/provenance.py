"""Where in the user's files some documents come from: looked up when something is wrong."""

import unicodedata

from keras_vngpt.data.readers import Columns, find_documents, read_conversations, stream_documents

BATCH = 512  # conversations that are tokenised at once
EXCERPT = 40  # characters of a text


def places_of_conversations(task, settings, preprocessor, documents):
    """The places of some conversations, "file:line" each.

    Args:
        task: `Task`.
        settings: with `data`, `request_column` and `response_column`.
        preprocessor: the `VnGPTCausalLMPreprocessor` that made the documents.
        documents: list of tuples of token ids.

    Yields:
        str.
    """
    from keras_vngpt.data.tokenise_and_pack import tokenise

    columns = Columns(request=settings.request_column, response=settings.response_column)
    conversations = read_conversations(settings.data, columns)
    for start in range(0, len(conversations), BATCH):
        batch = conversations[start : start + BATCH]
        turns = [c.prompts for c in batch], [c.responses for c in batch]
        ids = (tokenise(texts, preprocessor.tokenizer) for texts in turns)
        token_ids, *_ = preprocessor.triples(*ids, preprocessor.sequence_length)
        for conversation, ids in zip(batch, token_ids.to_list(), strict=True):
            if tuple(ids) in documents:
                yield conversation.source


def places_of_texts(task, settings, preprocessor, documents):
    """The places of some texts, a file with how the text begins.

    Args:
        task: `Task`.
        settings: with `data` and `text_column`.
        preprocessor: the `VnGPTCausalLMPreprocessor` that made the documents.
        documents: list of tuples of token ids.

    Yields:
        str, such as 'a.txt ("Sáng nay trời")'.
    """
    tokenizer = preprocessor.tokenizer
    control = set(tokenizer.special_token_ids)
    texts = tokenizer.detokenize([[i for i in ids if i not in control] for ids in documents])
    wanted = {_plain(text)[:EXCERPT]: text for text in texts if len(_plain(text)) > EXCERPT // 2}
    for source in find_documents(settings.data, []):
        for path in source.paths:
            for document in stream_documents(
                type(source)(source.name, (path,)), [], Columns(text=settings.text_column)
            ):
                document = _plain(document)
                for start in [s for s in wanted if s in document]:
                    text = wanted.pop(start).replace("\ufffd", "")  # it may begin within a letter
                    yield f'{path} ("{" ".join(text[:EXCERPT].split())}")'
            if not wanted:
                return


def _plain(text):
    """A text without marks, capitals and spaces, which the tokenizer may have changed."""
    letters = unicodedata.normalize("NFD", text.casefold())
    return "".join(c for c in letters if c.isalnum())
