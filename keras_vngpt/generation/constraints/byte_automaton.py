"""A regular expression as an automaton over bytes; run as a program of its own.

    python byte_automaton.py MEMORY < PATTERN > TABLE.npy

It imports nothing of this project, so that it starts at once.
"""

import sys

import numpy as np

NOWHERE, START = 0, 1  # states
SPACE, END = ord(" "), 256  # two of the letters; END comes after those of all bytes
NO_MATCH, NOT_SUPPORTED = 3, 4  # exit statuses


def automaton(pattern):
    """The automaton of all UTF-8 texts that match, each after a space.

    The space is there because an answer's first token begins with "▁", whatever the text: training
    encodes it so, and decoding takes one space away. Only the empty text has no tokens.

    Args:
        pattern: str.

    Returns:
        int32 array [states, 257], the state after each byte; END leads from a state that matches
        to itself.

    Raises:
        ValueError: from outlines-core.
    """
    # outlines-core means matches that begin anywhere and end where the first alternative does, not
    # whole ones ("ab" is no match of "a|ab"), hence \z. The empty alternative, a match at once,
    # keeps it from looking for later beginnings: exponentially many states. It drops a letter that
    # follows on a match and does not end one, though. A new line on its own ends one: it takes that
    # place, and the automaton starts after it.
    from outlines_core import Index, Vocabulary  # an extra, which not everyone has

    letters = Vocabulary(END, {bytes([i]): [i] for i in range(256)})
    index = Index(rf"\n (?:{pattern})\z|\n\z|", letters)
    transitions = index.get_transitions()
    start = transitions[index.get_initial_state()][ord("\n")]
    number = {state: i for i, state in enumerate({start: None} | transitions, START)}
    table = np.zeros([len(number) + 1, END + 1], np.int32)
    for state, after in transitions.items():
        table[number[state], list(after)] = [number.get(s, NOWHERE) for s in after.values()]
    is_empty_a_match = table[table[START, SPACE], END] != NOWHERE
    table[START, END] = START if is_empty_a_match else NOWHERE
    return table


def main(most_memory):
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (most_memory, most_memory))
    except ImportError:  # Windows: only the time is limited, by who waits
        pass
    try:
        table = automaton(sys.stdin.buffer.read().decode())
    except ValueError as error:
        # "incompatible": a state without a way out; before 0.2.14 of outlines-core it is left out
        sys.exit(NO_MATCH if "incompatible" in str(error) else NOT_SUPPORTED)
    np.save(sys.stdout.buffer, table)


if __name__ == "__main__":
    main(int(sys.argv[1]))
