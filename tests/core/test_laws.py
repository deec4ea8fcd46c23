"""Laws of rooms that a reader of the code can check, checked by reading the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mailarchive
from mailarchive.sources.pop_lines import READING

SOURCE = Path(mailarchive.__file__).parent
MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


def called(module: str) -> set[str]:
    """Name every function of a module of the system that is called: `os.fsync`, `socket.socket`."""
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
    return {
        f"{node.func.value.id}.{node.func.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
    }


DURABLE = {"archives/durable.py", "archives/tail.py"}
APART = {"config_writing.py", "exports/folder.py", "tokens.py", "whole_file.py"}


@pytest.mark.parametrize("module", [m for m in MODULES if m not in DURABLE | APART])
def test_only_two_files_make_things_durable(module: str) -> None:
    """Syncs, cuts, links, renames and removals on an archive are in archives/durable.py and, for appending, tail.py.

    What the files apart keep is in no archive.
    """
    names = ("fsync", "fdatasync", "sync", "link", "rename", "replace", "unlink", "remove", "ftruncate", "truncate")
    law = {f"os.{name}" for name in names}
    assert called(module) & law == set()


@pytest.mark.parametrize("module", MODULES)
def test_every_module_opens_with_its_law(module: str) -> None:
    """A docstring stands at the top of each file; that of a room says what it is for."""
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)


GATES = {"sources/imap_commands.py", "sources/pop_lines.py", "sources/wire.py"}
SIGN_INS = {"sources/imap_session.py", "sources/pop_session.py"}


@pytest.mark.parametrize("module", [m for m in MODULES if m not in GATES | SIGN_INS and not m.startswith("demo/")])
def test_commands_leave_through_one_gate(module: str) -> None:
    """After the sign-in nothing but the gate of a protocol, with its allow list, writes to the line."""
    text = (SOURCE / module).read_text(encoding="utf-8")
    assert "wire.send(" not in text
    assert ".sendall(" not in text


def functions(module: str) -> list[tuple[str, str]]:
    """Give the name and the source of every function and method of a module."""
    text = (SOURCE / module).read_text(encoding="utf-8")
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    return [(node.name, ast.get_source_segment(text, node) or "") for node in found]


def test_the_gate_of_pop_opens_for_dele_in_one_place() -> None:
    """Only where an order is carried out; and QUIT is said there, or where nothing is marked."""
    places = [
        (module, name, text)
        for module in MODULES
        if module.startswith("sources/") and module != "sources/pop_lines.py"
        for name, text in functions(module)
        if ".deleting()" in text or 'b"DELE"' in text
    ]
    assert [place[:2] for place in places] == [("sources/pop.py", "expunge")]
    assert "self.abandon()" in places[0][2]
    assert [name for name, text in functions("sources/pop.py") if ".quit()" in text] == ["close", "expunge"]


def test_what_may_be_sent_over_pop_changes_nothing() -> None:
    """The list stands here a second time, on purpose."""
    assert {b"CAPA", b"LIST", b"NOOP", b"QUIT", b"RETR", b"RSET", b"STAT", b"TOP", b"UIDL"} == READING


@pytest.mark.parametrize("module", [m for m in MODULES if m != "cli/fleet.py"])
def test_f122_nothing_forks(module: str) -> None:
    """A program with threads that forks copies their locks: commands are started by `subprocess`, with no code of ours.

    That starts them by vfork or posix_spawn. The one place that forks does so beside no thread: it has a test.
    """
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    imported = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for name in node.names
    }
    assert not {"fork", "forkpty", "preexec_fn"} & (attributes | arguments | imported)
    assert not any(name.startswith("multiprocessing") for name in imported)
