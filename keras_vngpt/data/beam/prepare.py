"""`python -m keras_vngpt.data.beam`: checks what it is given, then runs the pipeline."""

import re
import shutil
from pathlib import Path
from typing import Annotated

from pydantic import Field

from keras_vngpt.console import import_tensorflow
from keras_vngpt.data.cache_keys import fingerprint, fingerprint_of_tokenizer
from keras_vngpt.data.sources import TFDS, find_sources
from keras_vngpt.errors import UserError, needs_extra
from keras_vngpt.files import atomic_write

Share = Annotated[float, Field(ge=0, lt=0.5)]


def prepare_rows(
    data: list[str],
    tokenizer: str = "runs/default/tokenizer",
    to: str = "rows",
    sequence_length: Annotated[int, Field(ge=8, le=2**16)] = 128,
    shards: Annotated[int, Field(ge=1)] = 16,
    validation_share: Share = 0.1,
    test_share: Share = 0.1,
    near: Annotated[float, Field(ge=0, lt=1)] = 0.8,
    beam: list[str] | None = None,
):
    """Clean, split, tokenise and pack documents by an Apache Beam pipeline.

    Needs `pip install "keras_vngpt[beam]"`.

        python -m keras_vngpt.data.beam texts/ --tokenizer runs/mine/tokenizer --to rows

    Args:
        data: files, folders and globs of documents, as for `fit`, that every worker sees
        tokenizer: folder of a tokenizer, as a run has one
        to: folder of the TFDS data set
        sequence_length: positions in a row
        shards: groups of documents that are packed together; about 8 MB of text each is good
        validation_share: share of the documents to validate on
        test_share: share of the documents for the final figures
        near: leave out documents that share this part with another one (MinHash); 0 keeps them
        beam: options of the pipeline, NAME=VALUE; by default the local runner, in this process

    Returns:
        str, the folder to give to `fit`: `--pretrain.data rows:FOLDER`.

    Raises:
        UserError: nothing to read, no tokenizer, no Apache Beam.

    Example:
        >>> prepare_rows(["texts/"], "runs/mine/tokenizer", "rows", beam=["direct_num_workers=2"])
    """
    faults = []
    sources = find_sources(data, faults)
    faults += [f"{s.name}: is read by one machine only" for s in sources if s.name.startswith(TFDS)]
    _check_tokenizer(tokenizer, faults)
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ModuleNotFoundError as error:
        faults.append(needs_extra("data.beam", error, "beam"))
    if faults:
        raise UserError(faults)
    from keras_vngpt.data.beam.pipeline import PackedRows, RowsConfig

    made_of = {
        "paths": tuple(str(Path(path).resolve()) for s in sources for path in s.paths),
        "tokenizer": str(Path(tokenizer).resolve()),
        "sequence_length": sequence_length,
        "shards": shards,
        "shares": {"test": test_share, "validation": validation_share},
        "near": near,
    }
    files = [Path(path).stat() for path in made_of["paths"]]
    files = [(file.st_size, file.st_mtime_ns) for file in files]
    name = fingerprint(made_of, fingerprint_of_tokenizer(tokenizer), files)
    builder = PackedRows(config=RowsConfig(name=name, **made_of), data_dir=str(to))
    try:
        builder.run(PipelineOptions([f"--{option}" for option in beam or ()]))
    except (UserError, ValueError, RuntimeError) as error:  # of the text, the options, a worker
        raise UserError(_told(error)) from None
    with atomic_write(Path(builder.data_path) / "tokenizer") as partial:  # `fit` must use the same
        shutil.copytree(tokenizer, partial)
    return str(builder.data_path)


def _check_tokenizer(folder, faults):
    import_tensorflow()
    from keras_vngpt.text.tokenizer import load_tokenizer

    try:
        load_tokenizer(folder)
    except UserError as fault:
        faults += fault.faults


def _told(error):
    """What went wrong, without what a runner puts around it."""
    text = str(error).strip()
    found = re.search(r"UserError: (.+?)(?: \[while running|\n|$)", text)  # of another process
    return found[1] if found else text.splitlines()[0].partition(" [while running")[0]
