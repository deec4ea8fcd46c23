"""What the documents tell the user to type is there, and does what they say."""

from __future__ import annotations

import re
import shlex
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import mailarchive
from mailarchive.cli import cli
from mailarchive.demo.sample import USER, build_store
from mailarchive.demo.server import DemoServer
from tests.command import mailarchive as command
from tests.command import plain_url, start_of_day
from tests.documents import DOCUMENTS, ROOT, anchors, blocks, commands, links, provider_table, section, shown

if TYPE_CHECKING:
    from tests.documents import Block

README = ROOT / "README.md"
SHOWN = [(where, words) for document in DOCUMENTS for where, words in shown(document)]
CONFIGURATIONS = [block for document in DOCUMENTS for block in blocks(document, "toml")]
ACCOUNT = '[account.home]\nserver = "imaps://imap.example.org"\nuser = "me@example.org"\n'


def parse(words: list[str]) -> None:
    """Let Click read the words of a call without doing anything."""
    inner: click.Command = cli
    # A command keeps the names of --help that it first meets, so it has to meet those of the whole program.
    above = click.Context(cli, info_name="mailarchive", **cli.context_settings)
    while isinstance(inner, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        assert name in inner.commands, f"there is no command {name!r}"
        inner = inner.commands[name]
    if not words:  # a command that the text only names
        return
    with suppress(click.exceptions.Exit):  # --help and --version
        inner.make_context("mailarchive", list(words), parent=above)


@pytest.mark.parametrize(("where", "words"), [pytest.param(*one, id=f"{one[0]} {shlex.join(one[1])}") for one in SHOWN])
def test_what_the_documents_show_can_be_typed(
    where: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each `mailarchive …` names a command that there is, with options that it has and values that they take."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old-mail").mkdir()
    said = ""
    try:
        parse([word.replace("~", str(tmp_path)) for word in words])
    except click.UsageError as error:
        said = error.format_message()
    # A path of the user's is not there; whatever else is wrong is wrong.
    assert not said or "does not exist" in said, f"{where}: {said}"


def test_the_documents_show_enough() -> None:
    """The reading of the documents finds what stands in them: every command of the program is shown somewhere."""
    named = {words[0] for _, words in SHOWN if words}
    assert set(cli.commands) <= named
    assert len(SHOWN) > 60


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=lambda block: block.name)
def test_the_configurations_of_the_documents_are_right(block: Block, tmp_path: Path) -> None:
    """`config check` has nothing to say against any of them; lines without a heading are meant for an account."""
    file = tmp_path / "config.toml"
    file.write_text(block.text if "[account." in block.text else ACCOUNT + block.text, encoding="utf-8")
    file.chmod(0o600)
    result = command("config", "check", "--config", file)
    assert (result.code, result.err) == (0, ""), result.out


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Files that are linked are there, and so are the headings in them."""
    for target in links(document):
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_files_that_are_named_are_there(document: Path) -> None:
    """Tests and documents, as the text names them; of a pattern, at least one."""
    for name in re.findall(r"`((?:tests|docs)/[\w./*-]+)`", document.read_text(encoding="utf-8")):
        assert list(ROOT.glob(name.rstrip("/"))), name


def test_every_extra_is_explained() -> None:
    """In the section about the installation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    explained = set(re.findall(r"^\| `(\w+)` \|", section(README, "Install"), re.MULTILINE))
    assert explained == set(project["optional-dependencies"]) - {"test"}


def test_every_document_is_found() -> None:
    """From the README and from the first page of docs/."""
    inside = {path.name for path in (ROOT / "docs").iterdir() if path.is_file()}
    assert {f"docs/{name}" for name in inside} - {"docs/README.md"} <= {t.partition("#")[0] for t in links(README)}
    assert inside - {"README.md"} <= {target.partition("#")[0] for target in links(ROOT / "docs" / "README.md")}


def test_the_table_of_providers_is_that_of_the_program() -> None:
    """`python -m tests.documents` makes it."""
    assert provider_table() in (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")


def test_every_room_is_shown() -> None:
    """The table of CONTRIBUTING names each module at the top of the package, and each folder."""
    text = section(ROOT / "CONTRIBUTING.md", "The rooms")
    package = Path(mailarchive.__file__).parent
    rooms = {path.name if path.is_file() else f"{path.name}/" for path in package.iterdir()}
    quiet = {"__init__.py", "__pycache__/", "py.typed"}
    assert sorted(room for room in rooms - quiet if f"`{room}`" not in text) == []


def test_the_readme_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first backup on, every command about `~/Mail/archive/me` does on a server what stands there."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    done = []
    with DemoServer(build_store(start_of_day(), password="secret")) as server:
        before = len(server.store.account(USER).mailbox("INBOX").messages())
        for heading in ("First backup", "Free the quota", "Find and read", "Restore"):
            for block in re.findall(r"^```sh\n(.*?)^```$", section(README, heading), re.MULTILINE | re.DOTALL):
                for words in commands(block):
                    if {"init", "undo", "show", "home"} & set(words):
                        continue
                    url = plain_url(server.imap_port, USER)
                    typed = [url if "://" in word else word.replace("~", str(home)) for word in words]
                    typed += ["--yes"] * ("--delete" in words or words[0] == "prune")
                    if words[0] in ("search", "list", "export"):
                        typed += ["--archive", str(home / "Mail/archive/me")]
                    result = command(*typed)
                    assert result.code == 0, (words, result.err)
                    done.append(words[0])
        after = len(server.store.account(USER).mailbox("INBOX").messages())
    assert {"backup", "prune", "verify", "search", "list", "export", "restore"} <= set(done)
    assert after < before
    assert len(list((home / "Mail/archive/me/INBOX/cur").iterdir())) >= before - after


def test_the_container_keeps_to_its_rules() -> None:
    """docs/Dockerfile: no root, no secret, two places that last, and nothing copied that the package does not need."""
    text = (ROOT / "docs" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    said = [(word, rest) for word, rest in lines]
    last = [rest for word, rest in said if word == "FROM"][-1]
    assert re.fullmatch(r"python:3\.\d+-slim", last)
    assert [rest for word, rest in said if word == "USER"] == ["mailarchive"]
    assert ("VOLUME", '["/config", "/archive"]') in said
    assert ("ENTRYPOINT", '["mailarchive"]') in said
    assert not {"HEALTHCHECK", "ARG", "ADD", "EXPOSE"} & {word for word, _ in said}
    assert not re.search(r"passw|secret|token=", text.replace("tokens of", ""), re.IGNORECASE)
    for word, rest in said:
        if word == "COPY" and "--from" not in rest:
            assert all((ROOT / source).exists() for source in rest.split()[:-1])
