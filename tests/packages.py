"""What must be in the packages, and what must not: `python tests/packages.py FOLDER` reads both of a folder.

Law of this room: it runs without the program installed.
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

WHEEL = ("mailarchive/py.typed", "mailarchive/schema.sql", "mailarchive/discovery/presets.toml")
SOURCE = (
    *WHEEL,
    *("LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml"),
    *("docs/README.md", "docs/Dockerfile", "tests/conftest.py"),
)
ROOT = Path(__file__).resolve().parents[1]


def complaints(wheel: list[str], source: list[str]) -> list[str]:
    """Say what is missing and what does not belong there.

    Args:
        wheel: Names of the files in the wheel.
        source: Names of the files in the source package, below its one folder.
    """
    missing = [f"the wheel lacks {name}" for name in WHEEL if name not in wheel]
    missing += [f"the source package lacks {name}" for name in SOURCE if name not in source]
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel):
        missing.append("the wheel lacks the licence")
    for folder in ("mailarchive", "docs"):
        files = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        names = {path.relative_to(ROOT).as_posix() for path in files}
        missing += [f"the source package lacks {name}" for name in sorted(names - set(source))]
        if folder == "mailarchive":
            missing += [f"the wheel lacks {name}" for name in sorted(names - set(wheel))]
    foreign = [name for name in wheel if not name.startswith(("mailarchive/", "mailarchive-"))]
    # A Maildir's names break what installs and copies source packages.
    odd = [name for name in (*wheel, *source) if ":" in name or name.endswith(".pyc")]
    return [
        *missing,
        *(f"the wheel must not have {name}" for name in foreign),
        *(f"not to be packed: {o}" for o in odd),
    ]


def main(folder: Path) -> int:
    """Print all complaints about the packages in a folder; gives the exit code."""
    (wheel,) = folder.glob("*.whl")
    (source,) = folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as packed, tarfile.open(source) as tree:
        below = [name.partition("/")[2] for name in tree.getnames()]
        found = complaints([name for name in packed.namelist() if not name.endswith("/")], below)
    for line in found:
        print(line)  # noqa: T201 - that is what it is for
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
