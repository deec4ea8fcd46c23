"""Fetches a small text by HTTPS.

The law of this room: the certificate is always checked, nothing is followed to anything but HTTPS, and no server can
make us wait or read for ever. What a server says is never repeated; a failure has words of ours.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from mailarchive import __version__
from mailarchive.discovery.candidate import host_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE: Final = 10.0
"""Seconds for one answer, from the first octet sent to the last one read."""
_MOST_HOPS: Final = 3
_REDIRECTS: Final = (301, 302, 303, 307, 308)


class NothingThereError(Exception):
    """There is no text at this address, in words for people."""


def _dial(host: str, port: int, timeout: float) -> socket.socket:
    return socket.create_connection((host, port), timeout)


@dataclass(frozen=True, slots=True)
class Https:
    """Fetches.

    Attributes:
        most: Octets of a text.
        context: Whom to trust; None for the authorities of the system.
        dial: Opens a connection to host and port within seconds. Raises OSError.
        patience: Seconds for one answer.
    """

    most: int
    context: ssl.SSLContext | None = None
    dial: Callable[[str, int, float], socket.socket] = _dial
    patience: float = _PATIENCE

    def get(self, url: str) -> bytes:
        """Fetch a text.

        Raises:
            NothingThereError: There is none, or it cannot be had in safety.
        """
        for _ in range(_MOST_HOPS + 1):
            body, following = self._one(url)
            if following is None:
                return body
            url = following
        raise NothingThereError("redirected too often")

    def _one(self, url: str) -> tuple[bytes, str | None]:
        """Give the text, or where to look instead."""
        context = self.context or _system()
        try:
            host, port, target = _parts(url)
            # The handshake and all reads lie below the timer, because each octet would start a timeout of the socket
            # anew.
            with (
                self.dial(host, port, self.patience) as plain,
                self._end_of_patience(plain),
                context.wrap_socket(plain, server_hostname=host) as line,
            ):
                body, following = self._ask(line, host, port, target)
            return body, None if following is None else urljoin(url, following)
        except ssl.SSLCertVerificationError as error:
            raise NothingThereError(f"its certificate is not to be trusted ({error.verify_message})") from None
        except ssl.SSLError:
            raise NothingThereError("TLS failed") from None
        except TimeoutError:
            raise NothingThereError("no answer in time") from None
        except socket.gaierror:
            raise NothingThereError("there is no such host") from None
        except OSError:
            raise NothingThereError("cannot be reached") from None
        except (http.client.HTTPException, ValueError):
            raise NothingThereError("does not speak HTTP") from None

    @contextmanager
    def _end_of_patience(self, line: socket.socket) -> Iterator[None]:
        """Shut the connection when time is up, through a descriptor of its own: TLS takes the socket's away."""
        late = threading.Event()
        with line.dup() as copy:

            def end() -> None:
                late.set()
                with contextlib.suppress(OSError):
                    copy.shutdown(socket.SHUT_RDWR)

            timer = threading.Timer(self.patience, end)
            timer.daemon = True
            timer.start()
            try:
                yield
            except (OSError, http.client.HTTPException):
                if late.is_set():
                    raise TimeoutError from None
                raise
            finally:
                timer.cancel()
                timer.join()
            # A body that was cut off by us may look like a whole one that is short.
            if late.is_set():
                raise TimeoutError

    def _ask(self, line: ssl.SSLSocket, host: str, port: int, target: str) -> tuple[bytes, str | None]:
        connection = http.client.HTTPConnection(host, port)
        connection.sock = line
        agent = {"User-Agent": f"mailarchive/{__version__}", "Accept": "text/xml", "Connection": "close"}
        connection.request("GET", target, headers=agent)
        answer = connection.getresponse()
        if answer.status in _REDIRECTS:
            return b"", answer.getheader("Location") or ""
        if answer.status != http.client.OK:
            raise NothingThereError(f"nothing there (HTTP {answer.status})")
        body = answer.read(self.most + 1)
        if len(body) > self.most:
            raise NothingThereError(f"more than {self.most // 1000} kB")
        return body, None


def _parts(url: str) -> tuple[str, int, str]:
    """Give host, port and target of an address that may be asked; a redirection may name anything."""
    parts = urlsplit(url)
    host = host_name(parts.hostname or "")
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    if parts.scheme != "https":
        raise NothingThereError("redirected to an address without TLS")
    if host is None or parts.username is not None or not target.isascii() or not target.isprintable():
        raise NothingThereError("redirected to a strange address")
    return host, parts.port or 443, target


def _system() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
