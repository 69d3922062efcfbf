"""The line on top of every table: versions and the machine."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def describe(packages):
    """One line, of the packages of this environment that are installed."""
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    found += [f"Python {platform.python_version()}", processor()]
    # Other work takes more from programs whose threads wait for each other: compare on an idle one.
    return ", ".join(found) + f", load {os.getloadavg()[0]:.1f}"


def processor():
    """The name of the processor and how many of its cores this process may use."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [x for x in information.read_text().split("\n") if x.startswith("model name")]
        name = names[0].partition(":")[2].strip() if names else name
    return f"{cores()} cores of {name}"


def cores():
    """How many cores this process may use; what a program's own default is, varies."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
