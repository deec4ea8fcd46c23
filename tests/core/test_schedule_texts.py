"""What systemd, cron and launchd are told, as texts."""

from __future__ import annotations

import plistlib
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from mailarchive.errors import ConfigError, UsageError
from mailarchive.scheduling import cron, launchd, systemd
from mailarchive.scheduling.job import MARK, Job, When, when

JOB = Job(
    "home",
    ("/opt/a b/mailarchive", "--config", '/home/u/50% off/$HOME/it\'s "q" \\ é.toml', "backup", "-q", "home"),
    When("day", 17, 3),
    environ=(("PATH", "/usr/bin:/bin"), ("XDG_STATE_HOME", "/home/u/s t%")),
    writable=(Path("/srv/mail 100%"), Path("/home/u/.local/state")),
)
FOREIGN = "MAILTO=x\n# mine\n0 5 * * * true % input\n"


@pytest.mark.parametrize(
    ("every", "at", "calendar", "fields"),
    [
        ("day", "03:15", "*-*-* 03:15:00", "15 3 * * *"),
        ("day", "0:00", "*-*-* 00:00:00", "0 0 * * *"),
        ("week", "23:59", "Sun *-*-* 23:59:00", "59 23 * * 0"),
        ("week", "sat 4:05", "Sat *-*-* 04:05:00", "5 4 * * 6"),
        ("week", "Monday 04:05", "Mon *-*-* 04:05:00", "5 4 * * 1"),
    ],
)
def test_a_time_in_the_words_of_each_system(every: str, at: str, calendar: str, fields: str) -> None:
    """The same instant everywhere; for cron and launchd the week begins on Sunday."""
    time = when(every, at, "")
    assert systemd.calendar(time) == calendar
    assert cron.line(replace(JOB, when=time)).startswith(f"{fields} PATH=")
    found = plistlib.loads(launchd.agent(replace(JOB, when=time), Path("/home/u")).encode())["StartCalendarInterval"]
    minute, hour, _, _, day = fields.split()
    expected = {"Minute": int(minute), "Hour": int(hour)}
    assert found == (expected | {"Weekday": int(day)} if every == "week" else expected)


def test_without_a_time_it_is_a_fixed_minute_at_night() -> None:
    """The same at each call, so that installing again changes nothing; another one for others."""
    assert when("day", None, "a") == when("day", None, "a")
    assert when("day", None, "a").hour == 3
    assert len({when("day", None, str(number)).minute for number in range(100)}) > 30
    hourly = when("hour", None, "a")
    assert systemd.calendar(hourly) == f"*-*-* *:{hourly.minute:02}:00"
    assert cron.line(replace(JOB, when=hourly)).startswith(f"{hourly.minute} * * * * ")


@pytest.mark.parametrize(
    ("every", "at"),
    [("day", "24:00"), ("day", "3"), ("day", "3:60"), ("day", "Sun 3:00"), ("week", "Xyz 3:00"), ("hour", "3:00"),
     ("day", "3:00 "*2), ("day", "٣:00")],
)  # fmt: skip
def test_a_time_that_is_none_is_refused(every: str, at: str) -> None:
    """With what to write instead."""
    with pytest.raises(UsageError) as caught:
        when(every, at, "")
    assert caught.value.hint or "the days are" in caught.value.message


def test_words_of_a_service_are_quoted() -> None:
    """Percent signs, dollars, quotes, backslashes and blanks reach the program as they are."""
    lines = systemd.service(JOB).splitlines()
    assert (
        'ExecStart="/opt/a b/mailarchive" --config "/home/u/50%% off/$$HOME/it\'s \\"q\\" \\\\ é.toml" backup -q home'
        in lines
    )
    assert 'Environment="XDG_STATE_HOME=/home/u/s t%%"' in lines
    assert 'ReadWritePaths="-/srv/mail 100%%" -/home/u/.local/state' in lines
    assert lines[0] == f"# {MARK}"


def test_a_service_may_do_no_more_than_a_backup_needs() -> None:
    """Each line of the hardening; the codes that are no failure."""
    lines = systemd.service(JOB).splitlines()
    for line in (
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "PrivateTmp=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "SystemCallFilter=@system-service",
        "SuccessExitStatus=11 75",
    ):
        assert line in lines
    commands = systemd.service(replace(JOB, commands=True))
    assert "PrivateTmp" not in commands
    assert "ReadWritePaths=-%h -%t -/tmp -/var/tmp " in commands
    asking = systemd.service(replace(JOB, askers=("home",)))
    assert "\n#LoadCredential=mailarchive.home.password:%h/.config/mailarchive/home.password\n" in asking


