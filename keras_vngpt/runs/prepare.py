"""From the user's files to a run folder that is ready to train: all or nothing."""

import json
import re

import yaml

from keras_vngpt.arguments import flatten
from keras_vngpt.data.examples import prepare_items
from keras_vngpt.data.preprocessor import VnGPTCausalLMPreprocessor
from keras_vngpt.data.readers import read_conversations, read_documents
from keras_vngpt.data.splits import split_by_hash
from keras_vngpt.faults import Faults
from keras_vngpt.models.backbone import PRESETS
from keras_vngpt.runs.run import Run, as_records, write_jsonl, write_text
from keras_vngpt.text.tokenizer import load_tokenizer
from keras_vngpt.text.training import train_tokenizer
from keras_vngpt.whole import whole

N_PROMPTS = 3
FEW_DOCUMENTS = 20  # fewer cannot be split by document


def prepare(settings, run, values):
    """Read, split, tokenise and pack all data into a new run folder.

    Nothing is there until everything is.

    Args:
        settings: `FitSettings`.
        run: `Run`, the folder to make.
        values: nested dictionary, what goes into its config.yaml.

    Raises:
        Faults: everything that is wrong with the data.
    """
    documents, conversations = read(settings)
    tokenizer = make_tokenizer(settings, documents, conversations)
    figures = {"vocabulary_size": tokenizer.vocabulary_size()}
    rows = {}
    for stage, sides in (("pretrain", documents), ("finetune", conversations)):
        if not sides:
            continue
        print(f"{stage}: tokenising and packing")
        preprocessor = make_preprocessor(stage, settings, tokenizer)
        for side in ("train", "validation"):
            prepared = prepare_items(sides[side], preprocessor, f"{stage}.data ({side} part)")
            n_tokens, length = prepared.rows.tokens, prepared.rows.length
            if stage == "pretrain" and side == "train" and n_tokens < length:
                raise Faults(
                    "pretrain.data: the text is shorter than a row: "
                    f"{n_tokens} tokens, a row has {length}. "
                    "Give more text, or a smaller pretrain.sequence_length"
                )
            rows[f"{stage}/{side}"] = prepared.rows
            if side == "train":
                figures |= _figures(stage, prepared, len(sides[side]))
            else:
                figures[f"{stage}.validation_rows"] = len(prepared.rows)
                figures[f"{stage}.bits_per_nat"] = prepared.bits_per_nat
    prompts = pick_prompts(settings, documents, conversations)
    with whole(run.folder) as folder:
        partial = Run(folder)
        for name, stage_rows in rows.items():
            stage_rows.save(partial / "work" / name)
        write_jsonl(partial / "work" / "test.jsonl", as_records(conversations.get("test", [])))
        write_text(partial / "work" / "prompts.json", json.dumps(prompts, ensure_ascii=False))
        tokenizer.save_to_preset(str(partial / "tokenizer"))
        text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False)
        write_text(partial / "config.yaml", text)
        partial.record(**figures)


def read(settings):
    """The data of the stages that run, split: `(documents, conversations)`, dictionaries by side.

    Raises:
        Faults: those of all files together.
    """
    documents, conversations, faults = {}, {}, []

    def attempt(reader, patterns, name):
        if not patterns:
            faults.append(f"{name}: needs at least one file, folder or glob")
            return []
        try:
            return reader(patterns)
        except Faults as fault:
            faults.extend(fault.faults)
            return []

    def split(items, given, share, reader, name, key):
        """The items left, and those to validate or test on."""
        if given:
            return items, attempt(reader, given, name)
        rest, part = split_by_hash(items, share, key, salt=name)
        if share and not (rest and part):  # too few for the hash to part them
            rest = [item for item in items if key(item) != key(items[-1])]
            part = [item for item in items if key(item) == key(items[-1])] if rest else []
        return rest or items, part

    if "pretrain" not in settings.skip:
        stage = settings.pretrain
        items = attempt(read_documents, stage.data, "pretrain.data")
        for boundary in ("\n", r"(?<=[.!?…])\s+"):
            if len(items) < FEW_DOCUMENTS:
                parts = (part for text in items for part in re.split(boundary, text))
                items = [part for part in parts if part.strip()]
        train, validation = split(
            items, stage.validation_data, stage.validation_share, read_documents, "validation", str
        )
        documents = {"train": train, "validation": validation or train}
    if "finetune" not in settings.skip:
        stage = settings.finetune
        test_data = stage.test_data
        if test_data is None and stage.data == ["samples:home_train.jsonl"]:
            test_data = ["samples:home_test.jsonl"]
        items = attempt(read_conversations, stage.data, "finetune.data")
        rest, test = split(items, test_data, stage.test_share, read_conversations, "test", _key)
        train, validation = split(
            rest, stage.validation_data, stage.validation_share, read_conversations, "validation",
            _key,
        )  # fmt: skip
        conversations = {"train": train, "validation": validation or train, "test": test}
        if items and not train:
            faults.append(
                f"finetune.data: {len(items)} examples are too few to part into training, "
                "validation and test"
            )
    if faults:
        raise Faults(faults)
    return documents, conversations


def _key(conversation):
    """What the split hashes: variants of one question carry a group and stay together."""
    return conversation.group or conversation.prompts[-1]


def make_tokenizer(settings, documents, conversations):
    """The tokenizer of the run to start from, or one trained on the text of the stages that run."""
    if settings.init:
        folder = Run.open(settings.init) / "tokenizer"
        return load_tokenizer(folder)
    print("tokenizer: training")
    texts = list(documents.get("train", []))
    texts += [text for c in conversations.get("train", []) for text in (*c.prompts, *c.responses)]
    wanted = settings.tokenizer.vocabulary_size
    return train_tokenizer(
        texts,
        wanted or PRESETS[settings.model.preset]["vocabulary_size"],
        kind=settings.tokenizer.kind,
        tone_placement=settings.tokenizer.tone_placement,
        split_digits=settings.tokenizer.split_digits,
        shrink=wanted is None,
    )


def pick_prompts(settings, documents, conversations):
    """What the model is asked at each evaluation: as set, or a few that it is not trained on."""
    picked = {
        "pretrain": [" ".join(t.split()[:3]) for t in documents.get("validation", [])],
        "finetune": [c.prompts[0] for c in conversations.get("validation", [])],
    }
    given = {stage: getattr(settings, stage).prompts for stage in picked}
    return {
        stage: picked[stage][:N_PROMPTS] if given[stage] is None else given[stage]
        for stage in picked
    }


def make_preprocessor(stage, settings, tokenizer):
    """The preprocessor of a stage."""
    return VnGPTCausalLMPreprocessor(
        tokenizer,
        sequence_length=getattr(settings, stage).sequence_length,
        eos_weight=settings.finetune.eos_weight if stage == "finetune" else 1.0,
    )


def _figures(stage, prepared, n_items):
    rows = prepared.rows
    figures = {
        f"{stage}.{'documents' if stage == 'pretrain' else 'requests'}": n_items,
        f"{stage}.rows": len(rows),
        f"{stage}.fill": rows.fill,
        f"{stage}.sequence_length": rows.length,
        f"{stage}.weighted_share": prepared.weight / rows.tokens,
    }
    return figures | {f"{stage}.{k.replace(' ', '_')}": n for k, n in prepared.cuts.items()}


def differences(old, new):
    """The settings in which two runs differ: lines of "name: old, now new"."""
    old, new = flatten(old), flatten(new)
    return [
        f"{name}: {old.get(name)} there, {new.get(name)} now"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
