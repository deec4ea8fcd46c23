"""One task at a time in a thread of its own: a batch is made durable while the next one comes.

The law of this room: whoever began a task waits for its end before anything that the task uses is closed, and hears of
whatever it raised.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self


class Background:
    """See `ports.Later`; as a context manager it ends only when its task has."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._join()

    def __call__(self, task: Callable[[], None]) -> Callable[[], None]:
        """Begin a task; gives what waits for its end and raises what it raised."""
        self._wait()

        def run() -> None:
            try:
                task()
            except BaseException as caught:  # noqa: BLE001 - it is raised where it is waited for
                self._error = caught

        # A program that is stopped at once waits for the batch in `__exit__`, and never for a thread beyond that.
        thread = threading.Thread(target=run, name="batch", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # Where there is no memory, or no leave, for another thread, it takes longer.
            run()
        else:
            self._thread = thread
        return self._wait

    def _wait(self) -> None:
        self._join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None
