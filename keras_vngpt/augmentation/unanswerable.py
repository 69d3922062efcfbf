"""Requests of many worlds, that a model of one set of facts cannot answer."""

from dataclasses import field

from keras_vngpt.augmentation.user_files import read_yaml
from keras_vngpt.config import settings
from keras_vngpt.data.splits import HELD_OUT, split

HELD_OUT_TOPICS = 0.06  # share of them, for each side


@settings
class Topic:
    ask: list[str] = field(default_factory=list)
    about: list[str] = field(default_factory=list)

    @property
    def requests(self):
        """Each frame about each subject."""
        return [frame.replace("{}", subject) for frame in self.ask for subject in self.about]


def unanswerable_requests(pattern="samples:unanswerable.yaml"):
    """Requests by side, those of a topic on one side.

    Args:
        pattern: str, a YAML file of topics by name, each with frames in `ask` and what they ask
            for in `about`.

    Returns:
        A dictionary of lists of str, by side.

    Example:
        >>> unanswerable_requests()["train"][0]
        'Hôm nay Hà Nội có mưa không?'
    """
    topics = read_yaml(pattern, dict[str, Topic])
    sides = split(list(topics), dict.fromkeys(HELD_OUT, HELD_OUT_TOPICS))
    return {
        side: [request for name in names for request in topics[name].requests]
        for side, names in sides.items()
    }
