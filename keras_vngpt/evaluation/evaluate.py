"""Figures of a trained model on data of the user's choice."""

from pathlib import Path

from keras_vngpt.config import flatten, read_yaml
from keras_vngpt.console import Progress, import_tensorflow
from keras_vngpt.data.file_summary import print_summaries
from keras_vngpt.data.free_requests import read_free_requests
from keras_vngpt.data.readers import COLUMN_HINTS, Columns, read_conversations, read_documents
from keras_vngpt.errors import UserError, with_hints
from keras_vngpt.generation.generation_config import check_texts
from keras_vngpt.text.refusal_text import is_refusal


def evaluate(
    path: str,
    data: list[str] | None = None,
    text: list[str] | None = None,
    free: list[str] | None = None,
    request_column: str | None = None,
    response_column: str | None = None,
    text_column: str | None = None,
    system: str | None = None,
    refuse_below: float | None = None,
):
    """Measure a model: exact match on requests, bits per byte on text.

        python -m keras_vngpt.evaluate runs/default --data my_test.jsonl
        python -m keras_vngpt.evaluate runs/default/pretrain --text news.txt
        python -m keras_vngpt.evaluate runs/default --free requests.jsonl

    Args:
        path: run folder, preset folder, or (for `data`) exported SavedModel
        data: JSONL or CSV files with requests and the expected responses
        text: text files; a blank line stands between two documents
        free: JSONL files of requests in free words, each with a regular expression of right answers
        request_column: its name in `data`; by default as the run was trained with
        response_column: its name in `data`; by default as the run was trained with
        text_column: its name in tables of `text`; by default as the run was trained with
        system: text before each request, instead of the one in `data` or else the training's; ""
            for none
        refuse_below: certainty that an answer must have, instead of the one calibrated at the end
            of fit; 0 gives every answer

    Returns:
        dictionary with `exact_match`, `requests` and `refused` (the share of them), or with
        `bits_per_byte`, `bytes` and `tokens`.

    Raises:
        UserError: a path with nothing to load, broken data, nothing to measure on.

    Example:
        >>> evaluate("runs/default", data=["my_test.jsonl"])["exact_match"]
    """
    if not data and not text and not free:
        raise UserError(
            "evaluate: needs --data, requests with responses, --text, plain text, or --free, "
            "requests in free words"
        )
    check_texts("system", [system or ""])
    columns = _columns(path, text=text_column, request=request_column, response=response_column)
    conversations = _read(data, columns) if data else []
    documents = read_documents(text, columns.text) if text else []
    in_free_words = read_free_requests(free or [])
    with Progress("loading TensorFlow"):
        import_tensorflow()
    from keras_vngpt.evaluation.bits_per_byte import bits_per_byte
    from keras_vngpt.evaluation.exact_match import exact_match
    from keras_vngpt.evaluation.free_requests import answer_free_requests
    from keras_vngpt.evaluation.refusals import share
    from keras_vngpt.generation.generate import load_text_generator
    from keras_vngpt.generation.loading import find_preset

    with Progress(f"loading {path}"):
        preset, generator, figures = find_preset(path), load_text_generator(path), {}
    if documents and preset is None:
        raise UserError(f"{path}: bits per byte need a run folder or a preset, not an export")
    if conversations:
        answers = exact_match(generator, conversations, system, refuse_below)
        figures["exact_match"] = sum(a["correct"] for a in answers) / len(answers)
        figures["requests"] = len(answers)
        refused = [is_refusal(a["answer"], generator.refusal.sentence) for a in answers]
        figures["refused"] = sum(refused) / len(answers)
    if in_free_words:
        answers = answer_free_requests(generator, in_free_words)
        figures |= {"free_requests": len(answers), "free_right": share(answers, "correct")}
    if documents:
        figures |= bits_per_byte(preset, documents)
    return figures


def _columns(path, **names):
    """The columns that are named, and for the others those of the run, of whichever task."""
    config = Path(path, "config.yaml")
    of_run = flatten(read_yaml(config)) if config.is_file() else {}
    of_tasks = {name.split(".")[-1]: column for name, column in of_run.items() if column}
    found = {name: names[name] or of_tasks.get(f"{name}_column") for name in names}
    found["keep_html"] = of_tasks.get("keep_html")
    return Columns(**{name: column for name, column in found.items() if column})


def _read(data, columns):
    try:
        files = {}
        conversations = read_conversations(data, columns, files)
        print_summaries("evaluate", files)
        return conversations
    except UserError as fault:
        raise UserError(with_hints(fault.faults, COLUMN_HINTS)) from None
