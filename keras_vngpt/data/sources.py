"""What a user points at: files, folders, globs and TFDS data sets, each with its share."""

import fnmatch
import glob
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "samples"
TFDS = "tfds:"
TEXT, DUMPS = (".txt", ".text", ".md"), (".xml",)
JSON = (".jsonl", ".json")
TABLES = (*JSON, ".csv", ".tsv", ".xlsx", ".parquet")
DOCUMENTS = (*TEXT, *TABLES, *DUMPS)
PACKED = (".gz", ".bz2", ".xz")
BESIDE_DATA = (  # what stands in a folder of data and is none, in any case; hidden files too
    ".*", "__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini", "*~", "*.tmp", "README*",
    "LICENSE*", "CITATION*", "CHANGELOG*", "dataset_info*.json", "*.metadata.json",
)  # fmt: skip
TURNS = 1024  # in which the sources of a mixture have their shares


@dataclass(frozen=True)
class Source:
    """One thing that a user points at.

    Args:
        name: str, as the user wrote it, without the share.
        paths: tuple of Path, its files; of a TFDS data set just its name, "tfds:wiki40b/vi".
        share: float, its part of the mixture, or `None` for its size.
        side: str, the side of a split whose records alone are meant, or `None` for all.
        not_read: tuple of Path, the files of a folder that are of no kind that is read.
    """

    name: str
    paths: tuple
    share: float | None = None
    side: str | None = None
    not_read: tuple = ()


def find_sources(patterns, faults, suffixes=DOCUMENTS):
    """The sources that patterns mean.

    Args:
        patterns: list of str, each a file, a folder (its files of a known kind, at any
            depth, without hidden ones, README, LICENSE and the like), a
            glob, "samples:NAME" (a file of this package) or "tfds:NAME"; ":0.7" after it is its
            share of a mixture.
        faults: list, that gets a line for each pattern that means nothing.
        suffixes: the endings that count in a folder; by default all.

    Returns:
        list of `Source`.

    Example:
        >>> find_sources(["truyen/*.txt:0.7", "tfds:wiki40b/vi:0.3"], faults)
    """
    sources = []
    for pattern in patterns:
        name, share = _share(pattern, faults)
        if name.startswith(TFDS):
            sources.append(Source(name, (name,), share))
            continue
        path, others = locate(name), []
        if path.is_dir():
            files = _files(path)
            found = [file for file in files if kind(file) in suffixes]
            others = [file for file in files if kind(file) not in suffixes]
            problem = f"no {' or '.join(f'*{s}' for s in suffixes)} file in this folder"
        elif path.is_file():
            found, problem = [path], ""
        else:
            found = sorted(
                p for p in map(Path, glob.glob(str(path), recursive=True)) if p.is_file()
            )
            problem = "no such file, folder or glob"
            if Path(name.rpartition(":")[0]).is_file():
                problem = "what stands after the colon must be a share, a number greater than 0"
        if found:
            sources.append(Source(name, tuple(found), share, not_read=tuple(others)))
        else:
            faults.append(f"{name}: {problem}")
    shares = [source.share for source in sources]
    if None in shares and any(shares):
        without = next(source.name for source in sources if source.share is None)
        faults.append(f"{without}: needs a share too, as {without}:0.5, since another has one")
    elif any(shares):
        for source in sources:
            if source.share / sum(shares) < 1 / TURNS:
                faults.append(
                    f"{source.name}: {source.share} is less than 1/{TURNS} of the mixture"
                )
    return sources


def kind(path):
    """The ending that says how a file is read, without that of a packing; or "tfds:"."""
    name = str(path).lower()
    if name.startswith(TFDS):
        return TFDS
    for packing in PACKED:
        name = name.removesuffix(packing)
    return Path(name).suffix


def locate(name):
    """The path that a user means, in whichever form of Unicode it is written.

    "samples:NAME" is a file that the package ships.
    """
    if name.startswith("samples:"):
        path = SAMPLES / name.removeprefix("samples:")
        packed = path.with_name(f"{path.name}.gz")  # as large ones ship
        return packed if packed.exists() else path
    forms = (Path(unicodedata.normalize(form, name)) for form in ("NFC", "NFD"))
    return next((path for path in (Path(name), *forms) if path.exists()), Path(name))


def _files(folder):
    """The files in a folder, at any depth, without what stands beside data."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(
            fnmatch.fnmatch(part.lower(), pattern.lower())
            for part in path.relative_to(folder).parts
            for pattern in BESIDE_DATA
        )
    )


def _share(pattern, faults):
    """ "a.txt:0.7" as its name and share."""
    found = re.fullmatch(r"(.+):(\d+\.?\d*|\.\d+)", pattern)
    if not found or Path(pattern).exists():
        return pattern, None
    share = float(found[2])
    if not share:
        faults.append(f"{pattern}: a share must be greater than 0")
    return found[1], share
