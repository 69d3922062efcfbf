"""Single facts as they are learned: each in many phrasings, beside requests to refuse."""

import math
import random
from dataclasses import replace

from keras_vngpt.augmentation.rewording import reword
from keras_vngpt.augmentation.rough_phrasings import RoughPhrasings, Thesaurus
from keras_vngpt.augmentation.unanswerable import unanswerable_requests
from keras_vngpt.data.splits import HELD_OUT
from keras_vngpt.text.system_text import with_system

LEARNED = 40_000  # phrasings of all requests of a small set together, each learned once
UNANSWERABLE = 0.25  # share of the requests
REWORDED, ASKED = 12, 2  # neutral phrasings of a request: in all, and on each side held out


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
    pairs, draw = [(c.requests[0], c.responses[0]) for c in known], random.Random(0)
    reworded = reword([question for question, _ in pairs], REWORDED if wanted else 0)
    reworded = [[phrasing.text for phrasing in phrasings] for phrasings in reworded]
    texts = {"train": [phrasings[len(HELD_OUT) * ASKED :][:wanted] for phrasings in reworded]}
    for number, side in enumerate(HELD_OUT):
        if not found.sides[side] and getattr(settings, f"{side}_share") is None:
            texts[side] = [phrasings[number * ASKED :][:ASKED] for phrasings in reworded]
    rough = RoughPhrasings(pairs, texts["train"], Thesaurus())
    strangers = {side: rough.strangers(r) for side, r in unanswerable_requests().items()}
    for side, count in (("train", wanted), ("validation", 2 * ASKED)):
        for number, phrasings in enumerate(texts.get(side, ())):
            rest = range(count - len(phrasings))
            phrasings += [rough.draw(number, strangers[side], draw) for _ in rest]
    sides = {}
    for side, own in found.sides.items():
        sides[side] = own = [*own, *_asked(known, texts.get(side, [[]] * len(known)))]
        lines = range(round(len(own) * share / (1 - share)))
        lines = [rough.draw_strange(strangers[side], draw) for _ in lines]
        own += _asked([replace(known[0], responses=(settings.refusal,))], [lines])
    return replace(found, sides=sides, before=found)


def _asked(conversations, texts):
    """Conversations of one turn with other requests, a list of str for each."""
    return [
        replace(conversation, prompts=(with_system(conversation.system, text),))
        for conversation, requests in zip(conversations, texts, strict=True)
        for text in requests
    ]
