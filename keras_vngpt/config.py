"""Settings from flags, YAML files and Python alike, checked with all their faults at once."""

import argparse
import dataclasses
import difflib
import inspect
import json
import os
import re
import sys
import types
import typing

import pydantic
import yaml

from keras_vngpt.errors import UserError
from keras_vngpt.interruption import Terminated

LONG = 200  # characters of a value in a message

settings = pydantic.dataclasses.dataclass(
    config=pydantic.ConfigDict(extra="forbid", use_attribute_docstrings=True)
)


def resolve(schema, *layers):
    """Put layers of given values over the defaults, and check them all.

    Args:
        schema: a function, or a class of settings: its parameters are the names.
        *layers: `(origin, values)`, later ones on top. `origin` is the YAML file that the values
            came from, or "". `values` is a dictionary, nested or with dotted names.

    Returns:
        A dictionary of keyword arguments for `schema`, complete and of the right types.

    Raises:
        UserError: every unknown name and every wrong value, by file and line where there is one.

    Example:
        >>> resolve(FitSettings, ("", {"pretrain.batch_size": 8}))["pretrain"].batch_size
        8
    """
    merged, origins, faults = {}, {}, []
    for origin, values in layers:
        for name, value in flatten(values).items():
            merged[name] = value
            origins[name] = origin
    known = leaves(schema)
    for name in list(merged):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            faults.append(f"{_place(origins[name], name)}{name}: unknown setting{hint}")
            del merged[name]
    try:
        checked = vars(_validator(schema).validate_python(_nest(merged)))
    except pydantic.ValidationError as error:
        for detail in error.errors():
            name = ".".join(str(part) for part in detail["loc"])
            name = next((n for n in merged if name == n or name.startswith(n + ".")), name)
            faults.append(f"{_place(origins.get(name), name)}{name}: {explain(detail)}")
    if faults:
        raise UserError(dict.fromkeys(faults))
    return {p.name: checked[p.name] for p in _parameters(schema)}


def read_yaml(path):
    """The settings of a YAML file, as a nested dictionary.

    Raises:
        UserError: no such file, not YAML, not a mapping.
    """
    try:
        with open(path, encoding="utf-8") as file:
            values = yaml.safe_load(file)
        json.dumps(values, default=str)  # refuses what contains itself
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: invalid UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{path}{line}: not valid YAML ({problem})") from None
    except RecursionError:
        raise UserError(f"{path}: not valid YAML (nested too deeply)") from None
    except ValueError as error:  # a date or a number that there is not
        raise UserError(f"{path}: not valid YAML ({error})") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{path}:1: needs settings as name: value")
    return values


def flatten(values, prefix=""):
    """A nested dictionary, or settings, as one with dotted names."""
    flat = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(value):
            value = dataclasses.asdict(value)
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def leaves(schema, prefix=""):
    """Every setting of a schema: dotted name to its parameter."""
    found = {}
    for parameter in _parameters(schema):
        if dataclasses.is_dataclass(parameter.annotation):
            found |= leaves(parameter.annotation, f"{prefix}{parameter.name}.")
        else:
            found[prefix + parameter.name] = parameter
    return found


