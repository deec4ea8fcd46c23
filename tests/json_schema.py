"""The schema of `--json`, made from the classes of the events.

`python -m tests.json_schema > docs/json.md` writes it down.

A line that is no event of a job has its fields in `RECORDS`; a test finds the ones that are missing there.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import Enum, IntEnum
from functools import cache
from typing import Any, Final, NewType, Union, get_args, get_origin, get_type_hints

from mailarchive import errors, events, model, usage
from mailarchive.errors import ExitCode
from mailarchive.model import Quota
from mailarchive.screen.jsonl import VERSION, event_name
from mailarchive.screen.letters import Attached, Header

_NAMES: Final = {**vars(model), **vars(errors), **vars(usage), "datetime": datetime}


@dataclass(frozen=True)
class RunSeen:
    """How a run ended, as its manifest says."""

    run: str
    command: str
    started: datetime | None
    ended: datetime | None
    exit_code: int | None
    counts: dict[str, int]


@dataclass(frozen=True)
class Due:
    """Something that a human should do; `serious` makes the exit code 3."""

    text: str
    hint: str
    serious: bool


@dataclass(frozen=True)
class AccountEnd:
    """How it went with one of several accounts."""

    account: str
    exit_code: ExitCode


RECORDS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "schema": (
        "The first line of every output.",
        {"version": int, "program": str, "program_version": str},
    ),
    "error": (
        "Something failed; `temporary` says whether the same may work later.",
        {"message": str, "hint": str, "exit_code": ExitCode, "temporary": bool},
    ),
    "setting": (
        "`config show`: one setting of an account, and where it comes from.",
        {"account": str, "file": str, "key": str, "value": Any, "origin": str, "variable": str, "line": int | None},
    ),
    "config_checked": ("`config check`: the file is right.", {"file": str, "accounts": list[str]}),
    "config_path": ("`config path`.", {"file": str, "exists": bool}),
    "check": (
        "`doctor`: one finding.",
        {"account": str, "check": str, "level": str, "text": str, "hint": str, "exit_code": ExitCode},
    ),
    "doctor_finished": ("The end of `doctor`.", {"exit_code": ExitCode}),
    "status": (
        "`status`: one archive; what is not known is null.",
        {
            "account": str,
            "server": str,
            "archive": str,
            "exists": bool,
            "kind": str,
            "messages": int | None,
            "size": int | None,
            "held": int | None,
            "open_deletions": int | None,
            "damaged": int,
            "running": str,
            "last_run": RunSeen | None,
            "last_success": RunSeen | None,
            "quota": Quota | None,
            "quota_at": datetime | None,
            "due": list[Due],
            "error": str,
            "hint": str,
            "exit_code": ExitCode,
        },
    ),
    "accounts_finished": (
        "The end of `backup` and `prune` of several accounts, or of none in a shard.",
        {"accounts": list[AccountEnd], "exit_code": ExitCode},
    ),
    "status_finished": ("The end of `status`.", {"exit_code": ExitCode}),
    "found": (
        "`search` and `list`: one message; `id` is its whole ID, and what is not known is null.",
        {
            "id": str,
            "archive": str,
            "mailbox": str,
            "date": datetime | None,
            "from": str,
            "to": str,
            "subject": str,
            "size": int,
            "flags": list[str] | None,
            "attachments": int | None,
            "uidvalidity": int | None,
            "uid": int | str | None,
            "location": str,
        },
    ),
    "search_finished": ("The end of `search` and `list`.", {"found": int}),
    "message": (
        "`show`: a message; `text_cut` says whether more of its text is left out.",
        {
            "id": str,
            "mailbox": str,
            "size": int,
            "flags": list[str] | None,
            "headers": list[Header],
            "text": str,
            "text_cut": bool,
            "attachments": list[Attached],
        },
    ),
    "schedule": (
        "`schedule`: a file or, where `path` is null, lines of a crontab; `what` was done with it, or `would_be_…`.",
        {"system": str, "path": str | None, "text": str, "what": str},
    ),
    "schedule_finished": (
        "The end of `schedule --install` and `--remove`: what the user has to type, because the system did not answer.",
        {"system": str, "to_type": list[str]},
    ),
}


@cache
def fields_of(kind: type) -> dict[str, Any]:
    """Give the fields of an object in JSON and their types."""
    hints = get_type_hints(kind, _NAMES | vars(sys.modules[kind.__module__]))
    found = {field.name: hints[field.name] for field in fields(kind)}
    return found | {"percent": float} if kind is Quota else found


def lines() -> dict[str, tuple[str, dict[str, Any]]]:
    """Give every line by its name: what it says, and its fields but for `event`."""
    kinds = get_args(events.Event)
    # Only the class is looked at for the name.
    named = {event_name(object.__new__(kind)): (inspect.cleandoc(kind.__doc__), fields_of(kind)) for kind in kinds}
    return named | RECORDS


def problems(line: dict[str, Any]) -> list[str]:
    """Say how a line departs from the schema."""
    name = line.get("event")
    known = lines()
    if name not in known:
        return [f"there is no line {name!r}"]
    return _of_object({key: value for key, value in line.items() if key != "event"}, known[name][1], str(name))


def _of_object(value: Any, kinds: dict[str, Any], at: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{at} is no object"]
    found = [f"{at}.{key} is not in the schema" for key in value if key not in kinds]
    found += [f"{at}.{key} is missing" for key in kinds if key not in value]
    return found + [each for key in kinds if key in value for each in _of(value[key], kinds[key], f"{at}.{key}")]


def _of(value: Any, kind: Any, at: str) -> list[str]:
    """Say how a value departs from its type."""
    if kind is Any:
        return []
    if isinstance(kind, NewType):
        return _of(value, kind.__supertype__, at)
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return [] if any(not _of(value, each, at) for each in inside) else [f"{at}: {value!r} is not {words(kind)}"]
    if origin in (tuple, list):
        if not isinstance(value, list):
            return [f"{at}: {value!r} is no list"]
        wanted = [inside[0]] * len(value) if origin is list or inside[-1] is ... else list(inside)
        if len(wanted) != len(value):
            return [f"{at}: {value!r} has not {len(wanted)} parts"]
        pairs = enumerate(zip(value, wanted, strict=True))
        return [each for number, (item, part) in pairs for each in _of(item, part, f"{at}[{number}]")]
    if origin is dict:
        return [each for key in value for each in _of(value[key], inside[1], f"{at}.{key}")]
    if is_dataclass(kind):
        return _of_object(value, fields_of(kind), at)  # type: ignore[arg-type] # it is a class
    return [] if _is(value, kind) else [f"{at}: {value!r} is not {words(kind)}"]


def _is(value: Any, kind: type) -> bool:
    if kind is type(None):
        return value is None
    if issubclass(kind, Enum):
        return value in [each.value for each in kind]
    if kind is datetime:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return isinstance(value, kind)


def words(kind: Any) -> str:
    """Give a type in words."""
    plain = {str: "text", int: "number", float: "number", bool: "true or false", type(None): "null", Any: "any value"}
    if kind in plain:
        return plain[kind]
    if kind is datetime:
        return "time (ISO 8601 with offset)"
    if kind is ExitCode:
        return "exit code"
    if isinstance(kind, NewType):
        return words(kind.__supertype__)
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(words(each) for each in inside))
    if origin is dict:
        return f"object of {words(inside[1])}"
    if origin is list or (origin is tuple and inside[-1] is ...):
        return f"list of {words(inside[0])}"
    if origin is tuple:
        return f"[{', '.join(map(words, inside))}]"
    if issubclass(kind, Enum):
        assert not issubclass(kind, IntEnum)
        return " or ".join(f"`{each.value}`" for each in kind)
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def _objects() -> dict[str, type]:
    """Give every object that stands inside a line."""
    found: dict[str, type] = {}

    def look(kind: Any) -> None:
        for each in get_args(kind):
            look(each)
        if isinstance(kind, type) and is_dataclass(kind) and kind.__name__ not in found:
            found[kind.__name__] = kind
            for inner in fields_of(kind).values():
                look(inner)

    for _, kinds in lines().values():
        for kind in kinds.values():
            look(kind)
    return found


_HEAD: Final = f"""\
# What `--json` prints

