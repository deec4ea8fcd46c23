"""The question before a deletion (`mailarchive.cli.consent`), in this process and at a terminal."""

from __future__ import annotations

import io
import os
import signal
import sys

import pytest

from mailarchive.cli.consent import Consent, ask
from mailarchive.cli.interrupt import Interrupt
from mailarchive.errors import ExitCode, UsageError
from mailarchive.events import Planned, PlannedMailbox
from mailarchive.job import Answer
from mailarchive.screen.plain import Plain
from tests.cli.terminal import CTRL_C, at_a_terminal

HELD = "the clock says 2031, and the last run was in 2026"


def plan(delete: int = 811, *, method: str = "expunge", held: str = "") -> Planned:
    """Make a plan that deletes so many messages of one mailbox."""
    box = PlannedMailbox("INBOX", 12_402, 900, 0, 900, 93_000_000, delete, 92_100_000 if delete else 0, 900 - delete)
    return Planned((box,), deleting=True, method=method, held=held)


def consent(*, archives: bool = True, asks: bool = True, interrupt: Interrupt | None = None) -> Consent:
    """Make the one that is asked, with a screen that shows nothing but questions."""
    return Consent(
        Plain(None, sys.stderr, quiet=True),
        interrupt or Interrupt(),
        host="imap.example.org",
        archives=archives,
        asks=asks,
    )


def types(monkeypatch: pytest.MonkeyPatch, octets: bytes) -> None:
    """Type on the standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(octets)))


@pytest.mark.parametrize(
    ("planned", "archives", "expected"),
    [
        (
            plan(),
            True,
            "Delete 811 messages (92.1 MB) on imap.example.org once they are archived and proved?",
        ),
        (plan(), False, "Delete 811 messages (92.1 MB) on imap.example.org?"),
        (plan(1), False, "Delete 1 message (92.1 MB) on imap.example.org?"),
        (plan(method="gmail"), False, "Delete 811 messages (92.1 MB) on imap.example.org?"),
        (plan(method="trash"), False, "Move 811 messages (92.1 MB) on imap.example.org to the trash?"),
        (plan(method="mark"), False, "Mark 811 messages (92.1 MB) on imap.example.org as deleted?"),
        (
            plan(held=HELD),
            False,
            f"Attention: {HELD}.\nDelete 811 messages (92.1 MB) on imap.example.org all the same?",
        ),
    ],
)
def test_the_question_says_what_a_yes_does(planned: Planned, archives: bool, expected: str) -> None:
    """How many, how much, where, and when; what speaks against it comes first."""
    assert consent(archives=archives).question(planned) == expected


def test_f124_what_a_server_says_cannot_steer_the_terminal() -> None:
    """Also the reason of a guard is foreign text."""
    assert "\x1b" not in consent().question(plan(held="\x1b]0;owned\x07"))


@pytest.mark.parametrize(
    ("typed", "agreed"),
    [
        (b"y\n", True),
        (b"YES\n", True),
        (b"  yes \r\n", True),
        (b"\n", False),
        (b"n\n", False),
        (b"No\n", False),
        (b"ja\nj\ny\n", True),
        (b"yy\nn\n", False),
        (b"\xff\xfe\nn\n", False),
        (b"n\ny\n", False),
    ],
)
def test_only_a_clear_yes_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: bytes, agreed: bool
) -> None:
    """An empty line is no; what is neither is asked again; nothing goes to stdout."""
    types(monkeypatch, typed)
    assert ask("Delete it?") is agreed
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Delete it? [y/N] ")


@pytest.mark.parametrize("typed", [b"", b"maybe\n"])
def test_f131_the_end_of_the_input_is_no_answer(monkeypatch: pytest.MonkeyPatch, typed: bytes) -> None:
    """Exit 2, because nobody said no either."""
    types(monkeypatch, typed)
    with pytest.raises(UsageError, match="was not answered, and nothing was done") as caught:
        ask("Delete it?")
    assert "--yes" in caught.value.hint


def test_what_was_said_before_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --yes or without a terminal the yes is given; with nothing to delete there is no question."""
    types(monkeypatch, b"")
    assert consent(asks=False)(plan()) is Answer.GIVEN
    assert consent(asks=False)(plan(held=HELD)) is Answer.GIVEN
    assert consent()(plan(0)) is Answer.GIVEN


