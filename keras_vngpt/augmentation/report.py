"""What a set of pairs is made of, and what it lacks."""

import random
from collections import Counter

from keras_vngpt.errors import needs_extra

SAMPLE = 100  # requests that self-BLEU compares with one another


def measure(lines, seed=0):
    """The figures of a set.

    Args:
        lines: list of dictionaries with `request`, `response`, `kind`, `group`, `origin`.
        seed: int, of the sample for self-BLEU.

    Returns:
        dictionary.

    References:
        distinct-2: Li et al., A Diversity-Promoting Objective Function for Neural Conversation
        Models, 2016. Self-BLEU: Zhu et al., Texygen: A Benchmarking Platform for Text Generation
        Models, 2018.

    Example:
        >>> measure(lines)["distinct_2"]
    """
    n_lines = Counter(line["kind"] for line in lines)
    n_questions = Counter(kind for kind, _ in {(line["kind"], line["group"]) for line in lines})
    most = max(n_questions.values(), default=0)
    return {
        "lines": len(lines),
        "questions": len({line["group"] for line in lines}),
        "origins": dict(Counter(line["origin"] for line in lines)),
        "answer_origins": dict(Counter(line["answer_origin"] for line in lines)),
        "kinds": {
            kind: {
                "lines": n_lines[kind],
                "questions": n_questions[kind],
                "missing": most - n_questions[kind],
            }
            for kind in sorted(n_lines, key=lambda kind: -n_questions[kind])
        },
        "words": {name: _lengths([x[name] for x in lines]) for name in ("request", "response")},
        "distinct_2": distinct_n([line["request"] for line in lines], 2),
        "self_bleu": self_bleu([line["request"] for line in lines], seed),
    }


def distinct_n(texts, n):
    """Share of n-grams that are different from one another (Li et al. 2016)."""
    grams = [
        gram
        for words in (text.lower().split() for text in texts)
        for gram in zip(*(words[i:] for i in range(n)), strict=False)
    ]
    return len(set(grams)) / len(grams) if grams else 0.0


def self_bleu(texts, seed=0, sample=SAMPLE):
    """Mean BLEU of each text of a seeded sample against the rest of it, 0 to 100; low is diverse.

    Zhu et al. 2018, with sacrebleu's BLEU; `None` where that is not installed.
    """
    try:
        from sacrebleu.metrics import BLEU
    except ModuleNotFoundError as error:
        print(needs_extra("self-BLEU in the report", error, "augment"))
        return None
    if len(texts) < 2:
        return 0.0
    texts = random.Random(seed).sample(texts, min(sample, len(texts)))
    bleu = BLEU(effective_order=True)
    scores = [
        bleu.sentence_score(text, texts[:i] + texts[i + 1 :]).score for i, text in enumerate(texts)
    ]
    return sum(scores) / len(scores)


def show(figures):
    """Print the figures as tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("kind", "questions", "lines", "missing for balance", title="What the set holds")
    for kind, counts in figures["kinds"].items():
        missing = f"{counts['missing']} questions" if counts["missing"] else "-"
        table.add_row(kind, f"{counts['questions']:,}", f"{counts['lines']:,}", missing)
    table.add_section()
    table.add_row("all", f"{figures['questions']:,}", f"{figures['lines']:,}", "")
    console.print(table)
    table = Table("words in a", "mean", "shortest", "longest")
    for name, n in figures["words"].items():
        table.add_row(name, f"{n['mean']:.1f}", str(n["shortest"]), str(n["longest"]))
    console.print(table)
    diversity = f"distinct-2 {figures['distinct_2']:.3f} (1 is all different)"
    if figures["self_bleu"] is not None:
        diversity += f", self-BLEU {figures['self_bleu']:.1f} of 100 (low is diverse)"
    console.print(f"diversity of the requests: {diversity}", highlight=False)


def _lengths(texts):
    counts = [len(text.split()) for text in texts] or [0]
    return {
        "mean": sum(counts) / len(counts),
        "shortest": min(counts),
        "longest": max(counts),
    }
