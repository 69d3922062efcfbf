"""Files to documents and conversations, every fault named by file and line."""

from keras_vngpt.data.file_summary import FileSummary
from keras_vngpt.data.formats import read_records
from keras_vngpt.data.records import (
    Columns,
    Conversation,
    MissingColumn,
    group_of,
    side_of_record,
    text_of,
    turns_of,
)
from keras_vngpt.data.sources import JSON, TABLES, TFDS, find_sources, kind
from keras_vngpt.errors import UserError

COLUMN_HINTS = {  # of verbs with these settings
    'needs "request" and "response" or': "; --request_column and --response_column name others"
}


def stream_documents(source, faults, columns=Columns(), summaries=None):  # noqa: B008
    """The documents of a source, one after another.

    Args:
        source: `Source`.
        faults: list, that gets a line for everything that is broken.
        columns: `Columns`, of the text in JSONL, CSV, TSV, Parquet and TFDS, and of the side of
            a split.
        summaries: optional dictionary, that gets the `FileSummary` of each file by its path.

    Yields:
        str.

    Example:
        >>> for document in stream_documents(Source("a", (Path("a.parquet"),)), faults): ...
    """
    _note_not_read(source, summaries)
    for path in source.paths:
        summary, n_faults = FileSummary(path), len(faults)
        for place, record in read_records(path, faults, summary):
            summary.rows += 1
            try:
                text = text_of(record, columns.text if kind(path) in (*TABLES, TFDS) else "text")
                is_meant = source.side is None or source.side == side_of_record(record, columns)
            except ValueError as fault:
                faults.append(f"{place}: {fault}")
                if isinstance(fault, MissingColumn) and kind(path) not in JSON:
                    break  # all rows of a table are alike
            else:
                if is_meant and text.strip():
                    yield text
        if not summary.rows and len(faults) == n_faults:
            faults.append(f"{path}: no document in it")
        if summaries is not None:
            summaries[path] = summary


def read_documents(patterns, column="text"):
    """All documents of text files, tables, Wikipedia dumps and TFDS data sets.

    Args:
        patterns: list of str, as for `find_sources`.
        column: str, the column of the text in tables.

    Returns:
        list of str.

    Raises:
        UserError: a pattern without files, an empty file, invalid UTF-8, ...

    Example:
        >>> documents = read_documents(["truyen/*.txt"])
    """
    faults = []
    sources = find_sources(patterns, faults)
    columns = Columns(text=column)
    documents = [d for s in sources for d in stream_documents(s, faults, columns)]
    if faults:
        raise UserError(faults)
    return documents


def read_conversations(patterns, columns=Columns(), summaries=None):  # noqa: B008
    """Read requests with their responses from JSON, JSONL, CSV, TSV, Parquet and TFDS data sets.

    A record has a pair of `keras_vngpt.data.records.COLUMN_NAMES`, or what `columns` names; or else
    messages in one of the forms of `keras_vngpt.data.chat_formats`. A `group` beside them keeps
    records on one side of a split.

    Args:
        patterns: list of str, as for `find_sources`.
        columns: `Columns`.
        summaries: optional dictionary, that gets the `FileSummary` of each file by its path.

    Returns:
        list of `Conversation`.

    Raises:
        UserError: every broken line of every file, by file and line.

    Example:
        >>> conversations = read_conversations(["hoi_dap.csv"])
    """
    conversations, faults = [], []
    sources = find_sources(patterns, faults, TABLES)
    for source in sources:
        _note_not_read(source, summaries)
    for path in (path for source in sources for path in source.paths):
        summary, n_before = FileSummary(path), len(conversations) + len(faults)
        for place, record in read_records(path, faults, summary):
            summary.rows += 1
            try:
                prompts, responses, system = turns_of(record, columns, summary)
                group, side = group_of(record), side_of_record(record, columns)
                conversations.append(Conversation(prompts, responses, place, group, system, side))
            except MissingColumn as fault:
                if kind(path) in JSON:
                    faults.append(f"{place}: {fault}")
                    continue
                faults.append(f"{path}:1: {fault}")
                break  # all rows of a table are alike
            except ValueError as fault:
                faults.append(f"{place}: {fault}")
        if len(conversations) + len(faults) == n_before:
            faults.append(f"{path}: no line with a request and a response")
        if summaries is not None:
            summaries[path] = summary
    if faults:
        raise UserError(faults)
    return conversations


def _note_not_read(source, summaries):
    """Files of a folder that are of no kind that is read, each told."""
    if summaries is None or not source.not_read:
        return
    summary = summaries[source.name] = FileSummary(source.name, "folder", encoding="")
    for path in source.not_read:
        summary.not_used[path.name] = "of a kind that is not read here"
