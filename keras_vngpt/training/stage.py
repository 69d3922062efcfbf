"""One stage of training: `model.fit` on rows, from the state that was saved last."""

import math
from dataclasses import dataclass

import keras

from keras_vngpt.console import verbosity
from keras_vngpt.data.pipeline import (
    evaluation_batches,
    normalized,
    training_batches,
    with_soft_share,
)
from keras_vngpt.interruption import Signals
from keras_vngpt.models.scores import Scores
from keras_vngpt.training.callbacks import History, SampleAnswers, Throughput, Validation
from keras_vngpt.training.checkpoint import Checkpoint
from keras_vngpt.training.finite import StopWhereNotFinite
from keras_vngpt.training.memory import check_memory
from keras_vngpt.training.optimizers import LossScale, make_optimizer
from keras_vngpt.training.trainer import Trainer

LAST_SOFT_SHARE = 0.2  # of the first, at the end


@dataclass(frozen=True)
class Plan:
    """The arithmetic of a stage.

    Args:
        rows: float, rows of one pass over the data.
        fill: float, share of the positions that hold a token.
        batch_size: int, rows in a step.
        length: int, positions in a row.
        steps: int, in all.
        steps_per_epoch: int, steps from one evaluation to the next.
        gradient_accumulation_steps: int, parts that a step is computed in.
        short_steps: int, how many steps from the first on have rows of two halves.
    """

    rows: float
    fill: float
    batch_size: int
    length: int
    steps: int
    steps_per_epoch: int
    gradient_accumulation_steps: int = 1
    short_steps: int = 0

    @classmethod
    def of(cls, rows, settings, passes=1):
        """The plan that the settings of a stage make for rows that are so many passes."""
        n_rows = len(rows) / passes
        parts = settings.gradient_accumulation_steps
        batch_size = parts * math.ceil(min(settings.batch_size, n_rows) / parts)
        positions = batch_size * rows.length
        if settings.tokens:
            steps = math.ceil(settings.tokens / (positions * rows.fill))
        else:
            steps = math.ceil(settings.epochs * n_rows / batch_size)
        # As many evaluations as asked, or up to half of them fewer, where that fits better.
        most = min(settings.evaluations, steps)
        epochs = min(
            range(most, most // 2, -1), key=lambda n: abs(max(1, round(steps / n)) * n - steps)
        )
        per_epoch = max(1, round(steps / epochs))
        steps = epochs * per_epoch
        short = round(getattr(settings, "short_sequences", 0.0) * steps)
        return cls(n_rows, rows.fill, batch_size, rows.length, steps, per_epoch, parts, short)

    @property
    def tokens_per_step(self):
        return self.batch_size * self.length * self.fill

    @property
    def tokens(self):
        return round(self.steps * self.tokens_per_step)


def train_stage(
    stage,
    model,
    rows,
    validation_rows,
    settings,
    plan,
    folder,
    seed,
    mixture,
    bits_per_nat,
    prompts,
    answer,
    origins,
    history,
    samples,
    tensorboard,
    token_features=None,
    ngrams=None,
):
    """Train a model on packed rows, going on from where an earlier call was interrupted.

    Args:
        stage: "pretrain" or "finetune".
        model: a KerasHub `CausalLM`.
        rows: `Rows` to train on.
        validation_rows: `Rows`.
        settings: `PretrainSettings` or `FinetuneSettings`.
        plan: `Plan`.
        folder: where the state is saved.
        seed: int, of the order.
        mixture: optional `Mixture` of the rows.
        bits_per_nat: float, from validation loss to bits per byte.
        prompts: list of str, answered at each evaluation.
        answer: function from prompts to texts, for the samples.
        origins: function from token ids and segment ids of rows to a phrase, where they are from.
        history: path of the CSV file with the curves.
        samples: path of the JSONL file with the sample answers.
        tensorboard: folder of the TensorBoard logs.
        token_features: optional, from `keras_vngpt.text.features.token_features`.
        ngrams: optional `NGrams`, for the part of the targets that `settings` say.

    Returns:
        A dictionary: `steps`, `tokens`, `best_step`, `validation_loss`, `bits_per_byte`,
        `validation_right`, the share of whole responses that are right, and `checkpoint_seconds`,
        that this process spent on writing states.

    Raises:
        UserError: a step does not fit into memory; the gradients are not finite, several steps in a
            row.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, once the state is saved.
    """
    check_memory(stage, model, plan)
    optimizer = make_optimizer(settings, plan.steps, token_features)
    if model.backbone.dtype_policy.name == "mixed_float16":
        optimizer = LossScale(optimizer)
    trainer = Trainer(model, ngrams)
    trainer.compile(optimizer=optimizer, jit_compile=compiles(settings.jit_compile))
    batches, scores = evaluation_batches(validation_rows, plan.batch_size), Scores(model)

    def measure():
        """Loss, and the share of whole responses that are right: of texts, none ever is."""
        loss, right = scores(batches)
        return loss, right if stage == "finetune" else 0.0

    def in_order(start, stop):
        return training_batches(rows, plan.batch_size, seed, start, stop, mixture, plan.short_steps)

    def in_parts(start, stop):
        """What a call of `fit` trains on."""
        batches = in_order(start, stop)
        if ngrams:
            share = settings.soft_targets
            batches = with_soft_share(batches, share, share * LAST_SOFT_SHARE, start, plan.steps)
        return normalized(batches, plan.gradient_accumulation_steps)

    def explain(step):
        """Where the rows of a step come from."""
        x, *_ = next(iter(in_order(step, step + 1)))
        return origins(x["token_ids"], x["padding_mask"])

    signals = Signals()
    every = max(1, plan.steps // 100) * plan.gradient_accumulation_steps
    curves = History(history, stage, plan.tokens_per_step, every)
    answers = SampleAnswers(answer, prompts, samples, stage)
    checkpoint = Checkpoint(
        folder,
        curves,
        signals,
        settings.checkpoint_minutes,
        settings.keep_checkpoints,
        getattr(settings, "patience", 0),
    )
    step = checkpoint.restore(trainer, plan.steps_per_epoch)
    if step:
        print(f"  going on from step {step:,} of {plan.steps:,}")
    # The state comes last: what it calls evaluated is on the curves and among the samples.
    evaluation = [
        Validation(measure, bits_per_nat),
        curves,
        answers,
        StopWhereNotFinite(stage, curves, explain),
        checkpoint,
    ]
    evaluated = checkpoint.state["evaluated_step"]
    curves.go_on(step, evaluated)
    answers.go_on(evaluated)
    callbacks = [
        Throughput(plan.tokens_per_step / plan.gradient_accumulation_steps),
        *evaluation,
        keras.callbacks.TensorBoard(tensorboard, write_graph=False),
    ]
    epochs = plan.steps // plan.steps_per_epoch
    with signals:
        try:
            if step > evaluated and step % plan.steps_per_epoch == 0:  # interrupted in between
                keras.callbacks.CallbackList(evaluation, model=trainer).on_epoch_end(
                    step // plan.steps_per_epoch - 1
                )
            while step < plan.steps and not checkpoint.state["stopped"]:
                done = step % plan.steps_per_epoch  # of an epoch that was interrupted: the rest
                epoch = step // plan.steps_per_epoch
                last = epoch + 1 if done else epochs
                stop = last * plan.steps_per_epoch
                signals.hold()  # until the checkpoint has put the metrics of the epoch back
                trainer.fit(
                    in_parts(step, stop),
                    initial_epoch=epoch,
                    epochs=last,
                    steps_per_epoch=(plan.steps_per_epoch - done)
                    * plan.gradient_accumulation_steps,
                    callbacks=callbacks,
                    shuffle=False,
                    verbose=verbosity(),
                )
                step = stop
        except KeyboardInterrupt:
            if not signals.is_held:  # else it is the second one, within a step
                signals.hold()
                checkpoint.save()
            print(f"\n  saved at step {checkpoint.state['step']:,} of {plan.steps:,}")
            raise
    steps = int(trainer.optimizer.iterations)
    checkpoint.restore_best(trainer)
    best = checkpoint.state
    return {
        "steps": steps,
        "tokens": round(steps * plan.tokens_per_step),
        "best_step": best["best_step"],
        "validation_loss": best["best_loss"],
        "validation_right": best["best_right"],
        "bits_per_byte": best["best_loss"] * bits_per_nat,
        "checkpoint_seconds": round(checkpoint.seconds_writing, 3),
    }


def compiles(setting):
    """Whether XLA compiles all of the training step; on TensorFlow's CPU kernels it never paid."""
    if setting != "auto":
        return setting == "true"
    return keras.config.backend() != "tensorflow"
