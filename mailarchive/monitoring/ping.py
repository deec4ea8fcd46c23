"""Pings an address before and after a backup, so that a service which hears nothing can raise the alarm.

The law of this room: the address is a secret and stands in no message; only HTTPS, and HTTP to this computer, is
spoken; nothing is followed to another address; what the answer says is not read.
"""

from __future__ import annotations

import ssl
import threading
import time
import urllib.error
import urllib.request
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from mailarchive import __version__

TRIES: Final = 3
PATIENCE: Final = 5.0
"""Seconds for one try; between two of them, one second."""


def address(url: str, account: str, word: str) -> str:
    """Give the address for `start`, an exit code, or "" for a success; `{account}` in it becomes the account."""
    parts = urlsplit(url.replace("{account}", quote(account, safe="")))
    path = parts.path if not word else f"{parts.path.rstrip('/')}/{word}"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def ping(url: str, *, patience: float = PATIENCE, pause: float = 1.0) -> str:
    """Ask for an address up to three times; gives what is wrong, without the address, or "" when it was heard.

    Args:
        url: It has passed `config_values.refused_ping`.
        patience: Seconds for each wait on a socket.
        pause: Seconds between two tries.
    """
    said: list[str] = []
    # In a thread of its own, because a name server, or an answer that comes octet by octet, outlasts every time limit
    # of a socket.
    thread = threading.Thread(target=lambda: said.append(_tried(url, patience, pause)), name="ping", daemon=True)
    thread.start()
    thread.join(TRIES * (patience + pause))
    return said[0] if said else "no answer in time"


def _tried(url: str, patience: float, pause: float) -> str:
    problem = ""
    for number in range(TRIES):
        if number:
            time.sleep(pause)
        try:
            with _opener(url).open(_request(url), timeout=patience):
                return ""
        except urllib.error.HTTPError as error:
            error.close()
            problem = f"HTTP {error.code}"
            if error.code < 500 and error.code not in (408, 429):
                return problem  # the same would be said again
        except urllib.error.URLError as error:
            problem = _reason(error.reason)
        except Exception as error:  # noqa: BLE001 - a ping stops no backup, whatever the other side sends
            problem = _reason(error)
    return problem


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Make what speaks HTTP and HTTPS and knows nothing of files, of FTP, or of another address to go to."""
    opener = urllib.request.OpenerDirector()
    # What is on this computer is not reached through a proxy, whatever the environment says.
    local = urlsplit(url).scheme == "http"
    for handler in (
        urllib.request.ProxyHandler({} if local else None),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _request(url: str) -> urllib.request.Request:
    return urllib.request.Request(url, headers={"User-Agent": f"mailarchive/{__version__}"})  # noqa: S310 - see `ping`


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted ({error.verify_message})"
    # The words of a library may repeat the address.
    return getattr(error, "strerror", None) or type(error).__name__
