"""More phrasings from a language model: asked for at once, paid for once, judged before use."""

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from keras_vngpt.augmentation.letters import is_syllable, key, without_diacritics
from keras_vngpt.augmentation.pair_cleaning import clean, clean_question, sentences
from keras_vngpt.augmentation.same_facts import same_facts, same_numbers_and_names
from keras_vngpt.console import Progress
from keras_vngpt.errors import UserError, needs_extra
from keras_vngpt.files import atomic_write

FAR_LONGER = 4  # times: no rephrasing any more


@dataclass(frozen=True)
class Prompts:
    """What a language model is asked for, and by what its lines are cleaned and judged."""

    instruction: str
    request: str
    clean: Callable
    is_same: Callable


QUESTIONS = Prompts(
    "Bạn viết lại câu hỏi bằng tiếng Việt tự nhiên. Giữ nguyên ý, tên riêng và con số. "
    "Không trả lời câu hỏi, không giải thích.",
    "Viết {n} cách hỏi khác nhau cho câu sau, mỗi cách một dòng, không đánh số.",
    clean_question,
    same_numbers_and_names,
)
ANSWERS = Prompts(
    "Bạn viết lại câu trả lời bằng tiếng Việt tự nhiên. Giữ nguyên mọi thông tin, tên riêng và "
    "con số, không thêm, không bớt, không giải thích.",
    "Viết {n} cách nói khác nhau cho câu trả lời sau, mỗi cách một dòng, không đánh số.",
    clean,
    same_facts,
)


def rephrase(asked, settings, cache):
    """Ask a language model for other phrasings.

    Every answer is on disk before the next is asked for: after a stop or a kill the same call goes
    on, and pays for no answer twice.

    Args:
        asked: list of `(prompts, n, text)`: `QUESTIONS` or `ANSWERS`, how many, of what.
        settings: `LanguageModelSettings`.
        cache: str or Path, folder of the answers.

    Returns:
        `(texts, figures)`: a list with the answer to each, `None` where the budget did not allow
        one; a dictionary of counts.

    Raises:
        UserError: an endpoint that cannot be reached, or that goes on failing.

    Example:
        >>> rephrase([(QUESTIONS, 10, "Chợ Bến Thành ở đâu?")], settings, "answers")
    """
    asker = _Asker(settings, Path(cache))
    texts = [None] * len(asked)
    pool = ThreadPoolExecutor(settings.concurrency)
    try:
        with Progress("language model", len(asked), "answers") as progress:
            places = {pool.submit(asker.ask, *what): i for i, what in enumerate(asked)}
            for done in as_completed(places):
                texts[places[done]] = done.result()
                progress.add()
    finally:
        asker.is_stopped = True  # what waits its turn, after a fault or Ctrl-C, is not sent
        pool.shutdown(cancel_futures=True)
    return texts, {
        "answers": sum(text is not None for text in texts),
        "from cache": asker.n_cached,
        "requests": asker.n_asked,
        "tokens": asker.tokens,
        "beyond budget": texts.count(None),
    }