def test_a_run_that_is_being_stopped_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is deleted then."""
    types(monkeypatch, b"")
    interrupt = Interrupt()
    interrupt.code = ExitCode.TERMINATE
    assert consent(interrupt=interrupt)(plan()) is Answer.NO


@pytest.mark.parametrize(
    ("archives", "said"), [(True, "Nothing will be deleted; the mail is archived all the same."), (False, "")]
)
def test_a_no_is_confirmed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], archives: bool, said: str
) -> None:
    """A backup says that it goes on."""
    types(monkeypatch, b"n\n")
    assert consent(archives=archives)(plan()) is Answer.NO
    err = capsys.readouterr().err
    assert (said or "Nothing will be deleted.") in err
    assert err.index("INBOX") < err.index("[y/N]")


def test_f113_signals_do_at_the_question_what_they_did_before() -> None:
    """The first one ends the program; after the answer the batch is finished again."""
    before = signal.getsignal(signal.SIGINT)
    interrupt = Interrupt()
    with interrupt:
        caught = signal.getsignal(signal.SIGINT)
        with interrupt.paused():
            assert signal.getsignal(signal.SIGINT) is before
        assert signal.getsignal(signal.SIGINT) == caught != before
        with pytest.raises(KeyboardInterrupt), interrupt.paused():
            os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.code is None
        # The run is over, so a second Ctrl-C must not be kept for the end of a batch.
        assert signal.getsignal(signal.SIGINT) is before
    assert signal.getsignal(signal.SIGINT) is before
    with interrupt.paused():
        pass
    assert signal.getsignal(signal.SIGINT) is before


def test_f113_a_signal_that_is_switched_off_stays_off() -> None:
    """Under nohup a hangup stops nothing, at the question neither."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt, interrupt.paused():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


SCRIPT = """\
import sys, time
sys.path.insert(0, {here!r})
from mailarchive.cli.interrupt import Interrupt
from tests.cli.test_consent import consent, plan
print("busy", flush=True)
time.sleep({pause})
interrupt = Interrupt()
with interrupt:
    print("ANSWER", consent(interrupt=interrupt)(plan()).name)
"""


def script(pause: float = 0.0) -> list[str]:
    """Make the command that asks at a terminal."""
    return [sys.executable, "-c", SCRIPT.format(here=os.getcwd(), pause=pause)]  # noqa: PTH109 - where the tests are


@pytest.mark.parametrize(("typed", "answer"), [("y\r", "SAID"), ("\r", "NO"), ("n\r", "NO")])
def test_at_a_terminal_the_plan_is_shown_and_the_answer_read(typed: str, answer: str) -> None:
    """The table, then the question."""
    seen = at_a_terminal(script(), [("[y/N]", typed)])
    assert f"ANSWER {answer}" in seen.text
    assert seen.text.index("INBOX") < seen.text.index("Delete 811 messages")
    assert seen.code == 0


def test_what_is_typed_before_the_question_is_no_answer() -> None:
    """A yes that was meant for something else deletes nothing."""
    seen = at_a_terminal(script(0.5), [("busy", "y\ry\r"), ("[y/N]", "\r")])
    assert "ANSWER NO" in seen.text


def test_f113_ctrl_c_at_the_question_ends_the_program_at_once() -> None:
    """By the signal, as if it were not caught."""
    seen = at_a_terminal(script(), [("[y/N]", CTRL_C)])
    assert seen.code == -signal.SIGINT
    # From Python 3.13 on a traceback shows the lines of a script like this one too.
    assert "\nANSWER" not in seen.text
