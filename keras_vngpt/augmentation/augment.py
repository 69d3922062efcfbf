"""From about a hundred questions and answers to a set for fine-tuning."""

import dataclasses
import itertools
import shlex
from pathlib import Path

from keras_vngpt.augmentation import report
from keras_vngpt.augmentation.answers import Answers
from keras_vngpt.augmentation.facts import Facts
from keras_vngpt.augmentation.letters import key
from keras_vngpt.augmentation.names import Names
from keras_vngpt.augmentation.output import Output
from keras_vngpt.augmentation.pair_cleaning import clean, clean_question
from keras_vngpt.augmentation.pair_set import Pair, PairSet
from keras_vngpt.augmentation.phrase_book import PhraseBook
from keras_vngpt.augmentation.question_kinds import Kinds
from keras_vngpt.augmentation.rewording import Rewording
from keras_vngpt.augmentation.settings import AugmentSettings
from keras_vngpt.augmentation.user_files import read_lines, shipped
from keras_vngpt.config import flatten, read_yaml, resolve
from keras_vngpt.console import Progress
from keras_vngpt.data.file_summary import print_summaries
from keras_vngpt.data.readers import COLUMN_HINTS, Columns, read_conversations
from keras_vngpt.data.sources import locate
from keras_vngpt.errors import UserError, with_hints

REJECTED_SHOWN = 3


