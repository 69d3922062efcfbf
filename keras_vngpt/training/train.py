"""The training loop: `model.fit` on the rows of a task, from the state that was saved last."""

import keras

from keras_vngpt.console import Progress, verbosity
from keras_vngpt.data.pipeline import evaluation_batches, normalized, training_batches
from keras_vngpt.families import family_of
from keras_vngpt.generation.model_generator import ModelGenerator
from keras_vngpt.interruption import Interruption
from keras_vngpt.models.validation_scores import Scores
from keras_vngpt.training.callbacks import (
    History,
    SampleAnswers,
    StepCounter,
    StopWhereNotFinite,
    TellStep,
    Throughput,
    Validation,
)
from keras_vngpt.training.checkpoint import Checkpoint
from keras_vngpt.training.devices import replicas
from keras_vngpt.training.memory import check_memory
from keras_vngpt.training.optimizers import LossScale, make_optimizer
from keras_vngpt.training.plan import Plan, print_plan
from keras_vngpt.training.recipe import make_recipe
from keras_vngpt.training.trainer import Trainer
from keras_vngpt.training.xla import fused

VALIDATION_ROWS = 4096  # at most, picked evenly


def train(model, task, data, settings, run):
    """Train a model on a task, going on from where an earlier call was interrupted.

    Args:
        model: a KerasHub `CausalLM`, whose `preprocessor` made the rows.
        task: `Task`.
        data: `TaskData`.
        settings: `FitSettings`.
        run: `Run`, where states, curves and samples are kept.

    Returns:
        A dictionary of figures: `steps`, `tokens`, `best_step`, `validation_loss`,
        `bits_per_byte`, `validation_right`, `batch_size`, `epochs`, `checkpoint_seconds`.

    Raises:
        UserError: a step does not fit into memory; the gradients are not finite, several steps in
            a row.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, once the state is saved.
    """
    own = getattr(settings, task.name)
    plan = Plan.of(data, task, own, settings.devices)
    print_plan(task, plan, model)
    check_memory(task.name, model, plan)
    is_new = run.start_of(task.name, settings) is None
    recipe = make_recipe(model, task, data, plan, settings, is_new)
    head = family_of(model).head(model, fuse=fused)

    counter, interruption = StepCounter(plan.parts), Interruption()
    folder = run / "work" / task.name / "checkpoint"
    checkpoint = Checkpoint(
        folder, counter, interruption, task.rank, own.checkpoint_minutes, own.patience
    )
    with replicas(settings.devices):
        trainer = Trainer(model, head, task.loss, recipe.ngrams)
        optimizer = make_optimizer(own, plan.steps, recipe.token_features)
        if model.backbone.dtype_policy.name == "mixed_float16":
            optimizer = LossScale(optimizer)
        trainer.compile(optimizer=optimizer, jit_compile=_compiles(own.jit_compile))
        checkpoint.restore(trainer, plan.steps_per_epoch)
    evaluation = [
        *_evaluation(task, model, head, data, plan, run, checkpoint),
        StopWhereNotFinite(task.name, counter),
        checkpoint,
    ]
    progress = Progress(task.name, plan.steps, "steps", is_shown=False)  # Keras has its own bar
    callbacks = [
        counter,
        TellStep(progress, counter),
        Throughput(plan.tokens_per_step / plan.parts),
        *evaluation,
        keras.callbacks.TensorBoard(run / "tensorboard" / task.name, write_graph=False),
    ]
    print(f"  going on from step {counter.step:,} of {plan.steps:,}\n" if counter.step else "")
    try:
        with interruption, progress:
            while not checkpoint.state["stopped"]:
                step, epoch = counter.step, counter.step // plan.steps_per_epoch
                if checkpoint.is_evaluation_due(plan.steps_per_epoch):
                    last = keras.callbacks.CallbackList(evaluation, model=trainer)
                    last.on_epoch_end(epoch - 1, {})
                elif step < plan.steps:
                    stop = (epoch + 1) * plan.steps_per_epoch
                    rows = data.train, plan.batch_size, settings.seed
                    batches = training_batches(*rows, step, stop, data.mixture)
                    batches = recipe.with_soft_share(batches, step, plan.steps)
                    trainer.fit(
                        normalized(batches, plan.parts),
                        initial_epoch=epoch,
                        epochs=plan.steps // plan.steps_per_epoch,
                        steps_per_epoch=(stop - step) * plan.parts,
                        callbacks=callbacks,
                        shuffle=False,
                        verbose=verbosity(),
                    )
                else:
                    break
        interruption.check()  # what came after the last step
    except KeyboardInterrupt:
        print(f"\n  saved at step {checkpoint.state['step']:,} of {plan.steps:,}")
        raise
    checkpoint.restore_best(trainer)
    best, steps = checkpoint.state["best"], counter.step
    return {
        "steps": steps,
        "tokens": round(steps * plan.tokens_per_step),
        "best_step": checkpoint.state["best_step"],
        "validation_loss": best["val_loss"],
        "validation_right": best["val_right"],
        "bits_per_byte": best["val_loss"] * data.bits_per_nat,
        "batch_size": plan.batch_size,
        "epochs": steps * plan.batch_size / plan.rows,
        "checkpoint_seconds": round(checkpoint.seconds_writing, 3),
    }


def _evaluation(task, model, head, data, plan, run, checkpoint):
    """The callbacks of an evaluation: the loss, the curves, the samples, in this order."""
    rows = data.validation.subsample(VALIDATION_ROWS)
    batches, scores = evaluation_batches(rows, plan.batch_size), Scores(model, head)
    answers_requests, counter = task.prompt_format == "request", checkpoint.counter
    form = {"prompt_format": task.prompt_format, "separator": family_of(model).separator}
    form |= run.learned(task)
    generator = ModelGenerator(model, **form) if data.prompts else None

    def answer(prompts):
        generator.refresh()
        texts = generator.generate(prompts, task.sample_tokens).numpy()
        return [text.decode(errors="replace") for text in texts]

    validation = Validation(lambda: scores(batches), data.bits_per_nat, answers_requests)
    history = History(run / "history.csv", task.name, plan, counter)
    samples = SampleAnswers(answer, data.prompts, run / "samples.jsonl", task.name, counter)
    history.resume(counter.step, checkpoint.state["evaluated_step"])
    samples.resume(checkpoint.state["evaluated_step"])
    return [validation, history, samples]


def _compiles(setting):
    """Whether XLA compiles all of the training step; on TensorFlow's CPU kernels it never paid."""
    if setting != "auto":
        return setting == "true"
    return keras.config.backend() != "tensorflow"