class _Asker:
    """A client with a cache and a budget, for several threads."""

    def __init__(self, settings, cache):
        try:
            import openai
        except ModuleNotFoundError as error:
            raise UserError(needs_extra("llm.model", error, "llm")) from None

        self.settings, self.cache = settings, cache
        self.turn = threading.Condition()
        self.n_asked = self.n_cached = self.tokens = self.n_open = self.dearest = 0
        self.is_stopped = False
        self.Error = openai.OpenAIError
        api_key = os.environ.get("OPENAI_API_KEY", "").strip()
        if not (api_key.isascii() and api_key.isprintable()):
            raise UserError("OPENAI_API_KEY: is no key, it has characters that none has")
        try:
            self.client = openai.OpenAI(
                base_url=settings.base_url or None,
                # A server of one's own wants no key, the client wants a text.
                api_key=api_key or ("none" if settings.base_url else None),
                max_retries=settings.max_retries,
                timeout=settings.timeout,
            )
        except self.Error as error:
            raise UserError(f"llm: {_first_line(error)}") from None

    def ask(self, prompts, n, text):
        request = {
            "model": self.settings.model,
            "temperature": self.settings.temperature,
            "messages": [
                {"role": "system", "content": prompts.instruction},
                {"role": "user", "content": f"{prompts.request.format(n=n)}\n\n{text}"},
            ],
        }
        digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        path = self.cache / f"{digest[:32]}.json"
        try:
            text = json.loads(path.read_text(encoding="utf-8"))["text"]
        except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged
            return self._ask_endpoint(request, path)
        with self.turn:
            self.n_cached += 1
        return text

    def _ask_endpoint(self, request, path):
        if not self._admit():
            return None
        tokens = 0
        try:
            completion = self.client.chat.completions.create(**request)
            text = completion.choices[0].message.content or ""
            # A server that does not count: some two characters of Vietnamese are a token.
            sent = "".join(message["content"] for message in request["messages"])
            tokens = completion.usage.total_tokens if completion.usage else len(sent + text) // 2
        except self.Error as error:
            raise self._fault(_first_line(error)) from None
        except (AttributeError, IndexError, TypeError, ValueError):
            raise self._fault("the answer is not that of an OpenAI-compatible endpoint") from None
        finally:
            with self.turn:
                self.n_open -= 1
                self.tokens += tokens
                self.dearest = max(self.dearest, tokens)
                self.turn.notify_all()
        with atomic_write(path) as partial:
            record = {"request": request, "text": text, "tokens": tokens}
            partial.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
        return text

    def _admit(self):
        """Whether the budget allows one more request; waits while those under way may tell."""
        limit = self.settings
        with self.turn:
            while not self.is_stopped:
                if limit.max_requests is not None and self.n_asked >= limit.max_requests:
                    return False
                if limit.max_tokens is not None:
                    left = limit.max_tokens - self.tokens
                    if left < max(1, self.dearest):
                        return False
                    # Each under way may be as dear as the dearest; the first is sent alone.
                    if self.n_open and (
                        not self.dearest or left < (self.n_open + 1) * self.dearest
                    ):
                        self.turn.wait()
                        continue
                self.n_asked += 1
                self.n_open += 1
                return True
            return False

    def _fault(self, problem):
        self.is_stopped = True
        where = self.settings.base_url or "OpenAI"
        return UserError(
            f"llm: {where}: {problem.rstrip('.')}. The answers so far are kept in {self.cache}: "
            "the same command goes on from there"
        )


def phrasings(text):
    """The phrasings that an answer lists, one a line, without the words around them.

    Example:
        >>> phrasings("Sau đây là hai cách:\\n1. Huế ở đâu?\\n2. Huế nằm ở đâu?")
        ['1. Huế ở đâu?', '2. Huế nằm ở đâu?']
    """
    text = re.sub(r"<think>.*?(?:</think>|\Z)", "", text, flags=re.DOTALL)
    lines = (line.strip(" \t*`") for line in text.splitlines())
    return [line for line in lines if line and not line.endswith(":")]


def judge(prompts, phrasing, original, partner, names):
    """Clean a phrasing, and say what is wrong with it.

    Args:
        prompts: `QUESTIONS` or `ANSWERS`, what was asked for.
        phrasing: str, a line of the language model's.
        original: str, the question or answer that it should rephrase.
        partner: str, the answer or question that goes with it.
        names: `Names`.

    Returns:
        `(text, fault)`; the fault is "" for one of use.
    """
    text = prompts.clean(phrasing, names)
    if not any(c.isalpha() for c in text):
        return text, "empty"
    if not is_vietnamese(text, names):
        return text, "not Vietnamese"
    if key(text) in (key(original), key(partner)):
        return text, "a copy"
    too_many = len(sentences(text)) > max(3, 1 + len(sentences(original)))
    if len(text) > FAR_LONGER * max(len(original), 20) or too_many:
        return text, "no phrasing of the original"
    if not prompts.is_same(text, original, names):
        return text, "another name or number"
    return text, ""


def is_vietnamese(text, names):
    """Whether a text reads as Vietnamese, by its syllables and diacritics, names left out.

    Example:
        >>> is_vietnamese("How much is a ticket to Đà Lạt?", names)
        False
    """
    rest = text
    for start, end, _ in reversed(names.find(text)):
        rest = rest[:start] + " " + rest[end:]
    words = [w for w in re.findall(r"[^\W\d_]+", rest.lower())]
    if len(words) < 2:
        words = re.findall(r"[^\W\d_]+", text.lower())
    n_syllables = sum(map(is_syllable, words))
    n_marked = sum(word != without_diacritics(word) for word in words)
    return bool(words) and n_syllables >= 0.7 * len(words) and n_marked >= 0.3 * len(words)


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
