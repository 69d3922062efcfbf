"""Every setting of a run, with its default and a sentence about it; how they are put together."""

import dataclasses
import re
from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from keras_vngpt.config import flatten, read_yaml, resolve, settings
from keras_vngpt.errors import UserError
from keras_vngpt.models.backbone import PRESETS
from keras_vngpt.runs.run import Run

# What another run does not inherit.
OF_ONE_RUN = ("name", "folder", "init", "skip", "check", "restart")

Count = Annotated[int, Field(ge=1, le=10**12)]
Size = Annotated[int, Field(ge=1, le=2**16)]
Length = Annotated[int, Field(ge=8, le=2**16)]
Share = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


@settings
class TokenizerSettings:
    vocabulary_size: Annotated[int, Field(ge=300, le=2**20)] | None = None
    """tokens; by default the model preset's, or fewer where the text supports fewer"""
    kind: Literal["bpe", "unigram"] = "bpe"
    """the SentencePiece algorithm"""
    tone_placement: Literal["auto", "old", "new"] = "auto"
    """of generated text: "hòa" (old), "hoà" (new), or what the training text mostly uses"""
    split_digits: bool = True
    """a token for each digit; false where the numbers are few and always the same"""
    words: Annotated[float, Field(ge=0, le=0.8)] | None = None
    """share of the tokens for words of several syllables ("Việt Nam"); nothing for half of them,
    if that leaves 3,072 for the rest"""


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
    """what those of a new model start from: how often tokens are near each other, or chance"""
    dtype: Literal["float32", "mixed_bfloat16", "mixed_float16", "bfloat16"] = "float32"
    """precision; mixed_bfloat16 suits recent GPUs, mixed_float16 a T4"""


@settings
class StageSettings:
    sequence_length: Length = 128
    """positions in a row"""
    batch_size: Size = 16
    """rows in a step"""
    gradient_accumulation_steps: Size = 1
    """parts that the rows of a step are computed in, one after the other, to save memory; the
    result is the same"""
    gradient_checkpointing: bool = False
    """make activations again on the way back instead of keeping them, to save memory (modern)"""
    epochs: Positive = 1
    """passes over the rows; a part of a pass is fine"""
    tokens: Count | None = None
    """stop after this many tokens instead of after `epochs`"""
    evaluations: Size = 5
    """times to validate and answer the sample prompts; an epoch of the progress bar"""
    checkpoint_minutes: NotNegative = 1.0
    """save the state of training this often; more seldom where that took over 2% of the time"""
    keep_checkpoints: Size = 2
    """saved states that are kept: where the last one is damaged, the one before it serves"""
    optimizer: Literal["muon", "adamw"] = "muon"
    """muon takes the hidden matrices, with AdamW for the rest; adamw takes all"""
    token_features: bool = True
    """tokens with a syllable, an onset, a rhyme or a tone in common learn from each other, in a new
    model also those that stand near the same ones"""
    learning_rate: Positive = 6e-3
    """at the end of the warm-up"""
    warmup: Share = 0.01
    """share of the steps over which the learning rate rises"""
    final_learning_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """what it falls to, in a line, as a share of `learning_rate`"""
    weight_decay: NotNegative = 0.01
    """decoupled, on the matrices"""
    dropout: Share = 0.0
    """share of the activations dropped in training"""
    clip_norm: NotNegative = 1.0
    """largest norm of all gradients together; 0 for no limit"""
    jit_compile: Literal["auto", "true", "false"] = "auto"
    """compile all of the training step with XLA, not parts alone; auto as it was measured to be
    faster"""
    validation_share: Share = 0.1
    """share of the data to validate on, picked by the hash of its text"""
    test_share: Share = 0.1
    """share of the data for the final figures, picked by the hash of its text"""
    validation_rows: Count = 4096
    """validate on at most this many rows, picked evenly"""
    split_column: str | None = None
    """a column of train, validation and test, that parts the data instead of the shares"""


