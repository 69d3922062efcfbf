"""The data files that a user may replace: read, checked, every fault by file and line."""

import re
import unicodedata
from typing import Annotated

import pydantic
import yaml

from keras_vngpt import config
from keras_vngpt.data.sources import locate
from keras_vngpt.errors import UserError

GENERAL = "general"
NAME = "<name>"  # in a pattern: any name of the gazetteer


def _compiles(pattern):
    try:
        re.compile(pattern.replace(NAME, "name"))
    except re.error as error:
        raise ValueError(f"not a regular expression ({error})") from None
    return pattern


Pattern = Annotated[str, pydantic.Field(min_length=1), pydantic.AfterValidator(_compiles)]


def shipped(what, subject=GENERAL):
    """The files that ship for a subject, those for every subject first; a list of str.

    Args:
        what: str, such as "templates".
        subject: str, a set of files that ships.

    Example:
        >>> shipped("templates", "travel")
        ['samples:general_templates.yaml', 'samples:travel_templates.yaml']
    """
    ending = "txt" if what == "names" else "yaml"
    names = [f"samples:{name}_{what}.{ending}" for name in dict.fromkeys((GENERAL, subject))]
    return [name for name in names if locate(name).is_file()]


def read_yaml(pattern, schema):
    """A YAML file as values of a schema.

    Args:
        pattern: str, a path, or "samples:name".
        schema: a type that pydantic can check.

    Returns:
        The checked values.

    Raises:
        UserError: no such file, not YAML, or each value that the schema does not take.

    Example:
        >>> read_yaml("samples:travel_kinds.yaml", dict[str, list[Pattern]])
    """
    path = locate(pattern)
    try:
        values = _composed(config.read_yaml(path))
    except RecursionError:
        raise UserError(f"{path}: not valid YAML (refers to itself)") from None
    try:
        return pydantic.TypeAdapter(schema).validate_python(values)
    except pydantic.ValidationError as error:
        node = yaml.compose(path.read_text(encoding="utf-8"))
        raise UserError(
            f"{path}:{_line(node, detail['loc'])}: "
            f"{'.'.join(map(str, detail['loc']))}: {config.explain(detail)}"
            for detail in error.errors()
        ) from None


def _composed(value):
    """The same values with all texts in NFC."""
    if isinstance(value, dict):
        return {_composed(k): _composed(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_composed(v) for v in value]
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def read_lines(*patterns):
    """The lines of text files, without comments and empty ones.

    Raises:
        UserError: no such file, invalid UTF-8.
    """
    found = []
    for path in map(locate, patterns):
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise UserError(f"{path}: invalid UTF-8") from None
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        found += [line for line in lines if line]
    return found


def _line(node, place):
    """The line where a value stands, as near as the file has it."""
    line = 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if str(k.value) == str(part)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            found = [(v, v) for v in node.value[part : part + 1]]
        else:
            found = []
        if not found:
            break
        line, node = found[0][0].start_mark.line + 1, found[0][1]
    return line
