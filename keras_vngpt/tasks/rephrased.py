"""Single facts as they are learned: each in many phrasings, beside requests to refuse."""

import math
import random
from dataclasses import replace

from keras_vngpt.augmentation.rewording import reword
from keras_vngpt.augmentation.rough_phrasings import RoughPhrasings, Thesaurus
from keras_vngpt.augmentation.unanswerable import unanswerable_requests
from keras_vngpt.data.readers import Conversation
from keras_vngpt.data.splits import HELD_OUT

LEARNED = 2_000  # phrasings of all requests of a small set together
UNANSWERABLE = 0.25  # share of the requests
REWORDED, ASKED = 12, 2  # neutral phrasings of a request: in all, and of each side held out


def with_rephrasings(found, settings):
    """Requests in other phrasings too, and unanswerable ones beside them.

    A side of the split that would be empty gets phrasings that are not learned.

    Args:
        found: `Requests`.
        settings: `FinetuneSettings`.

    Returns:
        `Requests`.
    """
    known = [c for c in found.sides["train"] if len(c.prompts) == 1]
    wanted, share = settings.rephrasings, settings.unanswerable
    if wanted is None:
        wanted = math.ceil(LEARNED / max(1, len(known))) if found.are_facts else 0
    if share is None:
        share = UNANSWERABLE if found.are_facts else 0.0
    if not known or not (wanted or share):
        return found
    draw, questions = random.Random(0), [_question(c) for c in known]
    reworded = reword(questions, REWORDED if wanted else 0)
    reworded = [[phrasing.text for phrasing in of_one] for of_one in reworded]
    pairs = zip(questions, (c.responses[0] for c in known), strict=True)
    learned = [of_one[len(HELD_OUT) * ASKED :] for of_one in reworded]
    rough = RoughPhrasings(list(pairs), learned, Thesaurus())
    strangers = {side: rough.strangers(r) for side, r in unanswerable_requests().items()}
    more = {
        "train": [
            [*texts, *(rough.draw(i, strangers["train"], draw) for _ in range(wanted - len(texts)))]
            for i, texts in enumerate(learned)
        ]
    }
    for number, side in enumerate(HELD_OUT):
        if not found.sides[side] and getattr(settings, f"{side}_share") is None:
            more[side] = [of_one[number * ASKED :][:ASKED] for of_one in reworded]
    sides = {}
    for side, of_side in found.sides.items():
        texts = more.get(side, [])
        phrased = [_asked(c, t) for c, ts in zip(known, texts) for t in ts]  # noqa: B905
        n_strange = round(len([*of_side, *phrased]) * share / (1 - share))
        lines = [rough.draw_strange(strangers[side], draw) for _ in range(n_strange)]
        unknown = [replace(_asked(known[0], line), responses=(settings.refusal,)) for line in lines]
        sides[side] = [*of_side, *phrased, *unknown]
    return replace(found, sides=sides, learned=found.sides["train"])


def _question(conversation):
    return conversation.prompts[0].removeprefix(conversation.system).lstrip("\n")


def _asked(conversation, question):
    """A conversation with another question."""
    system = f"{conversation.system}\n" if conversation.system else ""
    return replace(conversation, prompts=(system + question,))