@settings
class CleanSettings:
    control: bool = True
    """take out control characters and those that nobody sees"""
    markup: bool = True
    """take out what HTML and wiki markup leave behind"""
    lines: bool = True
    """take out lines that a document repeats"""
    length: Annotated[int, Field(ge=0)] = 20
    """leave out documents of fewer characters; 0 keeps them"""
    language: str = "vi"
    """leave out documents in another language; '' keeps them"""
    exact: bool = True
    """leave out documents that stood before"""
    near: Share = 0.8
    """leave out documents that share this part with an earlier one (MinHash); 0 keeps them"""


@settings
class PretrainSettings(StageSettings):
    data: list[str] = field(default_factory=lambda: ["samples:prose"])
    """files, folders, globs or tfds:NAME of text; "a.txt:0.7 b.txt:0.3" mixes them so"""
    text_column: str = "text"
    """where the text stands in JSONL, CSV, TSV, Parquet and TFDS"""
    clean: CleanSettings = field(default_factory=CleanSettings)
    validation_data: list[str] = field(default_factory=list)
    """text to validate on, instead of a share of `data`"""
    test_data: list[str] = field(default_factory=list)
    """text for the final figure, instead of a share of `data`"""
    epochs: Positive = 6
    """passes over the rows; a part of a pass is fine"""
    learning_rate: Positive = 8e-3
    """at the end of the warm-up; with adamw rather 3e-3"""
    short_sequences: Share = 0.6
    """share of the steps, the first ones, whose rows are halves of two others: more texts at once
    while what stands near matters most"""
    soft_targets: Annotated[float, Field(ge=0, le=1)] = 1.0
    """part of each target of a new model that goes to what followed the same two tokens elsewhere
    in the text; it falls to a fifth of that; 0 for the token that came alone"""
    prompts: list[str] | None = None
    """beginnings that the model goes on from at each evaluation; nothing for some of the data"""


@settings
class FinetuneSettings(StageSettings):
    data: list[str] = field(default_factory=lambda: ["samples:home_train.jsonl"])
    """JSONL, CSV, TSV or Parquet files, folders, globs or tfds:NAME, of requests and responses"""
    request_column: str | None = None
    """the name of the request in them, instead of request or prompt"""
    response_column: str | None = None
    """the name of the response in them, instead of response or completion"""
    validation_data: list[str] = field(default_factory=list)
    """requests to validate on, instead of a share of `data`"""
    test_data: list[str] | None = None
    """requests for the final figures; with the samples' `data` the samples' own, else a share"""
    epochs: Positive = 20
    """passes over the rows; a part of a pass is fine"""
    patience: Annotated[int, Field(ge=0)] = 3
    """stop after this many evaluations that are no better; 0 never stops"""
    replay: Annotated[float, Field(ge=0, le=1)] | None = None
    """weight of the pre-training text that fills what is left of the rows, so that less of it is
    forgotten; 0 leaves them empty; nothing for 0.1 where they would be less than 95% full"""
    eos_weight: Annotated[float, Field(ge=0, le=1)] = 1.0
    """weight of the end-of-answer token in the loss"""
    prompts: list[str] | None = None
    """requests that the model answers at each evaluation; nothing for some of the data"""


@settings
class ExportSettings:
    text: bool = True
    """text signatures too (the process that loads it needs tensorflow_text)"""
    weights: Literal["float32", "bfloat16", "float16", "int8"] = "float32"
    """how its matrices are kept: int8 is a quarter of the bytes, and answers one request faster"""


@settings
class FitSettings:
    name: str = "default"
    """of the run"""
    folder: str = "runs"
    """where run folders stand"""
    init: str | None = None
    """an earlier run folder to start from: its settings, its tokenizer, its weights"""
    skip: list[Literal["pretrain", "finetune", "evaluate", "export"]] = field(default_factory=list)
    """phases to leave out"""
    check: bool = False
    """look at the data alone: every fault, the rows, the cuts; nothing is trained"""
    restart: bool = False
    """throw away what an earlier run of this name left, instead of going on from it"""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """of initial weights, order and dropout"""
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)
    export: ExportSettings = field(default_factory=ExportSettings)