def command(function, schema=None, show=None, old_names=()):
    """Run a verb from the command line: flags in, exit status out.

    A fault of the user is one line on the error output and exit status 2.

    Args:
        function: the verb; its docstring is the help.
        schema: where its settings are declared, if not in its own signature.
        show: function that prints what the verb returns.
        old_names: names of settings that are still accepted, and not shown.
    """
    if sys.stdout:  # it may be closed, and not every terminal has Vietnamese letters
        # A line goes out when it is complete, into a pipe too.
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    schema = schema or function
    names = {**leaves(function), **leaves(schema)}
    parser = Parser(
        prog=f"python -m {sys.modules['__main__'].__spec__.name.removesuffix('.__main__')}",
        description=inspect.getdoc(function).split("\nArgs:")[0],
        usage="%(prog)s [--config FILE] [--SETTING VALUE ...]" if "config" in names else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    docs = _docs(schema) | _docs(function)
    groups = {}
    for name, parameter in names.items():
        group = name.rpartition(".")[0]
        if group not in groups:
            groups[group] = parser.add_argument_group(group) if group else parser
        groups[group].add_argument(
            *([name] if parameter.default is parameter.empty else [f"--{name}"]),
            **_argument(parameter, docs.get(name, "")),
        )
    for name in old_names:
        parser.add_argument(f"--{name}", nargs="?", const="true", help=argparse.SUPPRESS)
    given, unknown = parser.parse_known_intermixed_args()
    given = {name: _plain(value) for name, value in vars(given).items()}
    for flag in unknown:
        if flag.startswith("--"):
            given.setdefault(flag[2:].partition("=")[0], None)
    try:
        if extra := [flag for flag in unknown[:1] if not flag.startswith("--")]:
            raise UserError(f"{extra[0]}: unexpected argument; see --help")
        missing = [n for n, p in names.items() if p.default is p.empty and not given.get(n)]
        lists = [n for n in given if isinstance(given[n], list) and n not in missing]
        if missing and lists:  # the list has swallowed it
            raise UserError(f"{missing[0]}: needs a value, before lists such as --{lists[0]}")
        own = given if schema is function else given.keys() & leaves(function)
        own = resolve(function, ("", {name: given.pop(name) for name in list(own)}))
        result = function(**own, **given)
        if show:
            show(result)
    except UserError as fault:
        for line in fault.faults:
            print(line, file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # no space, no permission, a name too long
        problem = error.strerror or str(error).splitlines()[0]
        if error.errno:  # some libraries raise it with a text of their own
            problem = os.strerror(error.errno)
        print(f"{error.filename or function.__name__}: {problem}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        print("\nInterrupted.", file=sys.stderr)
        sys.exit(143 if isinstance(interrupt, Terminated) else 130)


class Parser(argparse.ArgumentParser):
    """One whose complaints are one line."""

    def error(self, message):
        self.exit(2, f"{message.removeprefix('argument ')}; see --help\n")


def _parameters(schema):
    hints = typing.get_type_hints(schema, include_extras=True)
    parameters = [
        p.replace(annotation=hints.get(p.name, p.annotation))
        for p in inspect.signature(schema).parameters.values()
        if p.kind != p.VAR_KEYWORD
    ]
    if dataclasses.is_dataclass(schema):  # the signature does not show what a factory makes
        made = {
            f.name: f.default_factory()
            for f in dataclasses.fields(schema)
            if f.default_factory is not dataclasses.MISSING
        }
        parameters = [p.replace(default=made.get(p.name, p.default)) for p in parameters]
    return parameters


def _validator(schema):
    if dataclasses.is_dataclass(schema):
        return pydantic.TypeAdapter(schema)
    fields = {
        p.name: (p.annotation, ... if p.default is p.empty else p.default)
        for p in _parameters(schema)
    }
    return pydantic.TypeAdapter(pydantic.create_model("Arguments", **fields))


def _nest(flat):
    nested = {}
    for name, value in flat.items():
        *groups, leaf = name.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[leaf] = value
    return nested


def _place(origin, name):
    """ "file:line: " of a setting that a YAML file gave, else nothing."""
    if not origin:
        return ""
    with open(origin, encoding="utf-8") as file:
        node = yaml.compose(file)
    line = 1
    for part in name.split("."):
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.value == part:
                line, node = key.start_mark.line + 1, value
                break
    return f"{origin}:{line}: "


def explain(detail):
    """One of pydantic's error details as a phrase that follows the name of the setting."""
    message = re.sub(r"^(Value error|Assertion failed), ", "", detail["msg"])
    message = re.sub(r"^Input should be", "must be", message)
    if detail["type"] == "missing":
        return "needs a value"
    received = repr(detail["input"])
    received = received if len(received) <= LONG else f"{received[:LONG]}..."
    return f"{message[0].lower()}{message[1:]}. Received: {received}"


def _docs(schema):
    """Help for each setting: the docstrings under fields, or the Args of a docstring."""
    docs = {}
    if dataclasses.is_dataclass(schema):
        for name, field in schema.__pydantic_fields__.items():
            inherited = (vars(c).get("__pydantic_fields__", {}).get(name) for c in schema.__mro__)
            docs[name] = next((f.description for f in inherited if f and f.description), "")
            if dataclasses.is_dataclass(field.annotation):
                docs |= {f"{name}.{k}": v for k, v in _docs(field.annotation).items()}
        return docs
    section = (inspect.getdoc(schema) or "").partition("Args:\n")[2]
    section = re.split(r"\n\n?(?=\S)", section)[0]
    for found in re.finditer(r"^    (\w+): ((?:.*\n?(?:        .*\n?)*))", section, re.MULTILINE):
        docs[found[1]] = " ".join(found[2].split())
    return docs


def _argument(parameter, doc):
    options = [o for o in typing.get_args(parameter.annotation) if o is not types.NoneType]
    is_union = typing.get_origin(parameter.annotation) in (types.UnionType, typing.Union)
    kind = options[0] if is_union else parameter.annotation
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    argument = {"help": doc.replace("%", "%%")}
    has_default = parameter.default is not parameter.empty
    if has_default:
        default = parameter.default
        shown = " ".join(map(str, default)) if isinstance(default, (list, tuple)) else default
        argument["help"] += f" [{'nothing' if shown in ('', None) else shown}]"
    if typing.get_origin(kind) in (list, tuple):
        argument |= {"nargs": "*", "metavar": "VALUE" if has_default else parameter.name}
    elif kind is bool:
        argument |= {"nargs": "?", "const": "true", "metavar": "true|false"}
    elif typing.get_origin(kind) is typing.Literal:
        argument["metavar"] = "|".join(map(str, typing.get_args(kind)))
    elif has_default:
        argument["metavar"] = getattr(kind, "__name__", "value").upper()
    return argument


def _plain(value):
    return None if isinstance(value, str) and value.lower() in ("none", "null") else value
