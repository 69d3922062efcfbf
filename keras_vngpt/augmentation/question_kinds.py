"""What a question asks for: a price, an address, ...; read off its words."""

from keras_vngpt.augmentation.letters import compiled, folded
from keras_vngpt.augmentation.user_files import Pattern, read_yaml

OTHER = "other"


class Kinds:
    """Tells the kind of a question by regular expressions, the first that is found.

    Args:
        paths: list of str, files of a dictionary from kind to patterns, tried from the last file.

    Raises:
        UserError: what is wrong with a file.

    Example:
        >>> Kinds(["samples:travel_kinds.yaml"]).of("Chợ Bến Thành ở đâu?")
        'address'
    """

    def __init__(self, paths):
        self.patterns = []
        for path in reversed(paths):
            for kind, patterns in read_yaml(path, dict[str, list[Pattern]]).items():
                self.patterns.append((kind, [compiled(pattern) for pattern in patterns]))

    def of(self, question):
        """The kind of a question, "other" if none fits."""
        text = folded(question)
        for kind, patterns in self.patterns:
            if any(pattern.search(text) for pattern in patterns):
                return kind
        return OTHER
