"""From about a hundred questions and answers to a set for fine-tuning."""

import dataclasses
import json
import shlex
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from keras_vngpt.augmentation import report
from keras_vngpt.augmentation.facts import Facts
from keras_vngpt.augmentation.names import Names, key
from keras_vngpt.augmentation.pair_cleaning import clean, clean_question
from keras_vngpt.augmentation.question_kinds import Kinds
from keras_vngpt.augmentation.rewording import Rewording
from keras_vngpt.augmentation.settings import AugmentSettings
from keras_vngpt.augmentation.user_files import read_lines, shipped
from keras_vngpt.config import flatten, read_yaml, resolve
from keras_vngpt.data.readers import COLUMN_HINTS, Columns, read_conversations
from keras_vngpt.data.sources import locate
from keras_vngpt.errors import UserError, with_hints
from keras_vngpt.files import atomic_write

REJECTED_SHOWN = 3


@dataclass(frozen=True)
class Pair:
    """A question with its answer.

    Args:
        question: str.
        answer: str.
        system: str.
        group: int, shared with whatever must stay on one side of a split.
        origin: "original", "template" or "language model".
        source: "file:line" of the original.
    """

    question: str
    answer: str
    system: str
    group: int
    origin: str
    source: str


def augment(config: str | None = None, **settings):
    """Make a set for fine-tuning from a small file of questions and answers.

    It cleans the pairs, rephrases each question with forms of address, synonyms and other orders,
    and stops pairs that contradict base knowledge. Without arguments it takes the hundred pairs
    about travelling in Vietnam that come with the package. With your own file:

        python -m keras_vngpt.augment --data questions.csv --output set.jsonl
        python -m keras_vngpt.augment --data questions.csv --templates mine.yaml --variants 20
        python -m keras_vngpt.augment --data questions.csv --without_diacritics 0.1 --teencode 0.1

    With a language model too, here or elsewhere (the key comes from OPENAI_API_KEY):

        python -m keras_vngpt.augment --llm.base_url http://localhost:11434/v1 --llm.model qwen3
        python -m keras_vngpt.augment --llm.model gpt-4.1-mini --llm.max_requests 50

    Interrupted? The same command asks for no answer twice. Beside the output stand its report
    (.report.json) and the pairs that were stopped, with the reason (.rejected.log).

    Args:
        config: YAML file with any of the settings; flags come before it
        **settings: every setting, nested or dotted; `--help` lists them with their defaults.

    Returns:
        dictionary of figures: `lines`, `questions`, `kinds`, `rejected`, ...

    Raises:
        UserError: everything that is wrong with the settings or the files.

    Example:
        >>> augment(data=["questions.csv"], variants=20)["lines"]
    """
    layers = (config or "", read_yaml(config) if config else {}), ("", flatten(settings))
    settings = AugmentSettings(**resolve(AugmentSettings, *layers))
    workshop = Workshop(settings)
    workshop.take_originals()
    workshop.add_variants()
    if settings.llm.model:
        workshop.ask_language_model()
    return workshop.write()


