"""One stage of a run: its model made, its arithmetic shown, trained, and saved."""

import json
import math
import random
import time
from functools import partial

import keras

from keras_vngpt.data.rows import Mixture, Rows
from keras_vngpt.errors import UserError
from keras_vngpt.files import atomic_write, verify_checksums, write_checksums
from keras_vngpt.generation.loading import find_preset
from keras_vngpt.generation.model_generator import ModelGenerator
from keras_vngpt.models.backbone import VnGPTBackbone
from keras_vngpt.models.causal_lm import VnGPTCausalLM
from keras_vngpt.runs.counting import count
from keras_vngpt.runs.origins import origins
from keras_vngpt.runs.prepare import make_preprocessor
from keras_vngpt.runs.run import Run
from keras_vngpt.runs.settings import architecture
from keras_vngpt.text.features import token_features
from keras_vngpt.text.tokenizer import load_tokenizer
from keras_vngpt.training.stage import Plan, train_stage

EXCERPT = 24  # new tokens of a sample that goes on from a beginning
FEW_STEPS = 150  # with fewer, 70 questions and answers are half learned


def run_stage(stage, run, settings):
    """Train one stage, leave its model in the run folder as a KerasHub preset, return figures."""
    # Keras draws its seeds from here. (tf.random.set_seed would end the life of the tokenizers.)
    random.seed(f"{settings.seed} {stage}")
    stage_settings = getattr(settings, stage)
    folders = [run / "work" / stage / side for side in ("train", "validation")]
    for folder in folders:
        verify_checksums(folder)
    rows, validation_rows = map(Rows.load, folders)
    mixture = Mixture.load(run / "work" / stage / "train")
    plan = Plan.of(rows, stage_settings, run.metrics.get(f"{stage}.passes", 1))
    start = start_of(stage, run, settings)
    model = make_model(stage, run, settings, start)
    announce(stage, plan, model)
    if start is None:
        features, ngrams = count(stage, run, settings, model, rows, plan, mixture)
    else:
        features, ngrams = token_features(model.preprocessor.tokenizer), None
    print()
    generator = ModelGenerator(model, "request" if stage == "finetune" else "text")
    room = EXCERPT if stage == "pretrain" else None

    def answer(prompts):
        generator.refresh()
        return [t.decode(errors="replace") for t in generator.generate(prompts, room).numpy()]

    figures = train_stage(
        stage,
        model,
        rows,
        validation_rows.subsample(stage_settings.validation_rows),
        stage_settings,
        plan,
        run / "work" / stage / "checkpoint",
        settings.seed,
        mixture,
        bits_per_nat=run.metrics[f"{stage}.validation_bits_per_nat"],
        prompts=run.prompts[stage],
        answer=answer,
        origins=partial(origins, stage, settings, model.preprocessor),
        history=run / "history.csv",
        samples=run / "samples.jsonl",
        tensorboard=run / "tensorboard" / stage,
        token_features=features if stage_settings.token_features else None,
        ngrams=ngrams,
    )
    with atomic_write(run / stage, durable=True) as preset:
        model.save_to_preset(str(preset))
        write_checksums(preset)
    figures |= {
        "batch_size": plan.batch_size,
        "epochs": figures["steps"] * plan.batch_size / plan.rows,
    }
    return {
        "parameters": model.count_params(),
        **{f"{stage}.{name}": value for name, value in figures.items()},
    }


def start_of(stage, run, settings):
    """The folder of the model that a stage goes on with: of the stage before, of an earlier run."""
    if stage == "finetune" and run.is_done("pretrain"):
        if not (run / "pretrain").is_dir():
            raise UserError(f"{run / 'pretrain'}: is gone. --restart makes the run anew")
        verify_checksums(run / "pretrain")
        return run / "pretrain"
    if not settings.init:
        return None
    init = Run(settings.init)
    preset = find_preset(init / "pretrain") or find_preset(init)
    if preset:
        verify_checksums(preset)
    return preset


def make_model(stage, run, settings, start):
    """The model in a folder, for a stage, or a new one."""
    tokenizer = load_tokenizer(run / "tokenizer")
    preprocessor = make_preprocessor(stage, settings, tokenizer)
    longest = max(
        getattr(settings, s).sequence_length
        for s in ("pretrain", "finetune")
        if s not in settings.skip
    )
    sizes = architecture(settings.model) | {"vocabulary_size": tokenizer.vocabulary_size()}
    of_this_stage = {
        "max_sequence_length": longest,
        "dropout": getattr(settings, stage).dropout,
        "gradient_checkpointing": getattr(settings, stage).gradient_checkpointing,
        "dtype": settings.model.dtype,
    }
    if start is None:
        backbone = VnGPTBackbone(**sizes, decoder=settings.model.decoder, **of_this_stage)
    else:
        config = json.loads((start / "config.json").read_text())["config"]
        if config["decoder"] == "classic":  # its positions are weights
            of_this_stage["max_sequence_length"] = config["max_sequence_length"]
            if config["max_sequence_length"] < longest:
                raise UserError(
                    f"{stage}.sequence_length: {longest}; the classic decoder of {start} has "
                    f"positions for {config['max_sequence_length']}"
                )
        backbone = VnGPTBackbone.from_preset(str(start), **of_this_stage)
    return VnGPTCausalLM(backbone, preprocessor)


def announce(stage, plan, model):
    """Print the arithmetic before the training."""
    parameters = model.count_params()
    seconds = plan.tokens * 6 * parameters / (0.4 * matrix_rate(model.backbone.compute_dtype))
    print(f"\n{stage}")
    print(f"  parameters      {parameters:,} ({model.backbone.dtype_policy.name})")
    print(f"  tokens a step   {plan.tokens_per_step:,.0f} in {plan.batch_size} rows")
    print(
        f"  steps           {plan.steps:,} = {plan.tokens:,} tokens "
        f"= {plan.steps * plan.batch_size / plan.rows:.2f} passes"
    )
    if stage == "finetune" and plan.steps < FEW_STEPS:
        passes = math.ceil(FEW_STEPS * plan.batch_size / plan.rows)
        print(f"  few steps       a small set is learned in more: --finetune.epochs {passes}")
    if plan.short_steps:
        print(f"  short rows      the first {plan.short_steps:,} steps: of {plan.length // 2}")
    print(f"  estimated time  {clock(seconds)}, and compilation before the first step")


def matrix_rate(dtype):
    """Floating-point operations a second in a matrix product, for the estimate of the time."""
    matrix = keras.ops.ones((1024, 1024), dtype)
    keras.ops.convert_to_numpy(keras.ops.matmul(matrix, matrix))
    begin = time.perf_counter()
    for _ in range(5):
        keras.ops.convert_to_numpy(keras.ops.matmul(matrix, matrix))
    return 5 * 2 * 1024**3 / (time.perf_counter() - begin)


def clock(seconds):
    """Seconds as people read them."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s"
