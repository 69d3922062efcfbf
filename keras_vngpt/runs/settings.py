"""Every setting of a run, with its default and a sentence about it; how they are put together."""

import dataclasses
import re
import textwrap
from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from keras_vngpt.config import flatten, read_yaml, resolve, settings
from keras_vngpt.errors import UserError
from keras_vngpt.models.sizes import architecture
from keras_vngpt.runs.run import FINAL_PHASES, Run
from keras_vngpt.tasks import DEFAULT_STAGES, TASKS
from keras_vngpt.tasks.finetune import FinetuneSettings
from keras_vngpt.tasks.pretrain import PretrainSettings
from keras_vngpt.tasks.task import Size

# What another run does not inherit.
OF_ONE_RUN = ("name", "folder", "init", "stages", "skip", "check", "restart")
OF_DATA = ("validation_data", "test_data", "prompts")  # which other data brings itself
RENAMED = {  # settings that had another name, by how it ended
    "micro_batches": "gradient_accumulation_steps",
    "recompute": "gradient_checkpointing",
}
MOVED = {f"{task}.token_features": "model.token_features" for task in TASKS}
# Of what is chosen by itself now.
OLD_DEFAULTS = {"soft_targets": 1.0, "epochs": 20, "validation_share": 0.1, "test_share": 0.1}
OLD_DEFAULTS = {f"{task}.{name}": value for task in TASKS for name, value in OLD_DEFAULTS.items()}
GONE = ("short_sequences", "keep_checkpoints", "validation_rows")


@settings
class TokenizerSettings:
    vocabulary_size: Annotated[int, Field(ge=300, le=2**20)] | None = None
    """tokens; by default the model preset's, 3,000 at least for single facts, or fewer where the
    text supports fewer"""
    kind: Literal["bpe", "unigram"] = "bpe"
    """the SentencePiece algorithm"""
    tone_placement: Literal["auto", "old", "new"] = "auto"
    """of generated text: "hòa" (old), "hoà" (new), or what the training text mostly uses"""
    split_digits: bool = True
    """a token for each digit; false where the numbers are few and always the same"""
    words: Annotated[float, Field(ge=0, le=0.8)] | None = None
    """share of the tokens for words of several syllables ("Việt Nam"); by default half of them, if
    that leaves 3,072 for the rest"""


@settings
class ModelSettings:
    preset: Literal["nano", "tiny", "small", "base"] = "nano"
    """size: about 1, 4, 15 or 124 million parameters"""
    decoder: Literal["modern", "classic"] = "modern"
    """decoder layer: RMSNorm, RoPE, SwiGLU (modern) or GPT-2's (classic)"""
    num_layers: Size | None = None
    """instead of the preset's"""
    num_heads: Size | None = None
    """instead of the preset's"""
    hidden_dim: Size | None = None
    """instead of the preset's"""
    intermediate_dim: Size | None = None
    """instead of the preset's"""
    embeddings: Literal["cooccurrence", "random"] = "cooccurrence"
    """start of the embeddings of a new model: how often tokens stand near each other, or random"""
    token_features: bool = True
    """tokens with a syllable, an onset, a rhyme or a tone in common learn from each other"""
    dtype: Literal["float32", "mixed_bfloat16", "mixed_float16", "bfloat16"] = "float32"
    """precision; mixed_bfloat16 suits recent GPUs, mixed_float16 a T4"""


@settings
class ExportSettings:
    text: bool = True
    """text signatures too (the process that loads it needs tensorflow_text)"""
    weights: Literal["float32", "bfloat16", "float16", "int8"] = "float32"
    """how its matrices are kept: int8 is a quarter of the bytes, and answers one request faster"""


@settings
class FitSettings:
    name: str = "default"
    """name of the run folder"""
    folder: str = "runs"
    """where run folders stand"""
    init: str | None = None
    """an earlier run folder to start from: its settings, its tokenizer, its weights; or a preset
    folder of a KerasHub model"""
    stages: list[Literal[tuple(TASKS)]] = field(default_factory=lambda: list(DEFAULT_STAGES))
    """kinds of training, one after the other"""
    skip: list[Literal[(*TASKS, *FINAL_PHASES)]] = field(default_factory=list)
    """phases to leave out"""
    check: bool | Literal["json"] = False
    """look at the data alone: what each file was taken for, every fault, the rows, the cuts;
    nothing is trained. json prints all that as JSON instead, to be read by a program"""
    restart: bool = False
    """throw away what an earlier run of this name left, instead of going on from it"""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """seed of initial weights, order and dropout"""
    devices: Annotated[int, Field(ge=1, le=1024)] = 1
    """GPUs of this machine that share the rows of a step"""
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)
    export: ExportSettings = field(default_factory=ExportSettings)

    @property
    def tasks(self):
        """The tasks that this run trains, in order."""
        return [TASKS[name] for name in self.stages if name not in self.skip]


def old_names():
    """Flags that had another name: to the name of today, or `None` for what is gone."""
    current = flatten(dataclasses.asdict(FitSettings()))
    names = dict(MOVED) | {f"{task}.{name}": None for task in TASKS for name in GONE}
    for name in current:
        for old, new in RENAMED.items():
            if name.endswith(f".{new}"):
                names[f"{name.removesuffix(new)}{old}"] = name
    return names