def augment(config: str | None = None, **settings):
    """Make a set for fine-tuning from a small file of questions and answers.

    It cleans the pairs, and asks each question in other orders and words, as a fragment, politely,
    in teencode and without diacritics; with --answers it words the answers in other ways too. It
    fits any subject. Without arguments it takes a hundred pairs about travelling that come with
    the package; --subject travel adds the words, names and facts of that subject.

        python -m keras_vngpt.augment --data questions.csv --output set.jsonl
        python -m keras_vngpt.augment --data questions.csv --variants 20 --answers 4
        python -m keras_vngpt.augment --data questions.csv --without_diacritics 0 --teencode 0

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
    workshop.vary_answers()
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
        self.output = Output(settings.output)
        faults = []

        def attempt(make, *arguments):
            try:
                return make(*arguments)
            except UserError as fault:
                faults.extend(with_hints(fault.faults, COLUMN_HINTS))
                return None

        columns = Columns(request=settings.request_column, response=settings.response_column)
        summaries = {}
        conversations = attempt(read_conversations, settings.data, columns, summaries) or []
        print_summaries("augment", summaries)
        files = {
            name: [given] if (given := getattr(settings, name)) else shipped(name, settings.subject)
            for name in ("templates", "synonyms", "names", "facts", "kinds")
        }
        gazetteer = attempt(read_lines, *files["names"]) or []
        self.names = Names(gazetteer).learned_from(
            [text for c in conversations for text in (*c.requests, *c.responses)]
        )
        self.book = attempt(PhraseBook, files["templates"], files["synonyms"], self.names)
        self.kinds = attempt(Kinds, files["kinds"])
        self.pairs = PairSet(attempt(Facts, files["facts"], gazetteer))
        self.inputs = []
        for c in conversations:
            fault, pair = self._cleaned(c)
            faults += [f"{c.source}: {fault}"] if fault else []
            self.inputs.append((pair, c.group))
        taken = {Path(c.source.rpartition(":")[0]).resolve() for c in conversations}
        taken |= {locate(path).resolve() for paths in files.values() for path in paths}
        faults += self.output.faults(taken)
        try:
            settings.system.encode()
        except UnicodeEncodeError:
            faults.append("system: not valid UTF-8")
        if settings.llm.base_url and not settings.llm.model:
            faults.append("llm.model: needs a value where llm.base_url has one")
        if faults:
            raise UserError(faults)
        self.figures = {}
        self.wordings = {}  # those of a language model, by the answer

    def _cleaned(self, conversation):
        """`(fault, pair)` of a conversation."""
        if len(conversation.prompts) > 1:
            n = len(conversation.prompts)
            return f"needs one question with one answer, has {n} turns", None
        question = clean_question(conversation.requests[0], self.names)
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
                self.pairs.labels[number] = group
            self.pairs.add(dataclasses.replace(pair, group=number))

    def add_variants(self):
        """Other phrasings of each question from templates and synonyms."""
        settings, originals = self.settings, self.pairs.originals()
        rewording = Rewording(self.book, self.names, settings.teencode, settings.without_diacritics)
        with Progress("rephrasing", len(originals), "questions") as progress:
            for pair in originals:
                left = settings.variants
                for text, _ in rewording.phrasings(pair.question, settings.seed):
                    if not left:
                        break
                    new = dataclasses.replace(pair, question=text, origin="template")
                    left -= self.pairs.add(new)
                self.pairs.dropped["variants that templates and synonyms could not make"] += left
                progress.add()

    def ask_language_model(self):
        """Other phrasings and wordings from a language model, those of use."""
        from keras_vngpt.augmentation import language_model as model

        originals, settings = self.pairs.originals(), self.settings.llm
        asked = [(model.QUESTIONS, p.question, p.answer, p) for p in originals]
        if self.settings.answers:
            asked += [(model.ANSWERS, p.answer, p.question, p) for p in originals]
        counts = {model.QUESTIONS: settings.variants, model.ANSWERS: self.settings.answers}
        cache = settings.cache or self.output.path.with_suffix(".cache")
        texts, figures = model.rephrase(
            [(prompts, counts[prompts], text) for prompts, text, *_ in asked], settings, cache
        )
        for (prompts, original, partner, pair), text in zip(asked, texts, strict=True):
            found = model.phrasings(text) if text is not None else []
            if text is not None and not found:
                self.pairs.dropped["language model: empty"] += 1
            for phrasing in found:
                new, fault = model.judge(prompts, phrasing, original, partner, self.names)
                if fault:
                    self.pairs.dropped[f"language model: {fault}"] += 1
                elif prompts is model.QUESTIONS:
                    self.pairs.add(dataclasses.replace(pair, question=new, origin="language model"))
                else:
                    self.wordings.setdefault(pair.answer, []).append(new)
        self.figures["language_model"] = figures
        print(
            f"language model: {figures['answers']} answers, {figures['from cache']} from the "
            f"cache, {figures['requests']} asked for, {figures['tokens']:,} tokens"
        )
        if n := figures["beyond budget"]:
            print(f"language model: {n} questions not asked, the budget is spent")

    def vary_answers(self):
        """The phrasings of a question take turns with the wordings of its answer."""
        if not self.settings.answers:
            return
        pairs, turns = self.pairs, {}
        for i, pair in enumerate(pairs.pairs):
            if pair.origin == "original":
                continue
            if pair.answer not in turns:
                turns[pair.answer] = itertools.cycle(self._wordings(pair.answer))
            text, origin = next(turns[pair.answer])
            if not pairs.facts.contradiction(pair.question, text):
                pairs.pairs[i] = dataclasses.replace(
                    pair, answer=text, answer_origin=origin, original_answer=pair.answer
                )

    def _wordings(self, answer):
        """`(text, origin)` of an answer and of its other wordings: a list."""
        n, seed = self.settings.answers, self.settings.seed
        made = [(text, "language model") for text in self.wordings.get(answer, ())[:n]]
        templates = Answers(self.book, self.names).wordings(answer, seed)
        made += [(text, "template") for text in itertools.islice(templates, n - len(made))]
        self.pairs.dropped["wordings of answers that could not be made"] += n - len(made)
        return [(answer, "original"), *made]

    def write(self):
        """Write lines, report and rejected pairs; print the report and what to do next."""
        pairs = self.pairs
        if not pairs.pairs:
            reasons = [f"{p.source}: {reason}" for p, reason in pairs.rejected]
            raise UserError(f"data: no pair is left. {'; '.join(reasons[:1])}".strip())
        lines = pairs.lines(self.kinds)
        figures = report.measure(lines, self.settings.seed) | self.figures
        figures["rejected"] = len(pairs.rejected)
        figures["dropped"] = dict(+pairs.dropped)
        self.output.write(lines, figures, pairs.rejected)
        report.show(figures)
        for name, n in figures["dropped"].items():
            print(f"left out, {name}: {n:,}")
        if pairs.rejected:
            print(f"stopped: {len(pairs.rejected):,}, in {self.output.rejected}")
            for pair, reason in pairs.rejected[:REJECTED_SHOWN]:
                print(f"  {pair.source}: {reason}: {pair.question} {pair.answer}")
        path = self.output.path
        print(f"\n{path}: {len(lines):,} lines from {figures['questions']:,} questions")
        name, data = (shlex.quote(str(text)) for text in (path.stem, path))
        print(f"Now: python -m keras_vngpt.fit --name {name} --finetune.data {data}")
        print(
            "  (fit holds out some questions, with all their phrasings; to learn every answer add"
        )
        print("  --finetune.test_share 0 --finetune.validation_share 0)")
        return figures
