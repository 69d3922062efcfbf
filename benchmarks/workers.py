"""Programs that stay alive and work when told to, so that benchmarks can let them take turns.

A worker prints a line of JSON when it is ready, then reads a line such as `steps 12` and answers it
with a line of JSON. Until then it waits and takes no processor time, and what it has compiled stays
compiled.
"""

import json
import os
import subprocess
import sys
import time


class Worker:
    """A process that answers a line with a line.

    Args:
        command: list of str.
        environment: dict, beside that of this process.
    """

    def __init__(self, command, environment=None):
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            text=True,
        )
        self.facts = self._answer()

    def ask(self, line):
        """Tell it what to do; returns what it answers, a dictionary."""
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self):
        """Let it end."""
        self.process.stdin.close()
        self.process.wait()

    def _answer(self):
        for line in self.process.stdout:
            if line.startswith("{"):  # anything else is a library's remark
                return json.loads(line)
        raise RuntimeError(f"{' '.join(map(str, self.process.args))}: ended")


def serve(facts, commands):
    """The worker's side: answer every line until there are no more.

    Args:
        facts: dict, said once, when ready.
        commands: dict from the first word of a line to a function of its integers, which returns
            a dictionary.
    """
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        name, *numbers = line.split()
        print(json.dumps(commands[name](*map(int, numbers))), flush=True)


def timed(work):
    """Call a function; the seconds on the wall and the processor seconds that it took."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
    }
