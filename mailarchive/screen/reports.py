"""What is said at the end of a run, and of a plan: the tables, and the sentences around them.

The law of this room: pure functions from events to lines without colour. A foreign string passes `safe` before anything
else sees it. What frees no quota is never called free.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mailarchive.expunge import Refusal
from mailarchive.model import ItemState, Method
from mailarchive.screen.safe import safe
from mailarchive.screen.tables import export_table, frees, import_table, plan_table, restore_table, result_table
from mailarchive.screen.words import (
    INDENT,
    Line,
    cell_width,
    fold,
    format_count,
    format_size,
    messages,
    percent,
    quota_bar,
    quota_line,
    tilde,
)
from mailarchive.tally import Intake, Return, Tally

if TYPE_CHECKING:
    from mailarchive.events import (
        ExportFinished,
        Finished,
        ImportFinished,
        Planned,
        ReindexFinished,
        RestoreFinished,
        Settled,
        Started,
        VerifyFinished,
    )
    from mailarchive.model import Quota
    from mailarchive.screen.words import Role

_LONG = 1000
_BAR_ROOM = 48  # a line of the quota with its bar


def title(started: Started, words: str = "") -> Line:
    """Say which account, which server and which mail: `home · imaps://imap.example.org · older than 1y = …`.

    `words` stand for a selection that is empty; without them that is everything.
    """
    parts = (safe(started.account), safe(started.server), safe(started.selection, limit=_LONG) or words or "everything")
    return Line(" · ".join(part for part in parts if part), "title")


# Plans


def plan_lines(
    started: Started | None, planned: Planned, *, width: int, encoding: str, asking: bool = False
) -> list[Line]:
    """Write the whole result of a dry run, or, when `asking`, what is shown before the user is asked about it."""
    lines = [title(started)] if started else []
    if planned.mailboxes:
        lines += plan_table(planned, width=width, encoding=encoding)
    lines += _kept_lines(planned.kept, width)
    if planned.delete and not planned.held:
        lines += _expected_lines(planned, width)
    if planned.held:
        lines += fold(["nothing would be deleted:", safe(planned.held, limit=_LONG)], width, "warn")
    if not asking:
        lines += _sentence(started, planned, width)
    if not planned.complete:
        lines += fold(["interrupted:", "this is only a part of the plan"], width, "warn")
    return lines


def _expected_lines(planned: Planned, width: int) -> list[Line]:
    """Say what the deletion would do to the quota."""
    if not frees(planned.method):
        return _method_note(planned.method, width, done=False)
    if planned.quota is None:
        return []
    after = replace(planned.quota, used=max(0, planned.quota.used - planned.delete_size))
    return fold([f"quota: {quota_line(planned.quota)}", f" →  about {quota_line(after)}"], width)


def _sentence(started: Started | None, planned: Planned, width: int) -> list[Line]:
    """Say in words what a run would do; a prune does not fetch."""
    fetch = sum(box.fetch for box in planned.mailboxes)
    size = format_size(sum(box.size for box in planned.mailboxes))
    parts = []
    if fetch or started is None or started.command != "prune":
        parts.append(f"would archive {messages(fetch)}, {size};")
    if planned.deleting and not planned.held:
        parts.append(f"would {_deletion(planned)};")
    return fold([*parts, "nothing was changed"], width)


def _deletion(planned: Planned) -> str:
    what = f"{messages(planned.delete)}, {format_size(planned.delete_size)}"
    if not planned.delete:
        return "delete nothing from the server"
    if planned.method == Method.TRASH:
        return f"move {what}, to the trash"
    if planned.method == Method.MARK:
        return f"mark {what}, as \\Deleted"
    return f"delete {what}, from the server"


# Results


def result_lines(
    started: Started | None, finished: Finished, *, width: int, encoding: str, home: str = "", bar: bool = False
) -> list[Line]:
    """Write the whole result of a run (`interface.md` section 7); with `bar`, draw the quota too."""
    total = finished.total
    lines = [title(started)] if started else []
    if finished.mailboxes or total != Tally():
        deleting = bool(finished.deleting or total.deleted or total.kept)
        lines += result_table(finished, width=width, deleting=deleting, encoding=encoding)
    elif not finished.exit_code:
        lines.append(Line("  nothing to do"))
    lines += _kept_lines(finished.kept, width)
    lines += _quota_lines(finished.quota, finished.quota_before, width, bar=bar)
    marked = any(count for why, count in finished.kept if why in (Refusal.MARKED, ItemState.MARKED))
    if marked if finished.method == Method.MARK else total.deleted:
        lines += _method_note(finished.method, width, done=True)
    undo = [f"undo with: {safe(finished.undo, limit=1000)}"] if finished.undo else []
    return [*lines, *_whereabouts(finished.archive, finished.run, undo, width, home)]


def restore_lines(
    started: Started | None, finished: RestoreFinished, *, width: int, encoding: str, home: str = "", bar: bool = False
) -> list[Line]:
    """Write the whole result of a run that puts messages back, or would; with `bar`, draw the quota too."""
    dry_run = started is not None and started.dry_run
    words = f"what {safe(finished.of)} deleted" if finished.of else ""
    lines = [title(started, words)] if started else []
    if finished.mailboxes or finished.total != Return():
        lines += restore_table(finished, width=width, encoding=encoding, dry_run=dry_run)
    elif not finished.exit_code:
        lines.append(Line("  nothing to put back"))
    if left := finished.total.left:
        were = "was" if left == 1 else "were"
        lines += fold([f"{messages(left)} {were} not reached;", "run it again for the rest"], width, "warn")
    lines += _quota_lines(finished.quota, None, width, bar=bar)
    if dry_run:
        return [*lines, Line("  nothing was changed")]
    return [*lines, *_whereabouts(finished.archive, finished.run, [], width, home)]


def import_lines(
    started: Started | None, finished: ImportFinished, *, width: int, encoding: str, home: str = ""
) -> list[Line]:
    """Write the whole result of a run that takes in mail of other programs, or would."""
    dry_run = started is not None and started.dry_run
    lines = [title(started)] if started else []
    if finished.mailboxes or finished.total != Intake():
        lines += import_table(finished, width=width, encoding=encoding, dry_run=dry_run)
    elif not finished.exit_code:
        lines.append(Line("  nothing to import"))
    lines += _reasons("left out", finished.left_out, width)
    if dry_run:
        return [*lines, Line("  nothing was changed")]
    return [*lines, *_whereabouts(finished.archive, finished.run, [], width, home)]


def export_lines(finished: ExportFinished, *, width: int, encoding: str, home: str = "") -> list[Line]:
    """Write what an export wrote."""
    where = f"{finished.form}: {safe(tilde(finished.to, home), limit=_LONG)}"
    if not finished.mailboxes:
        return [Line(where, "title"), Line("  nothing was found")]
    lines = [Line(where, "title"), *export_table(finished, width=width, encoding=encoding)]
    files = "1 file" if finished.files == 1 else f"{format_count(finished.files)} files"
    return [*lines, Line(f"  {files}")]


def verify_lines(finished: VerifyFinished, *, home: str) -> list[Line]:
    """Say what a verification found, in a few lines."""
    share = "" if finished.read == finished.held else f" of {format_count(finished.held)}"
    line = f"{format_count(finished.read)}{share} messages read back, {format_size(finished.size)}"
    bad = sum(count for flaw, count in finished.flaws if flaw.serious)
    kinds = ", ".join(f"{format_count(count)} {flaw}" for flaw, count in finished.flaws)
    return [
        Line(safe(tilde(finished.archive, home), limit=_LONG), "title"),
        Line(f"  {line}: {kinds or 'all as they were archived'}", "bad" if bad else ""),
    ]


def reindex_lines(finished: ReindexFinished, *, width: int, home: str) -> list[Line]:
    """Say what the new catalogue is made of, in a few lines."""
    lines = [Line(safe(tilde(finished.archive, home), limit=_LONG), "title")]
    kinds = ", ".join(f"{format_count(count)} {flaw}" for flaw, count in finished.flaws)
    size = format_size(finished.size)
    read = [f"{messages(finished.read)} read,", *([f"{size}:", kinds] if kinds else [size])]
    lines += fold(read, width, "bad" if kinds else "")
    if not finished.complete:
        return [*lines, *fold(["the catalogue is as it was"], width, "warn")]
    runs = f"{format_count(finished.runs)} run{'' if finished.runs == 1 else 's'}"
    lines += fold(
        [
            f"{format_count(finished.placed)} placed by the manifests of {runs},",
            f"{format_count(finished.expunged)} of them deleted on the server;",
            f"{format_count(finished.listed)} by lists alone;",
            f"{format_count(finished.unplaced)} left over",
        ],
        width,
    )
    if finished.open:
        lines += fold(
            [f"{messages(finished.open)} of an interrupted deletion:", "the next run looks at the server"],
            width,
            "warn",
        )
    aside = f"; the old one is kept as {safe(finished.set_aside)}" if finished.set_aside else ""
    return [*lines, *fold([f"the catalogue is a new one{aside}"], width)]


# Sentences


def counts(tally: Tally) -> str:
    """Say in one phrase what was done: `2 archived, 0 failed`, and what was deleted if anything was."""
    deletion = f", {format_count(tally.deleted)} deleted, {format_count(tally.kept)} kept"
    removed = deletion if tally.deleted or tally.kept else ""
    return f"{format_count(tally.archived)} archived{removed}, {format_count(tally.failed)} failed"


def settled_text(event: Settled) -> str:
    """Say in one sentence what became of a deletion that an earlier run left open."""

    def part(count: int, one: str, many: str) -> list[str]:
        return [f"{format_count(count)} {one if count == 1 else many}"] if count else []

    parts = [
        *part(event.gone, "had gone", "had gone"),
        *part(event.back, "was still there and is unmarked", "were still there and are unmarked"),
        *part(event.open, "is still there and marked \\Deleted", "are still there and marked \\Deleted"),
        *part(
            event.abandoned,
            "was left alone, because the server numbers it anew or shows another",
            "were left alone, because the server numbers them anew or shows others",
        ),
    ]
    end = "is still open" if event.open else "was settled"
    found = ", ".join(parts) or "nothing was left of it"
    return f"an interrupted deletion in {safe(event.mailbox)} (run {safe(event.run)}) {end}: {found}"


def _kept_lines(kept: tuple[tuple[str, int], ...], width: int) -> list[Line]:
    """Say why messages stay on the server: `kept: 18 flagged, 3 sent after the cut-off`."""
    return _reasons("kept", kept, width)


def _reasons(what: str, counted: tuple[tuple[str, int], ...], width: int) -> list[Line]:
    """Say for which reasons something happened to how many messages.

    A reason that has a comma or a colon of its own makes semicolons stand between them.
    """
    reasons = [f"{format_count(count)} {safe(why)}" for why, count in counted]
    if not reasons:
        return []
    sign = ";" if any(mark in reason for reason in reasons for mark in ",:;") else ","
    parts = [f"{reason}{sign}" for reason in reasons[:-1]] + reasons[-1:]
    return fold([f"{what}: {parts[0]}", *parts[1:]], width)


def _quota_lines(quota: Quota | None, before: Quota | None, width: int, *, bar: bool) -> list[Line]:
    """Say how full the account is now, and was before if that is known."""
    if quota is None:
        return []
    now = (quota_bar(quota) + " " if bar and width >= _BAR_ROOM else "") + quota_line(quota)
    role: Role = "warn" if percent(quota) >= 90 else ""
    return fold([f"quota: {quota_line(before)}", f" →  {now}"] if before else [f"quota: {now}"], width, role)


def _method_note(method: str, width: int, *, done: bool) -> list[Line]:
    """Say what a deletion by this method leaves to be done; nothing if it is complete."""
    if method == Method.TRASH:
        text = f"the messages {'are' if done else 'will be'} in the trash, and free no quota until it is emptied"
    elif method == Method.MARK:
        were = "were only" if done else "will only be"
        text = f"the messages {were} marked \\Deleted, and go when a mail program expunges the mailbox"
    else:
        return []
    return fold(text.split(), width, "warn")


def _whereabouts(archive: str, run: str, more: list[str], width: int, home: str) -> list[Line]:
    """Say where the mail is and what the run is called, on one line if there is room."""
    parts = [f"archive: {safe(tilde(archive, home), limit=_LONG)}", f"run: {safe(run)}", *more]
    line = " " * INDENT + "   ".join(parts)
    return [Line(line)] if cell_width(line) <= width else [Line(" " * INDENT + part) for part in parts]
