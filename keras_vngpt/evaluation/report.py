"""A run folder as one page: figures, curves, answers, samples, settings."""

import csv
import io
import json
import os
import re
from difflib import SequenceMatcher
from pathlib import Path

import matplotlib as mpl
import numpy as np
import yaml
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from keras_vngpt.config import flatten
from keras_vngpt.evaluation.figures import FIGURES, headline, percent

PHASES = {"tokenizer": "Tokenizer", "evaluate": "Evaluation", "export": "Export"}
MAX_WRONG, MAX_RIGHT, MAX_SAMPLES, MAX_POINTS = 20, 6, 8, 400

# What the plots are drawn in, and the variable of the page that takes its place: an inline SVG
# then follows the page into dark mode.
COLORS = {
    "ink": "#23272c",
    "muted": "#6a6f75",
    "rule": "#e2dfd6",
    "faint": "#a3bdc9",
    "accent": "#24698c",
    "warm": "#a8552c",
}
STYLE = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": COLORS["ink"],
    "axes.edgecolor": COLORS["rule"],
    "axes.labelcolor": COLORS["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": COLORS["rule"],
    "xtick.color": COLORS["rule"],
    "xtick.labelcolor": COLORS["muted"],
    "ytick.color": COLORS["rule"],
    "ytick.labelcolor": COLORS["muted"],
    "ytick.major.size": 0,
    "legend.frameon": False,
}


def write_report(folder, tasks):
    """Write `report.html` into a run folder, one file that needs no other.

    What a run left out, its page leaves out.

    Args:
        folder: str or path, with `metrics.json` and any of `history.csv`, `samples.jsonl`,
            `answers.jsonl` and `config.yaml`.
        tasks: list of the `Task`s that were trained, in order.

    Returns:
        `pathlib.Path` of the page.

    Example:
        >>> write_report("runs/default", [TASKS["finetune"]])
        PosixPath('runs/default/report.html')
    """
    folder, titles = Path(folder), {task.name: task.title for task in tasks}
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    history = list(csv.DictReader(_lines(folder / "history.csv")))
    samples = [json.loads(line) for line in _lines(folder / "samples.jsonl")]
    answers = [json.loads(line) for line in _lines(folder / "answers.jsonl")]
    config = yaml.safe_load("\n".join(_lines(folder / "config.yaml"))) or {}

    # The name of the template does not end in .html, so escaping is asked for by hand.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent)
    page = environment.get_template("report.html.jinja").render(
        name=folder.resolve().name,
        colors=COLORS,
        metrics=metrics,
        tiles=_tiles(metrics, tasks),
        curves=_curves(history, metrics, titles),
        test=_test(answers, metrics, titles),
        samples=_samples(samples, metrics, titles),
        budget=_budget(metrics, titles),
        phases=_phases(metrics, titles),
        settings=_settings(config),
    )
    report = folder / "report.html"
    partial = folder / "report.html.partial"
    partial.write_text(page, "utf-8")
    os.replace(partial, report)
    return report


def _lines(path):
    # not str.splitlines, which also splits at what may stand inside a line of JSON
    return path.read_text("utf-8").strip().split("\n") if path.exists() else []


def _tiles(metrics, tasks):
    figures = (
        ("Parameters", "parameters", _short),
        ("Tokens trained on", "tokens", _short),
        ("Total time", "seconds", _duration),
    )
    of_run = [(label, show(metrics[name])) for label, name, show in figures if name in metrics]
    return [*filter(None, (headline(task, metrics) for task in tasks)), *of_run]


def _curves(history, metrics, titles):
    curves = []
    for stage, title in titles.items():
        rows = [row for row in history if row["stage"] == stage]
        best = str(metrics.get(f"{stage}.best_step"))
        best = [row for row in rows if row["step"] == best]
        validation = ("validation", "accent", "validation_loss")
        bits = ("validation", "warm", "bits_per_byte")
        plots = [
            (f"{title}: loss against tokens", [("training", "faint", "loss"), validation]),
            (f"{title}: bits per byte against tokens", [bits]),
        ]
        plots = [
            (label, _plot(f"{stage}-{lines[-1][2]}", rows, best, lines))
            for label, lines in plots
            if any(row[column] for row in rows for *_, column in lines)
        ]
        if plots:
            curves.append((title, plots))
    return curves


