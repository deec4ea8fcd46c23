"""The keyring of the desktop: one text of ours under a name.

The law of this room: the only file that knows the keyring library, an extra, and imports it where it is used; what the
library says when it fails is not repeated, because nobody knows what is in it.
"""

from __future__ import annotations

import contextlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from mailarchive.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE: Final = "mailarchive"
"""What the keyring calls us."""


def read(name: str, who: str, instead: str) -> str | None:
    """Read a text; None if there is none of this name.

    Args:
        name: Of an account, or of something that belongs to one.
        who: The beginning of a message.
        instead: The hint where there is no keyring.

    Raises:
        ConfigError: There is no keyring, or it is locked.
    """
    with _opened(who, instead) as keyring:
        text: str | None = keyring.get_password(SERVICE, name)
    return text


def write(name: str, text: str, who: str, instead: str) -> None:
    """Keep a text; see `read`."""
    with _opened(who, instead) as keyring:
        keyring.set_password(SERVICE, name, text)


def remove(name: str, who: str, instead: str) -> bool:
    """Forget a text; tells whether there was one. See `read`."""
    with _opened(who, instead) as keyring:
        from keyring.errors import PasswordDeleteError

        with contextlib.suppress(PasswordDeleteError):
            keyring.delete_password(SERVICE, name)
            return True
    return False


@contextmanager
def _opened(who: str, instead: str) -> Iterator[Any]:
    """Give the library, its errors turned into ours."""
    try:
        import keyring
        from keyring.errors import KeyringError, NoKeyringError
    except ImportError:
        raise ConfigError(
            f"{who}the keyring needs a part that is not installed", hint="pip install 'mailarchive[keyring]'"
        ) from None
    try:
        yield keyring
    except NoKeyringError:
        what = f"{who}there is no keyring here, as under cron and on servers without a desktop"
        raise ConfigError(what, hint=instead) from None
    except KeyringError as error:
        raise ConfigError(f"{who}the keyring failed ({type(error).__name__})", hint=instead) from None
