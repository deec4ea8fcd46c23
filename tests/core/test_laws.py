"""Laws of rooms that a reader of the code can check, checked by reading the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mailarchive

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


@pytest.mark.parametrize("module", [m for m in MODULES if m != "archives/durable.py"])
def test_only_one_file_makes_things_durable(module: str) -> None:
    """Syncs, links, renames and removals on an archive are in archives/durable.py."""
    law = {f"os.{name}" for name in ("fsync", "fdatasync", "sync", "link", "rename", "replace", "unlink", "remove")}
    assert called(module) & law == set()


@pytest.mark.parametrize("module", MODULES)
def test_every_module_opens_with_its_law(module: str) -> None:
    """A docstring stands at the top of each file; that of a room says what it is for."""
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)


@pytest.mark.parametrize("module", [m for m in MODULES if m not in {"sources/imap_commands.py", "sources/wire.py"}])
def test_commands_leave_through_one_gate(module: str) -> None:
    """After the sign-in nothing but the gate with the allow list writes to the line."""
    if module.startswith("demo/") or module == "sources/imap_session.py":
        return
    text = (SOURCE / module).read_text(encoding="utf-8")
    assert "wire.send(" not in text
    assert ".sendall(" not in text