def with_current_names(values, tell=True):
    """Settings, nested or dotted, under the names of today; what is gone is said and left out."""
    current, names = {}, old_names()
    for name, value in flatten(values).items():
        if name not in names:
            current[name] = value
        elif names[name]:
            current[names[name]] = value
        elif tell:
            print(f"{name}: is no longer a setting, and not used")
    return current


def resolve_settings(config, given):
    """Defaults, then the run to start from, then the YAML file, then what is given here.

    Returns:
        `(FitSettings, values)`, the values as a nested dictionary for config.yaml.
    """
    given = with_current_names(given)
    from_file = with_current_names(read_yaml(config)) if config else {}
    chosen = {**from_file, **given}
    inherited = _inherited(chosen) if chosen.get("init") is not None else {}
    settings = FitSettings(
        **resolve(FitSettings, ("", inherited), (config or "", from_file), ("", given))
    )
    if faults := [*_faults(settings), *_not_changed(settings, chosen, inherited)]:
        raise UserError(faults)
    return settings, dataclasses.asdict(settings)


def _faults(settings):
    """What is wrong with settings that are right one by one."""
    model, faults = settings.model, []
    if not settings.tasks:
        faults.append("skip: leaves nothing to train; skip fewer of --stages")
    if len(set(settings.stages)) < len(settings.stages):
        faults.append(f"stages: each once. Received: {' '.join(settings.stages)}")
    size = architecture(model)
    if size["hidden_dim"] % (2 * size["num_heads"]):
        faults.append(
            f"model.hidden_dim: must be an even multiple of model.num_heads. "
            f"Received: {size['hidden_dim']} and {size['num_heads']}"
        )
    if model.decoder == "classic" and settings.export.weights != "float32":
        faults.append(
            "export.weights: the classic decoder is exported in float32 alone. "
            f"Received: {settings.export.weights}"
        )
    if not re.fullmatch(r"\w[\w .-]{0,99}", settings.name):
        faults.append(
            "name: must be letters, digits, spaces and . _ - , at most 100 of them. "
            f"Received: {settings.name!r}"
        )
    for name in TASKS:
        own = getattr(settings, name)
        if own.batch_size % own.gradient_accumulation_steps:
            faults.append(
                f"{name}.gradient_accumulation_steps: must divide {name}.batch_size, "
                f"{own.batch_size}. Received: {own.gradient_accumulation_steps}"
            )
        if (own.validation_share or 0) + (own.test_share or 0) >= 1:
            faults.append(
                f"{name}.validation_share: and test_share leave nothing to train on. "
                f"Received: {own.validation_share} and {own.test_share}"
            )
    for task in settings.tasks:
        own = getattr(settings, task.name)
        rows = own.batch_size // own.gradient_accumulation_steps
        if rows % settings.devices:
            faults.append(
                f"devices: must divide the rows that are computed at once, {rows} in {task.name}. "
                f"Received: {settings.devices}"
            )
            break
    run = Path(settings.folder, settings.name)
    if settings.init and settings.restart and Path(settings.init).resolve() == run.resolve():
        faults.append("init: is the run that --restart would throw away. Take another --name")
    return faults


def _not_changed(settings, chosen, inherited):
    """Faults for what comes with the run to start from and cannot be another."""
    return [
        f"{name}: comes with --init {settings.init}; leave it out"
        for name, value in chosen.items()
        if settings.init
        and name.startswith(("model.", "tokenizer."))
        and name not in ("model.dtype", "model.token_features")
        and str(inherited.get(name, value if inherited else None)) != str(value)
    ]


def _inherited(chosen):
    """The settings of the run to start from; what is other than there, or by default, is said."""
    if not Run(chosen["init"]).exists and Path(chosen["init"], "config.json").is_file():
        return {}  # a preset of KerasHub: it has a model and a tokenizer, and no settings
    settings = with_current_names(Run.open(chosen["init"]).settings, tell=False)
    left_out = set(OF_ONE_RUN)
    for task in TASKS:
        if f"{task}.data" in chosen:
            left_out |= {f"{task}.{name}" for name in OF_DATA}
    settings = {name: value for name, value in settings.items() if name not in left_out}
    overridden = [n for n, old in settings.items() if _shown(chosen.get(n, old)) != _shown(old)]
    defaults = flatten(dataclasses.asdict(FitSettings()))
    idle = tuple(f"{task}." for task in chosen.get("skip") or ())
    own = [
        f"{name} {_shown(value)}"
        for name, value in settings.items()
        if value != defaults.get(name) and name not in overridden and not name.startswith(idle)
    ]
    print(f"init: the settings of {chosen['init']}{', except' if overridden else ''}")
    for name in overridden:
        print(f"  {name} {_shown(chosen[name])} (there {_shown(settings[name])})")
    if own:
        text = f"other than by default: {', '.join(own)}"
        lines = textwrap.wrap(text, 98, break_long_words=False, break_on_hyphens=False)
        print(textwrap.indent("\n".join(lines), "  "))
    return settings


def _shown(value):
    """A value as one writes it: of a flag, of YAML and of Python alike."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)
