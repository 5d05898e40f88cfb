"""What a process and its children use, and to hold them, by /proc; Linux only."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AVAILABLE = Path("/proc/self/task").is_dir()


def memory_mb(pid: int) -> float:
    """Resident memory of the process and its children; what n processes share counts as an n-th in each."""
    lines = [line.split() for one in family(pid) for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()]
    return sum(int(fields[1]) for fields in lines if fields[0] == "Pss:") * 1024 / 1e6


def cpu_s(pid: int) -> float:
    """CPU time of the process and its children so far."""
    return sum(_ticks(one) for one in family(pid)) / os.sysconf("SC_CLK_TCK")


class HeldUp:
    """How long a process, its children and this one had work to do and no core to do it on, since a moment; 0 where no
    system tells."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = self._all()

    def seconds(self) -> float:
        return self._all() - self._before

    def _all(self) -> float:
        return sum(map(_waited_s, [*family(self._pid), os.getpid()])) if AVAILABLE else 0.0


def _waited_s(pid: int) -> float:
    """Of all threads together."""
    return sum(int((task / "schedstat").read_text().split()[1]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def family(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from family(int(child))


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Within the block they take connections and answer nothing."""
    stopped = list(family(pid))
    for one in stopped:
        os.kill(one, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in stopped:
            os.kill(one, signal.SIGCONT)


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
