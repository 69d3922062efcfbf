"""The figures of a task as people read them, on the screen and in the report."""

import math


def percent(share):
    """A share, rounded down: 100% is for a test without a fault."""
    return f"{math.floor(1000 * share + 1e-6) / 10:g}%"


COUNT, SHARE, PRECISE = "{:,.0f}".format, "{:.1%}".format, "{:.4f}".format
FIGURES = {  # by their name in metrics.json: the title, and how the value is written
    "documents": ("Documents", COUNT),
    "requests": ("Requests", COUNT),
    "rows": ("Rows to train on", COUNT),
    "passes": ("Times that each is in them", COUNT),
    "validation_rows": ("Rows to validate on", COUNT),
    "test_rows": ("Rows to test on", COUNT),
    "test_requests": ("Requests to test on", COUNT),
    "fill": ("Fill of the rows", SHARE),
    "weighted_share": ("Tokens that carry weight", SHARE),
    "batch_size": ("Batch size", COUNT),
    "sequence_length": ("Sequence length", COUNT),
    "steps": ("Steps", COUNT),
    "tokens": ("Tokens", COUNT),
    "epochs": ("Epochs", "{:.3g}".format),
    "best_step": ("Best step", COUNT),
    "validation_loss": ("Validation loss", PRECISE),
    "bits_per_byte": ("Bits per byte in validation", PRECISE),
    "test_bits_per_byte": ("Bits per byte of text never seen", PRECISE),
    "validation_right": ("Responses right in validation", percent),
    "exact_match": ("Exact match on requests never seen", percent),
    "strange_refused": ("Strange requests refused", percent),
    "known_refused": ("Requests with an answer refused", percent),
    "refuse_below": ("Certainty below which answers are refused", "{:.2f}".format),
    "trained_right": ("Trained requests answered right", percent),
    "free_requests": ("Requests in free words", COUNT),
    "free_right": ("Requests in free words answered right", percent),
    "requests_cut": ("Requests cut", COUNT),
    "responses_cut": ("Responses cut", COUNT),
    "turns_dropped": ("Turns dropped", COUNT),
    "rows_dropped": ("Rows dropped", COUNT),
}
HEADLINES = {  # by the prompt format of a task: the first figure that there is says most
    "text": ("test_bits_per_byte", "bits_per_byte"),
    "request": ("exact_match", "validation_right"),
}


MAX_WRONG = 5  # trained requests that are shown


def lines_of(task, metrics, trained):
    """What else is worth a line on the screen, beside the headline.

    Args:
        task: `Task`.
        metrics: dictionary of a run.
        trained: list of dictionaries from `exact_match`, answers to requests that were learned.

    Yields:
        str.
    """
    for name in ("free_right", "strange_refused", "known_refused", "trained_right"):
        if (value := metrics.get(f"{task.name}.{name}")) is not None:
            title, write = FIGURES[name]
            yield f"{title}: {write(value)}"
    wrong = [answer for answer in trained if not answer["correct"]]
    for answer in wrong[:MAX_WRONG]:
        yield f"  wrong: {answer['request']} → {answer['answer']}".replace("\n", "⏎")
    if len(wrong) > MAX_WRONG:
        yield f"  and {len(wrong) - MAX_WRONG:,} more, in trained_answers.jsonl"


def headline(task, metrics):
    """The figure that says most of a task, as `(title, value)`; `None` where there is none.

    Args:
        task: `Task`.
        metrics: dictionary of a run.

    Example:
        >>> headline(TASKS["finetune"], {"finetune.exact_match": 0.993})
        ('Fine-tuning: exact match on requests never seen', '99.3%')
    """
    for name in HEADLINES[task.prompt_format]:
        if (value := metrics.get(f"{task.name}.{name}")) is not None:
            title, write = FIGURES[name]
            return f"{task.title}: {title[0].lower()}{title[1:]}", write(value)
    return None
