"""Rows as the model will see them, before any training."""

from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table
from rich.text import Text

from keras_vngpt.data.examples import prepare_conversations, prepare_documents
from keras_vngpt.runs.check import check
from keras_vngpt.runs.prepare import make_preprocessor, prepare_tokenizer, with_text
from keras_vngpt.runs.settings import Size, resolve_settings
from keras_vngpt.text.tokenizer import load_tokenizer

ENOUGH_ITEMS = 200  # documents or conversations, from which the rows shown are packed


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
    console = Console()
    settings, _ = resolve_settings(config, settings)
    data = check(settings)
    with TemporaryDirectory() as store:
        tokenizer = load_tokenizer(prepare_tokenizer(settings, data, Path(store)))
    text = None
    for stage, items, pack in (
        ("pretrain", data.sample, prepare_documents),
        ("finetune", data.conversations.get("train"), prepare_conversations),
    ):
        if not items:
            continue
        preprocessor = make_preprocessor(stage, settings, tokenizer)
        of_stage = pack(items[:ENOUGH_ITEMS], preprocessor).rows
        if stage == "pretrain":
            text = of_stage
        elif text:
            replay = settings.finetune.replay
            of_stage = with_text(of_stage, text, replay, tokenizer.start_token_id)
        for number in range(min(rows, len(of_stage))):
            title = f"{stage}, row {number + 1}: {of_stage.length} positions"
            show_row(console, title, of_stage, number, tokenizer, positions)


def show_row(console, title, rows, number, tokenizer, positions):
    """Print one row: its text in colour, then its first positions as a table."""
    segment, token, target, weight = (
        a[number] for a in (rows.segment_ids, rows.token_ids, rows.target, rows.sample_weight)
    )

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
