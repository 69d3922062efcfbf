"""The phases of a run: train a task, evaluate, export."""

import random

from keras_vngpt.data.dataset import Mixture, PackedDataset
from keras_vngpt.data.prepared_rows import TaskData
from keras_vngpt.evaluation.bits_per_byte import nats_per_token
from keras_vngpt.evaluation.exact_match import exact_match
from keras_vngpt.evaluation.free_requests import answer_free_requests
from keras_vngpt.evaluation.refusals import calibrated, share, test_figures, trained_figures
from keras_vngpt.exporting.saved_model import save_generator
from keras_vngpt.families import FAMILIES, family_of, family_of_preset
from keras_vngpt.files import atomic_write, verify_checksums, write_checksums
from keras_vngpt.generation.loading import load_generator
from keras_vngpt.generation.refusal import Refusal
from keras_vngpt.runs.prepare import make_preprocessor
from keras_vngpt.runs.run import as_conversations, read_jsonl, write_jsonl
from keras_vngpt.text.tokenizer import load_tokenizer
from keras_vngpt.training.devices import replicas
from keras_vngpt.training.train import train

ASKED = {  # by what they are: the file of the answers, how they are called, their figures
    "validation": None,
    "test": ("answers.jsonl", "training never saw", test_figures),
    "trained": ("trained_answers.jsonl", "were trained on", trained_figures),
}


def train_task(run, task, settings):
    """Train a task, leave its model in the run folder as a KerasHub preset, return figures."""
    # Keras draws its seeds from here. (tf.random.set_seed would end the life of the tokenizers.)
    random.seed(f"{settings.seed} {task.name}")
    data = load_data(run, task)
    tokenizer = load_tokenizer(run / "tokenizer")
    preprocessor = make_preprocessor(task, settings, tokenizer, **run.learned(task))
    with replicas(settings.devices):
        model = make_model(run, task, settings, preprocessor)
    figures = train(model, task, data, settings, run)
    with atomic_write(run / task.name, durable=True) as preset:
        family_of(model).save(model, preset, preprocessor)
        write_checksums(preset)
    named = {f"{task.name}.{name}": value for name, value in figures.items()}
    return {"parameters": model.count_params(), **named}


def load_data(run, task):
    """The `TaskData` of a run.

    Raises:
        UserError: it is damaged.
    """
    work, metrics = run / "work" / task.name, run.metrics
    sides = [work / side for side in ("train", "validation")]
    for folder in sides:
        verify_checksums(folder)
    return TaskData(
        *map(PackedDataset.load, sides),
        mixture=Mixture.load(work / "train"),
        passes=metrics.get(f"{task.name}.passes", 1),
        epochs=metrics.get(f"{task.name}.default_epochs", TaskData.epochs),
        bits_per_nat=metrics[f"{task.name}.validation_bits_per_nat"],
        prompts=run.prompts.get(task.name, []),
    )


def make_model(run, task, settings, preprocessor):
    """The model that a task goes on with, or a new one."""
    own = getattr(settings, task.name)
    arguments = {
        "max_sequence_length": max(
            getattr(settings, t.name).sequence_length for t in settings.tasks
        ),
        "dropout": own.dropout,
        "gradient_checkpointing": own.gradient_checkpointing,
        "dtype": settings.model.dtype,
    }
    start = run.start_of(task.name, settings)
    if start is None:
        return FAMILIES["vngpt"].build(settings.model, preprocessor, **arguments)
    return family_of_preset(start).load(start, preprocessor, **arguments)


def evaluate_run(run, settings):
    """The final figures, on text and requests that training never saw."""
    figures = {}
    for task in settings.tasks:
        work = run / "work" / task.name
        if (work / "test").exists():
            rows = PackedDataset.load(work / "test")
            print(f"\nevaluate: {len(rows):,} rows of text that training never saw")
            per_nat = run.metrics[f"{task.name}.test_bits_per_nat"]
            bits = nats_per_token(run / task.name, rows) * per_nat
            figures[f"{task.name}.test_bits_per_byte"] = bits
        if task.prompt_format == "request":
            of_task = ask(run, task, getattr(settings, task.name).refusal)
            figures |= {f"{task.name}.{name}": value for name, value in of_task.items()}
    return figures


def ask(run, task, sentence):
    """Ask the trained model, write its answers, return figures.

    Args:
        run: `Run`.
        task: `Task`.
        sentence: str, what it says where it knows no answer.
    """
    places = {name: run / "work" / task.name / f"{name}.jsonl" for name in ASKED}
    if not places["test"].exists():
        places["test"] = run / "work" / "test.jsonl"  # where version 0.1 had it
    asked = {n: as_conversations(read_jsonl(p)) for n, p in places.items() if p.is_file()}
    figures, preset = {}, run / task.name
    generator = load_generator(preset)
    if calibration := asked.pop("validation", None):
        below = calibrated(exact_match(generator, calibration, refuse_below=0.0), sentence)
        generator.refusal = Refusal(below, sentence)
        generator.refusal.save(preset)
        figures["refuse_below"] = below
    for name, conversations in asked.items():
        file, what, figures_of = ASKED[name]
        print(f"\nevaluate: {len(conversations):,} requests that {what}")
        answers = exact_match(generator, conversations)
        write_jsonl(run / file, answers)
        figures |= figures_of(answers, sentence)
    free = run / "work" / task.name / "free.jsonl"
    if free.is_file():
        items = read_jsonl(free)
        print(f"\nevaluate: {len(items):,} requests in free words")
        answers = answer_free_requests(generator, items)
        write_jsonl(run / "free_answers.jsonl", answers)
        figures |= {"free_requests": len(answers), "free_right": share(answers, "correct")}
    return figures


def export_run(run, settings):
    """The SavedModel of the last model."""
    generator = load_generator(run / settings.tasks[-1].name, settings.export.weights)
    save_generator(generator, run / "export" / "1", text=settings.export.text)
    return {}
