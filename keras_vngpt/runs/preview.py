"""Rows as the model will see them, before any training."""

from pathlib import Path
from tempfile import TemporaryDirectory

from keras_vngpt.console import import_tensorflow
from keras_vngpt.runs.settings import resolve_settings
from keras_vngpt.tasks.task import Size


def preview(config: str | None = None, rows: Size = 1, positions: Size = 48, **settings):
    """Show rows of both stages as the model will see them, before any training.

    It reads the data and trains a tokenizer just as `fit` would, and takes the same settings. Green
    is scored, grey is not; the number of the document changes where the next one begins.

        python -m keras_vngpt.preview
        python -m keras_vngpt.preview --finetune.data qa.jsonl --skip pretrain

    Args:
        config: YAML file with any of the settings of fit
        rows: rows to show of each stage
        positions: positions to list of each row, each with token, target and weight
        **settings: as for `fit`.

    Raises:
        UserError: everything that is wrong with the settings or the data.

    Example:
        >>> preview(finetune={"data": ["qa.jsonl"]}, skip=["pretrain"])
    """
    settings, _ = resolve_settings(config, settings)
    import_tensorflow()
    from rich.console import Console

    from keras_vngpt.data.prepared_rows import Context
    from keras_vngpt.runs.prepare import family, make_preprocessor, prepare_tokenizer, read_all
    from keras_vngpt.text.tokenizer import load_tokenizer

    found, text = read_all(settings), None
    with TemporaryDirectory() as store:
        tokenizer = load_tokenizer(prepare_tokenizer(settings, found, Path(store)))
    for task in settings.tasks:
        preprocessor = make_preprocessor(task, settings, tokenizer)
        context = Context(None, family(settings).takes_segments, text)
        own = getattr(settings, task.name)
        of_task = task.first_rows(found[task.name], preprocessor, own, context)
        text = of_task if task.prompt_format == "text" else text
        for number in range(min(rows, len(of_task))):
            title = f"{task.name}, row {number + 1}: {of_task.length} positions"
            show_row(Console(), title, of_task, number, tokenizer, positions)


def show_row(console, title, rows, number, tokenizer, positions):
    """Print one row: its text in colour, then its first positions as a table."""
    from rich.table import Table
    from rich.text import Text

    names = "segment_ids", "token_ids", "target", "sample_weight"
    segment, token, target, weight = (rows[name][number] for name in names)

    def piece(token_id):
        return tokenizer.id_to_token(int(token_id)).replace("\n", "⏎")

    running = Text()
    for t, is_token in enumerate(segment > 0):
        if is_token:
            # A token is scored where it is the target, one position earlier.
            is_scored = t > 0 and weight[t - 1] > 0
            running.append(piece(token[t]).replace("▁", " "), "bold green" if is_scored else "dim")
    table = Table("position", "document", "token", "→ target", "weight", title=title)
    for t in range(min(positions, rows.length)):
        style = "green" if weight[t] else "dim"
        table.add_row(
            str(t), str(segment[t]), Text(piece(token[t])), Text(piece(target[t])),
            f"{weight[t]:g}", style=style,
        )  # fmt: skip
    console.print(table)
    console.print(running, "\n")
