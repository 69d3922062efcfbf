"""The documents agree with the project: links, commands, settings."""

import dataclasses
import re
import typing
from pathlib import Path

import pytest

from keras_vngpt.augmentation.settings import AugmentSettings
from keras_vngpt.config import _docs, leaves
from keras_vngpt.runs.settings import FitSettings, old_names
from keras_vngpt.tasks import TASKS
from keras_vngpt.tasks.task import TaskSettings

ROOT = Path(__file__).parents[1]
READMES = "README.md", "README.vi.md"
PAGES = [
    *READMES,
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]
SETTINGS = ROOT / "docs" / "settings.md"
TABLES = re.compile(r"(?<=<!-- tables -->\n).*(?=<!-- end of tables -->)", re.DOTALL)
ON_EVERY_PAGE = pytest.mark.parametrize("page", PAGES)


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def prose(page):
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", read(page), flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """The names that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def figures(text):
    """The digits in each row of the table of results: "1,110" is "1.110" in Vietnamese."""
    table = text.partition("benchmarks/README.md)")[2].partition("\n## ")[0]
    rows = re.findall(r"^\|.*\d.*\|$", table, re.MULTILINE)
    return [re.findall(r"\d+", row) for row in rows]


@ON_EVERY_PAGE
def test_relative_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    for link in (link for link in links if "://" not in link):
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("name", READMES)
def test_a_readme_is_short(name):
    assert len(read(name).splitlines()) <= 130


def test_both_readmes_show_the_same_commands_and_figures():
    english, vietnamese = map(read, READMES)
    assert blocks(english, "sh") == blocks(vietnamese, "sh")
    assert figures(english) == figures(vietnamese) != []


@ON_EVERY_PAGE
def test_a_setting_that_a_page_names_can_be_set(page):
    known = {*leaves(FitSettings), *leaves(AugmentSettings)}
    known |= {old for old, name in old_names().items() if name}
    named = set(re.findall(r"--([a-z_]+\.[a-z_.]*[a-z])", read(page)))
    assert named <= known


@ON_EVERY_PAGE
def test_the_python_of_a_page_is_python(page):
    for block in blocks(read(page), "python"):
        compile(block, page, "exec")


def test_the_page_of_settings_has_those_of_today():
    """`python tests/test_docs.py` writes it anew."""
    assert TABLES.search(read("docs/settings.md"))[0] == settings_tables()


def settings_tables():
    """Every setting of `fit` with its default and its meaning."""
    known, meanings = leaves(FitSettings), _docs(FitSettings)
    shared = [field.name for field in dataclasses.fields(TaskSettings)]
    of_tasks = {f"{task}.{name}" for task in TASKS for name in shared}
    sections = {}
    for name in (name for name in known if name not in of_tasks):
        row = f"`{name}`", _default(known[name]), _meaning(known[name], meanings[name])
        sections.setdefault(name.rpartition(".")[0], []).append(row)
    text = ""
    for section, rows in sections.items():
        title = f"`{section}`" if section else "The run"
        text += f"\n## {title}\n\n{_table(('setting', 'default', 'meaning'), rows)}"
    heads = "setting", *(f"in `{task}`" for task in TASKS), "meaning"
    first = next(iter(TASKS))
    rows = [
        (
            f"`{name}`",
            *(_default(known[f"{task}.{name}"]) for task in TASKS),
            _meaning(known[f"{first}.{name}"], meanings[f"{first}.{name}"]),
        )
        for name in shared
    ]
    return f"{text}\n## Every task\n\nFor example `{first}.batch_size`.\n\n{_table(heads, rows)}\n"


def _table(heads, rows):
    lines = heads, ["---"] * len(heads), *rows
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _default(parameter):
    value = parameter.default
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _meaning(parameter, meaning):
    is_choice = typing.get_origin(parameter.annotation) is typing.Literal
    choices = f" ({', '.join(typing.get_args(parameter.annotation))})" if is_choice else ""
    return " ".join(meaning.split()) + choices


if __name__ == "__main__":
    text = SETTINGS.read_text(encoding="utf-8")
    SETTINGS.write_text(TABLES.sub(lambda _: settings_tables(), text), encoding="utf-8")