def test_a_timer_makes_up_for_what_was_missed() -> None:
    """And comes at a minute of its own."""
    text = systemd.timer(JOB)
    assert "\nPersistent=true\n" in text
    assert "\nRandomizedDelaySec=30min\n" in text
    assert "\nOnCalendar=*-*-* 03:17:00\n" in text
    assert text.startswith(f"# {MARK}\n")


def test_a_line_of_cron_gives_the_words_back() -> None:
    r"""After cron has made `%` of `\%`, and a shell has split it; no bare percent sign is left."""
    line = cron.line(JOB)
    assert line.count("%") == line.count(r"\%") == 2
    words = shlex.split(line.split(" ", 5)[5].replace(r"\%", "%"))
    assert tuple(words[2:]) == JOB.words
    assert words[:2] == ["PATH=/usr/bin:/bin", "XDG_STATE_HOME=/home/u/s t%"]


def test_a_line_that_cron_would_cut_gets_a_short_path_or_is_refused() -> None:
    """Some crons cut a command after 1000 octets, and run what is left of it."""
    long = replace(JOB, environ=(("PATH", ":".join(f"/opt/folder{n}/bin" for n in range(80))),))
    assert " PATH=/usr/local/bin:/usr/bin:/bin '/opt/a b/mailarchive' " in cron.line(long)
    with pytest.raises(UsageError, match="longer than 990"):
        cron.line(replace(JOB, words=("/" + "x" * 1000,)))


@pytest.mark.parametrize("before", ["", FOREIGN, FOREIGN.rstrip("\n"), "\n\n", "é\udcff\n"])
def test_everything_else_in_a_crontab_stays(before: str) -> None:
    """Adding twice is adding once; taking away gives the very text back, but for a line break at its end."""
    other = replace(JOB, account=None)
    once = cron.with_jobs(before, [JOB, other])
    assert once.startswith(before)
    assert cron.with_jobs(once, [JOB, other]) == once
    text, gone = cron.without_jobs(once, ["home"])
    assert (text, gone) == (cron.with_jobs(before, [other]), [cron.block(JOB)])
    text, gone = cron.without_jobs(once, None)
    assert text == before + ("\n" if before and not before.endswith("\n") else "")
    assert len(gone) == 2


def test_a_job_that_changes_stays_in_its_place() -> None:
    """Lines behind it stay behind it."""
    once = cron.with_jobs(FOREIGN, [JOB]) + "1 1 * * * last\n"
    later = replace(JOB, when=When("day", 5, 5))
    assert cron.with_jobs(once, [later]) == FOREIGN + cron.block(later) + "1 1 * * * last\n"


@pytest.mark.parametrize("lost", [0, 2])
def test_a_mark_without_its_other_half_is_refused(lost: int) -> None:
    """Nobody knows any more what is ours."""
    lines = cron.block(JOB).splitlines(keepends=True)
    del lines[lost]
    text = FOREIGN + "".join(lines) + FOREIGN
    with pytest.raises(ConfigError, match="without its other half"):
        cron.with_jobs(text, [JOB])
    with pytest.raises(ConfigError, match="without its other half"):
        cron.without_jobs(text, None)


def test_an_agent_is_a_property_list_with_our_mark() -> None:
    """What launchd reads is what was meant."""
    text = launchd.agent(JOB, Path("/Users/u"))
    found = plistlib.loads(text.encode())
    assert found["Label"] == "mailarchive-backup-home"
    assert tuple(found["ProgramArguments"]) == JOB.words
    assert found["EnvironmentVariables"] == dict(JOB.environ)
    assert MARK.replace("--", "") in text


@pytest.mark.parametrize("sign", ["\n", "\r", "\0", "\x1b", "\x7f"])
def test_a_control_character_stands_in_no_schedule(sign: str) -> None:
    """It would end a line, and begin one of its own."""
    for job in (
        replace(JOB, words=("/x", f"a{sign}b")),
        replace(JOB, environ=(("PATH", f"/x{sign}"),)),
        replace(JOB, writable=(Path(f"/x{sign}y"),)),
    ):
        with pytest.raises(UsageError, match="control character"):
            job.checked()
