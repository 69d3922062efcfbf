"""Which requests a model refuses: from which certainty on, where it should, where it should not."""

import itertools

from keras_vngpt.text.refusal_text import is_refusal

HARDLY = 0.05  # of the answers


def calibrated(answers, sentence):
    """The certainty below which answers are better refused.

    Mistakes are right answers that are refused and wrong ones that are given, those to strange
    requests among them. It is the lowest that makes hardly more of them than any other: what
    people ask is less like the training than what is measured here, and answered less surely.

    Args:
        answers: list of dictionaries, from `exact_match` without a refusal by certainty.
        sentence: str, that says that the model knows no answer.

    Returns:
        float, halfway between two certainties; 0 where nothing is to be refused.

    Example:
        >>> right = {"answer": "Số 5", "correct": True, "certainty": 0.9}
        >>> wrong = {"answer": "Số 5", "correct": False, "certainty": 0.5}
        >>> calibrated([right, wrong], "Tôi chưa biết.")
        0.7
    """
    given = [a for a in answers if not is_refusal(a["answer"], sentence)]
    places = sorted({1.0, *(a["certainty"] for a in given)})
    between = [0.0, *((a + b) / 2 for a, b in itertools.pairwise(places))]

    def mistakes(below):
        return sum((a["certainty"] < below) == a["correct"] for a in given)

    enough = min(map(mistakes, between)) + HARDLY * len(given)
    return next(below for below in between if mistakes(below) <= enough)


def test_figures(answers, sentence):
    """How many strange requests are refused, and how many of those that have an answer.

    Args:
        answers, sentence: as for `calibrated`.

    Returns:
        A dictionary of `exact_match` and `test_requests`, of requests that have an answer, and,
        where some have none, `strange_requests`, `strange_refused` and `known_refused`.
    """
    strange = [a for a in answers if is_refusal(a["expected"], sentence)]
    known = [a for a in answers if not is_refusal(a["expected"], sentence)] or strange
    figures = {"exact_match": share(known, "correct"), "test_requests": len(known)}
    if strange and known is not strange:
        figures |= {"strange_requests": len(strange), "strange_refused": share(strange, "correct")}
        refused = [is_refusal(a["answer"], sentence) for a in known]
        figures["known_refused"] = sum(refused) / len(refused)
    return figures


def trained_figures(answers, sentence):
    """How many of the requests that were trained on are answered right; arguments as above."""
    return {"trained_requests": len(answers), "trained_right": share(answers, "correct")}


def share(answers, name):
    """The share of answers of which something is true."""
    return sum(answer[name] for answer in answers) / len(answers)