Made by `python -m tests.json_schema`; the tests check that it is current, and that runs print exactly this.

One JSON object a line on stdout, in ASCII, and nothing else there. The first line is `schema`, with version {VERSION};
new lines and new fields may come within a version, and one that goes away or changes its meaning raises it. `event`
names the line. Sizes are octets, instants have an offset. Text from servers is exact, so make it safe before you show
it. A backup of several accounts prints one `started` and one `finished` for each, and each line has the `account` it
is about, first of all, since with `--jobs` they come between each other; the last line is `accounts_finished`. Warnings
about a ping and the like may follow `finished`.

The lines of `--log-file` are the same, with `at` (when), `run` and `account` on each; without empty texts, without
`schema`, `selection`, `undo` and `usage`, and with `***` in the place of each address and secret.
"""


def markdown() -> str:
    """Make the text of docs/json.md."""
    known = lines()
    records = {name: known[name] for name in known if name in RECORDS}
    of_jobs = {name: known[name] for name in known if name not in RECORDS}
    inside = {name: (inspect.cleandoc(kind.__doc__ or ""), fields_of(kind)) for name, kind in _objects().items()}
    parts = [_HEAD]
    for title, group in (("Lines of jobs", of_jobs), ("Other lines", records), ("Objects inside lines", inside)):
        parts.append(f"## {title}\n")
        parts += [_section(name, text, kinds) for name, (text, kinds) in group.items()]
    return "\n".join(parts)


def _section(name: str, text: str, kinds: dict[str, Any]) -> str:
    sentence, _, about = text.partition("\n\nAttributes:\n")
    # What one entry says of a second field stays in it.
    said = dict(re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", about, re.MULTILINE))
    rows = [
        f"- `{key}`: {words(kind)}" + (f". {' '.join(said[key].split())}" if key in said else "")
        for key, kind in kinds.items()
    ]
    return "\n".join([f"### {name}\n", " ".join(sentence.split()) + "\n", *rows, ""])


if __name__ == "__main__":
    sys.stdout.write(markdown())
