"""A batch that is made durable in a thread of its own."""

from __future__ import annotations

import threading

import pytest

from mailarchive.cli.background import Background
from mailarchive.errors import DiskError


def test_a_task_runs_while_its_beginner_goes_on_and_is_waited_for() -> None:
    """What it raised is raised where it is waited for, once."""
    going = threading.Event()
    done: list[str] = []

    def task() -> None:
        assert going.wait(10)
        done.append(threading.current_thread().name)

    def failing() -> None:
        raise DiskError("full")

    with Background() as background:
        wait = background(task)
        assert done == []
        going.set()
        wait()
        assert done == ["batch"]
        wait = background(failing)
        with pytest.raises(DiskError, match="full"):
            wait()
        wait()
        background(failing)
        with pytest.raises(DiskError, match="full"):
            background(task)


def test_f113_whoever_is_stopped_at_once_waits_for_the_task_all_the_same() -> None:
    """Nothing that it uses is closed under its hands; what it raised is lost with the run."""
    going = threading.Event()
    done: list[str] = []

    def task() -> None:
        going.wait(0.2)
        done.append("done")
        raise DiskError("full")

    def stopped() -> None:
        with Background() as background:
            background(task)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert done == ["done"]


def test_f107_where_there_is_no_room_for_a_thread_the_task_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer, and what it raised is raised where it is waited for."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[str] = []

    def failing() -> None:
        raise DiskError("full")

    with Background() as background:
        wait = background(lambda: done.append(threading.current_thread().name))
        assert done == ["MainThread"]
        wait()
        wait = background(failing)
        with pytest.raises(DiskError, match="full"):
            wait()
