"""Shows what is configured.

The law of this room: the file is only read; what stands in it is made safe before it is printed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailarchive.config import default_path, load, written
from mailarchive.config_origins import settings
from mailarchive.errors import ExitCode
from mailarchive.screen.jsonl import JsonLines
from mailarchive.screen.plain import Sink
from mailarchive.screen.safe import safe
from mailarchive.screen.words import cell_width, pad, tilde

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mailarchive.cli.options import Shared
    from mailarchive.config_origins import Setting

_WIDEST = 60
"""Cells of a value, after which the place stands further right."""


def show_settings(accounts: Sequence[str], shared: Shared, environ: Mapping[str, str]) -> int:
    """Print the settings of accounts; gives the exit code. Raises ConfigError."""
    found = written(_named(shared), environ=environ)
    file = str(found.config.path)
    chosen = [(account, settings(found, account, environ)) for account in found.config.select(accounts)]
    if shared.json:
        screen = JsonLines(sys.stdout)
        for account, rows in chosen:
            for row in rows:
                values = {name: getattr(row, name) for name in ("key", "value", "origin", "variable", "line")}
                screen.record("setting", {"account": account.name, "file": file} | values)
        return int(ExitCode.DONE)
    out = Sink(sys.stdout)
    home = environ.get("HOME", "")
    out.write(f"{safe(tilde(os.path.abspath(file), home), limit=500)}{_why(shared, environ)}\n")  # noqa: PTH100 - no link is followed
    for account, rows in chosen:
        out.write(f"\n{safe(account.name)}\n")
        for line in _lines(rows, Path(file).name):
            out.write(f"  {line}\n")
    return int(ExitCode.DONE)


def check_file(shared: Shared, environ: Mapping[str, str]) -> int:
    """Say that the configuration is right; gives the exit code. Raises ConfigError, which says what is wrong."""
    found = load(_named(shared), environ=environ)
    count = len(found.accounts)
    if shared.json:
        JsonLines(sys.stdout).record("config_checked", {"file": found.path, "accounts": list(found.accounts)})
    elif not shared.quiet:
        Sink(sys.stdout).write(
            f"ok: {count} account{'' if count == 1 else 's'} in {safe(str(found.path), limit=500)}\n"
        )
    return int(ExitCode.DONE)


def show_path(shared: Shared, environ: Mapping[str, str]) -> int:
    """Print where the configuration is looked for; gives the exit code."""
    path = _named(shared) or default_path(environ)
    if shared.json:
        JsonLines(sys.stdout).record("config_path", {"file": path, "exists": path.exists()})
    else:
        Sink(sys.stdout).write(f"{safe(str(path), limit=4096)}\n")
    return int(ExitCode.DONE)


def _named(shared: Shared) -> Path | None:
    return Path(shared.config) if shared.config else None


def _why(shared: Shared, environ: Mapping[str, str]) -> str:
    if shared.config:
        return "   from the flag --config"
    return "   from the variable MAILARCHIVE_CONFIG" if environ.get("MAILARCHIVE_CONFIG") else ""


def _lines(rows: Sequence[Setting], file: str) -> list[str]:
    """Put settings into columns: key, value, where it comes from."""
    keys = max(cell_width(row.key) for row in rows)
    values = [safe(_toml(row.value), limit=500) for row in rows]
    width = min(max(map(cell_width, values)), _WIDEST)
    places = [_place(row, file) for row in rows]
    return [
        f"{pad(row.key, keys)}  {pad(value, width)}  {place}".rstrip()
        for row, value, place in zip(rows, values, places, strict=True)
    ]


def _place(row: Setting, file: str) -> str:
    where = row.variable or (f"{file}:{row.line}" if row.line is not None else "")
    return safe(f"{row.origin}, {where}" if where else row.origin)


def _toml(value: Any) -> str:
    """Write a value as it would stand in the file; a hyphen for none."""
    return "-" if value is None else json.dumps(value, ensure_ascii=False)