class Workshop:
    """The pairs so far, and what they are made and judged with.

    Args:
        settings: `AugmentSettings`.

    Raises:
        UserError: those of all files together.
    """

    def __init__(self, settings):
        self.settings = settings
        self.output = Path(settings.output)
        faults = []

        def attempt(make, *arguments):
            try:
                return make(*arguments)
            except UserError as fault:
                faults.extend(with_hints(fault.faults, COLUMN_HINTS))
                return None

        columns = Columns(request=settings.request_column, response=settings.response_column)
        conversations = attempt(read_conversations, settings.data, columns) or []
        files = {
            name: [given] if (given := getattr(settings, name)) else shipped(name, settings.subject)
            for name in ("templates", "synonyms", "names", "facts", "kinds")
        }
        gazetteer = attempt(read_lines, *files["names"]) or []
        self.names = Names(gazetteer).learned_from(
            [text for c in conversations for text in (*_questions(c), *c.responses)]
        )
        self.rewording = attempt(
            Rewording, files["templates"], files["synonyms"], self.names,
            settings.teencode, settings.without_diacritics,
        )  # fmt: skip
        self.facts = attempt(Facts, files["facts"], gazetteer)
        self.kinds = attempt(Kinds, files["kinds"])
        self.inputs = []
        for c in conversations:
            fault, pair = self._cleaned(c)
            faults += [f"{c.source}: {fault}"] if fault else []
            self.inputs.append((pair, c.group))
        if self.output.suffix != ".jsonl":
            faults.append(f"output: must end in .jsonl. Received: {settings.output!r}")
        taken = {Path(c.source.rpartition(":")[0]).resolve() for c in conversations}
        taken |= {locate(path).resolve() for paths in files.values() for path in paths}
        for path in (self.output, self._beside("report.json"), self._beside("rejected.log")):
            if path.resolve() in taken:
                faults.append(f"output: {path} is read here too. Take another")
            if path.is_dir():
                faults.append(f"output: {path} is a folder. Take another")
        try:
            settings.system.encode()
        except UnicodeEncodeError:
            faults.append("system: not valid UTF-8")
        if settings.llm.base_url and not settings.llm.model:
            faults.append("llm.model: needs a value where llm.base_url has one")
        if faults:
            raise UserError(faults)
        self.pairs, self.rejected, self.dropped = [], [], Counter()
        self.asked = {}  # the pair of each question, by the question's key
        self.joined = {}  # a group, and the one that it has become part of
        self.labels = {}  # what a group is called; by default its first question
        self.figures = {}

    def _cleaned(self, conversation):
        """`(fault, pair)` of a conversation."""
        if len(conversation.prompts) > 1:
            n = len(conversation.prompts)
            return f"needs one question with one answer, has {n} turns", None
        (question,) = _questions(conversation)
        question = clean_question(question, self.names)
        answer = clean(conversation.responses[0], self.names)
        if not key(question) or not key(answer):
            return f"nothing is left of the {'response' if key(question) else 'request'}", None
        system = conversation.system or self.settings.system.strip()
        return "", Pair(question, answer, system, -1, "original", conversation.source)

    def take_originals(self):
        """The pairs of the file, each question once, those of one `group` together."""
        groups = {}
        for number, (pair, group) in enumerate(self.inputs):
            if group:
                number = groups.setdefault(group, number)
                self.labels[number] = group
            self._add(dataclasses.replace(pair, group=number))

    def add_variants(self):
        """Other phrasings of each question from templates and synonyms."""
        from rich.console import Console
        from rich.progress import track

        settings = self.settings
        bar = track(
            list(self.pairs), "variants", console=Console(stderr=True), transient=True,
            disable=not sys.stderr.isatty(),
        )  # fmt: skip
        for pair in bar:
            left = settings.variants
            for text, _ in self.rewording.phrasings(pair.question, settings.seed):
                if not left:
                    break
                left -= self._add(dataclasses.replace(pair, question=text, origin="template"))
            self.dropped["variants that templates and synonyms could not make"] += left

    def ask_language_model(self):
        """Other phrasings of each question from a language model, those of use."""
        from keras_vngpt.augmentation import language_model

        settings = self.settings.llm
        originals = [pair for pair in self.pairs if pair.origin == "original"]
        cache = settings.cache or self.output.with_suffix(".cache")
        texts, figures = language_model.rephrase(
            [pair.question for pair in originals], settings, cache
        )
        for pair, text in zip(originals, texts, strict=True):
            if text is None:
                continue
            found = language_model.phrasings(text)
            if not found:
                self.dropped["language model: empty"] += 1
            for phrasing in found:
                question, fault = language_model.judge(
                    phrasing, pair.question, pair.answer, self.names
                )
                if fault:
                    self.dropped[f"language model: {fault}"] += 1
                else:
                    new = dataclasses.replace(pair, question=question, origin="language model")
                    self._add(new)
        self.figures["language_model"] = figures
        print(
            f"language model: {figures['answers']} answers, {figures['from cache']} from the "
            f"cache, {figures['requests']} asked for, {figures['tokens']:,} tokens"
        )
        if n := figures["beyond budget"]:
            print(f"language model: {n} questions not asked, the budget is spent")

    def _add(self, pair):
        """Take a pair if its question is new and it contradicts no fact; whether it was taken."""
        name = key(pair.question)
        if first := self.asked.get(name):
            # The same phrasing of two questions: they are one, and no split may part them.
            self._join(pair.group, first.group)
            if pair.origin == "original" and key(pair.answer) != key(first.answer):
                self.rejected.append((pair, f"another answer than in {first.source}"))
            elif pair.origin != "template":
                self.dropped[f"{pair.origin}: a copy"] += 1
            return False
        if name == key(pair.answer):
            self.dropped[f"{pair.origin}: a copy of its answer"] += 1
            return False
        if contradiction := self.facts.contradiction(pair.question, pair.answer):
            if pair.origin != "template":  # another variant takes its place
                self.rejected.append((pair, contradiction))
            return False
        self.asked[name] = pair
        self.pairs.append(pair)
        return True

    def _join(self, group, other):
        first, second = sorted((self._root(group), self._root(other)))
        if first != second:
            self.joined[second] = first

    def _root(self, group):
        while group in self.joined:
            group = self.joined[group]
        return group

    def write(self):
        """Write lines, report and rejected pairs; print the report and what to do next."""
        if not self.pairs:
            reasons = [f"{p.source}: {reason}" for p, reason in self.rejected]
            raise UserError(f"data: no pair is left. {'; '.join(reasons[:1])}".strip())
        lines = []
        for pair in self.pairs:
            label = self.labels.setdefault(self._root(pair.group), pair.question)
            lines.append(
                {
                    "request": pair.question,
                    "response": pair.answer,
                    "system": pair.system,
                    "group": label,
                    "kind": self.kinds.of(pair.question),
                    "origin": pair.origin,
                }
            )
        kind_of = {line["group"]: line["kind"] for line in reversed(lines)}
        for line in lines:  # a phrasing asks for what its question asks for
            line["kind"] = kind_of[line["group"]]
        figures = report.measure(lines, self.settings.seed) | self.figures
        figures["rejected"] = len(self.rejected)
        figures["dropped"] = dict(+self.dropped)
        self._write_files(lines, figures)
        report.show(figures)
        for name, n in figures["dropped"].items():
            print(f"left out, {name}: {n:,}")
        if self.rejected:
            path = self._beside("rejected.log")
            print(f"stopped: {len(self.rejected):,}, in {path}")
            for pair, reason in self.rejected[:REJECTED_SHOWN]:
                print(f"  {pair.source}: {reason}: {pair.question} {pair.answer}")
        print(f"\n{self.output}: {len(lines):,} lines from {figures['questions']:,} questions")
        name, data = (shlex.quote(str(text)) for text in (self.output.stem, self.output))
        print(f"Now: python -m keras_vngpt.fit --name {name} --finetune.data {data}")
        print(
            "  (fit holds out some questions, with all their phrasings; to learn every answer add"
        )
        print("  --finetune.test_share 0 --finetune.validation_share 0)")
        return figures

    def _write_files(self, lines, figures):
        rejected = self._beside("rejected.log")
        with (
            atomic_write(rejected) as partial_rejected,
            atomic_write(self._beside("report.json")) as partial_report,
            atomic_write(self.output) as partial,
        ):
            partial.write_text(
                "".join(json.dumps(_record(line), ensure_ascii=False) + "\n" for line in lines),
                encoding="utf-8",
            )
            partial_report.write_text(
                json.dumps(figures, ensure_ascii=False, indent=2), encoding="utf-8"
            )
            # No table by its ending: fit reads those from a folder, and should not read this.
            partial_rejected.write_text(
                "source\treason\trequest\tresponse\n"
                + "".join(
                    f"{p.source}\t{reason}\t{p.question}\t{p.answer}\n"
                    for p, reason in self.rejected
                ),
                encoding="utf-8",
            )
        if not self.rejected:
            rejected.unlink()

    def _beside(self, ending):
        return self.output.with_suffix(f".{ending}")


def _questions(conversation):
    """The prompts without the system text that the first begins with."""
    first = conversation.prompts[0]
    if conversation.system:
        first = first.removeprefix(conversation.system).lstrip("\n")
    return (first, *conversation.prompts[1:])


def _record(line):
    """A line as it is written: a conversation of its own, and what it belongs to."""
    messages = [
        {"role": "user", "content": line["request"]},
        {"role": "assistant", "content": line["response"]},
    ]
    if line["system"]:
        messages.insert(0, {"role": "system", "content": line["system"]})
    return {"messages": messages, **{name: line[name] for name in ("group", "kind", "origin")}}
