"""Every setting of `augment`, with its default and a sentence about it."""

from dataclasses import field
from typing import Annotated, Literal

from pydantic import AfterValidator, AnyHttpUrl, Field, TypeAdapter, ValidationError

from keras_vngpt.config import settings


def _http(url):
    try:
        if url:
            TypeAdapter(AnyHttpUrl).validate_python(url)
    except ValidationError:
        raise ValueError("must be like http://localhost:11434/v1") from None
    return url


Count = Annotated[int, Field(ge=1, le=10**9)]
Share = Annotated[float, Field(ge=0, le=1)]


@settings
class LanguageModelSettings:
    model: str = ""
    """its name at the endpoint; nothing asks no language model"""
    base_url: Annotated[str, AfterValidator(_http)] = ""
    """an OpenAI-compatible endpoint (http://localhost:11434/v1); nothing for OpenAI's own"""
    variants: Annotated[int, Field(ge=1, le=100)] = 10
    """phrasings to ask for, for each question"""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.9
    """of its sampling"""
    concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    """requests at a time"""
    max_retries: Annotated[int, Field(ge=0, le=100)] = 5
    """times that a failed request is sent again, after longer and longer waits"""
    timeout: Annotated[float, Field(gt=0, le=86400)] = 120.0
    """seconds to wait for an answer"""
    max_requests: Count | None = None
    """ask for no more answers than this; those in the cache are free"""
    max_tokens: Count | None = None
    """send nothing more once so many tokens may be used"""
    cache: str = ""
    """folder of the answers so far, paid for once; nothing for one beside the output"""


@settings
class AugmentSettings:
    data: list[str] = field(default_factory=lambda: ["samples:travel_questions.csv"])
    """CSV or JSONL files, folders or globs, one question with one answer each"""
    request_column: str | None = None
    """the name of the question in them, instead of request or prompt"""
    response_column: str | None = None
    """the name of the answer in them, instead of response or completion"""
    output: str = "augmented.jsonl"
    """JSONL file to write; report and rejected pairs go beside it"""
    variants: Annotated[int, Field(ge=0, le=1000)] = 10
    """other phrasings of each question, from templates and synonyms"""
    answers: Annotated[int, Field(ge=0, le=100)] = 0
    """other wordings of each answer, which its phrasings take in turn; none by default"""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """of the choice of variants"""
    system: str = "Bạn là trợ lý trả lời bằng tiếng Việt."
    """system message of every line that has none of its own; "" for none"""
    without_diacritics: Share = 0.15
    """share of the variants typed without diacritics"""
    teencode: Share = 0.15
    """share of the variants typed in teencode"""
    subject: Literal["general", "travel"] = "general"
    """what ships for a subject, beside what fits every one: words, names, facts, kinds"""
    templates: str = ""
    """YAML: forms of address, instead of those that ship"""
    synonyms: str = ""
    """YAML: synonyms, other orders, teencode, instead of those that ship"""
    names: str = ""
    """names that keep their capitals, one a line, beside those that the data shows"""
    facts: str = ""
    """YAML: what no pair may contradict"""
    kinds: str = ""
    """YAML: kinds of questions, for the report"""
    llm: LanguageModelSettings = field(default_factory=LanguageModelSettings)