def resolve_settings(config, given):
    """Defaults, then the run to start from, then the YAML file, then what is given here.

    Returns:
        `(FitSettings, values)`, the values as a nested dictionary for config.yaml.
    """
    given = flatten(given)
    from_file = flatten(read_yaml(config)) if config else {}
    chosen = {**from_file, **given}
    inherited = _inherited(chosen) if chosen.get("init") is not None else {}
    settings = FitSettings(
        **resolve(FitSettings, ("", inherited), (config or "", from_file), ("", given))
    )
    faults = [
        f"{name}: comes with --init {settings.init}; leave it out"
        for name, value in chosen.items()
        if name.startswith(("model.", "tokenizer."))
        and name != "model.dtype"
        and str(inherited.get(name, value)) != str(value)
    ]
    size = architecture(settings.model)
    if size["hidden_dim"] % (2 * size["num_heads"]):
        faults.append(
            f"model.hidden_dim: must be an even multiple of model.num_heads. "
            f"Received: {size['hidden_dim']} and {size['num_heads']}"
        )
    if settings.model.decoder == "classic" and settings.export.weights != "float32":
        faults.append(
            "export.weights: the classic decoder is exported in float32 alone. "
            f"Received: {settings.export.weights}"
        )
    if {"pretrain", "finetune"} <= set(settings.skip):
        faults.append("skip: leaves nothing to train; skip pretrain or finetune, not both")
    if not re.fullmatch(r"\w[\w .-]{0,99}", settings.name):
        faults.append(
            "name: must be letters, digits, spaces and . _ - , at most 100 of them. "
            f"Received: {settings.name!r}"
        )
    run = Path(settings.folder, settings.name)
    for stage in ("pretrain", "finetune"):
        of_stage = getattr(settings, stage)
        if of_stage.batch_size % of_stage.gradient_accumulation_steps:
            faults.append(
                f"{stage}.gradient_accumulation_steps: must divide {stage}.batch_size, "
                f"{of_stage.batch_size}. Received: {of_stage.gradient_accumulation_steps}"
            )
        shares = getattr(settings, stage).validation_share, getattr(settings, stage).test_share
        if sum(shares) >= 1:
            faults.append(
                f"{stage}.validation_share: and test_share leave nothing to train on. "
                f"Received: {shares[0]} and {shares[1]}"
            )
    if settings.init and settings.restart and Path(settings.init).resolve() == run.resolve():
        faults.append("init: is the run that --restart would throw away. Take another --name")
    if faults:
        raise UserError(faults)
    return settings, dataclasses.asdict(settings)


def _inherited(chosen):
    """The settings of the run to start from, each printed with what becomes of it."""
    settings = flatten(Run.open(chosen["init"]).settings)
    left_out = set(OF_ONE_RUN)
    for stage in ("pretrain", "finetune"):
        if f"{stage}.data" in chosen:  # other data brings its own tests and prompts
            left_out |= {f"{stage}.{n}" for n in ("validation_data", "test_data", "prompts")}
    settings = {name: value for name, value in settings.items() if name not in left_out}
    overridden = [n for n, value in settings.items() if str(chosen.get(n, value)) != str(value)]
    for name, value in settings.items():
        if name not in overridden:
            print(f"inherited:  {name} = {value}")
    for name in overridden:  # last, for they are few
        print(f"overridden: {name} = {chosen[name]} (was {settings[name]})")
    return settings


def architecture(model):
    """The sizes that a `ModelSettings` asks for."""
    sizes = PRESETS[model.preset]
    return {name: getattr(model, name, None) or sizes[name] for name in sizes}