def _plot(name, rows, best, lines):
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(5.2, 3.2), layout="constrained")
        axes = figure.subplots()
        for label, color, column in lines:
            x, y = _points(rows, column)
            # Training has a point every few steps: a thin line. Evaluations are few: dots.
            look = {"lw": 1} if column == "loss" else {"lw": 1.8, "marker": "o", "ms": 4.5}
            if len(x):
                axes.plot(x, y, color=COLORS[color], label=label, **look)
        x, y = _points(best, lines[-1][2])
        if len(x):
            axes.plot(x, y, "o", ms=10, mfc="none", mec=COLORS["ink"], mew=1, label="best")
            axes.annotate(
                f"{y[0]:.3f}", (x[0], y[0]), (0, 9), textcoords="offset points", ha="center"
            )
        axes.set_xlabel("tokens")
        axes.set_ylabel("loss" if len(lines) > 1 else "bits per byte")
        # Both plots of a stage have the same tokens below them, and room for the figure above.
        axes.update_datalim([(float(row["tokens"]), 0) for row in rows], updatey=False)
        axes.margins(0.05, 0.12)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.legend(loc="upper right")
        return _svg(figure)


def _points(rows, column):
    points = [(float(row["tokens"]), float(row[column])) for row in rows if row[column]]
    if not points:
        return [], []
    # A long run has more points than the plot has pixels: means of neighbours.
    parts = np.array_split(points, min(len(points), MAX_POINTS))
    return np.transpose([part.mean(axis=0) for part in parts])


def _svg(figure):
    file = io.StringIO()
    nothing = dict.fromkeys(["Date", "Creator", "Format", "Type"])
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    # Several plots share the page: names such as "axes_1", to which nothing refers, would clash.
    svg = re.sub(r' id="[\w.]+_[\w.]+"', "", svg)
    for name, color in COLORS.items():
        svg = svg.replace(color, f"var(--{name})")
    return Markup(svg)


def _test(answers, metrics, titles):
    right = [answer for answer in answers if answer["correct"]]
    wrong = [answer for answer in answers if not answer["correct"]]
    asked = next((task for task in titles if f"{task}.exact_match" in metrics), "")
    total = len(answers) or metrics.get(f"{asked}.test_requests", 0)
    share = len(right) / total if answers else metrics.get(f"{asked}.exact_match")
    if not total or share is None:
        return None
    n_right = round(share * total)
    return {
        "n_right": n_right,
        "total": total,
        "n_wrong": total - n_right,
        "wrong": [
            (answer["request"], *_differences(answer["expected"], answer["answer"]))
            for answer in wrong[:MAX_WRONG]
        ],
        "right": _spread(right, MAX_RIGHT),
    }


def _differences(expected, answer):
    """Both texts as lists of `(words, differ)`."""
    a, b = expected.split(), answer.split()
    expected, answer = [], []
    for tag, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        expected.append((" ".join(a[i:j]), tag != "equal"))
        answer.append((" ".join(b[k:m]), tag != "equal"))
    return [part for part in expected if part[0]], [part for part in answer if part[0]]


def _samples(samples, metrics, titles):
    stages = []
    for stage, title in titles.items():
        prompts = {}
        for sample in samples:
            if sample["stage"] == stage:
                prompts.setdefault(sample["prompt"], []).append((sample["step"], sample["text"]))
        if prompts:
            tables = [
                (prompt, _spread(texts, MAX_SAMPLES), len(texts))
                for prompt, texts in prompts.items()
            ]
            stages.append((title, metrics.get(f"{stage}.best_step"), tables))
    return stages


def _spread(items, n):
    """At most `n` of the items, the first and the last among them."""
    return [items[i] for i in np.linspace(0, len(items) - 1, min(n, len(items))).astype(int)]


def _budget(metrics, titles):
    stages = {stage: title for stage, title in titles.items() if f"{stage}.steps" in metrics}
    rows = []
    for name, (label, write) in FIGURES.items():
        row = [metrics.get(f"{stage}.{name}") for stage in stages]
        if any(value is not None for value in row):
            rows.append((label, ["–" if value is None else write(value) for value in row]))
    return {"stages": list(stages.values()), "rows": rows} if rows else None


def _phases(metrics, titles):
    first, *last = PHASES.items()
    seconds = {
        title: metrics[f"seconds.{phase}"]
        for phase, title in (first, *titles.items(), *last)
        if f"seconds.{phase}" in metrics
    }
    longest = max(seconds.values(), default=0) or 1
    return [(title, time / longest, _duration(time)) for title, time in seconds.items()]


def _settings(config):
    groups = {"run": []}
    for name, value in config.items():
        if isinstance(value, dict):
            groups[name] = [(n, _items(part)) for n, part in flatten({name: value}).items()]
        else:
            groups["run"].append((name, _items(value)))
    return {name: rows for name, rows in groups.items() if rows}


def _items(value):
    values = value if isinstance(value, list) else [] if value is None else [value]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in values]


def _short(count):
    count = float(f"{count:.3g}")
    for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f}"


def _duration(seconds):
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"
