"""Signing in on another device: a short code that a person types into a browser anywhere (RFC 8628).

The law of this room: we ask as slowly as the provider wants, and no longer than its code lives; the device code itself
is a secret, only the user code is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mailarchive.errors import ProtocolError, SignInError, UnreachableError
from mailarchive.oauth.providers import https
from mailarchive.oauth.talk import PendingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.oauth.providers import Provider
    from mailarchive.oauth.talk import Talk

LONGEST = 1800.0
"""Seconds that a person may take, however long the code lives."""
INTERVAL = 5.0
"""Seconds between two questions where the provider does not say, and how many more after a `slow_down`."""
SLOWEST = 60.0


class UserCode(NamedTuple):
    """What a person types, and where; foreign text."""

    url: str
    code: str


def device_tokens(
    talk: Talk,
    provider: Provider,
    tell: Callable[[UserCode], None],
    *,
    wait: Callable[[float], None],
    clock: Callable[[], float],
) -> dict[str, Any]:
    """Get tokens by a code that a person types elsewhere.

    Args:
        talk: With the provider.
        provider: It has a `device_url`.
        tell: Shows the code to the person.
        wait: Waits so many seconds.
        clock: Seconds that never go backwards.

    Raises:
        SignInError: The person said no, or nothing in time.
        MailarchiveError: The provider cannot be reached or understood.
    """
    answer = talk.post(provider.device_url, {"client_id": talk.client_id, "scope": " ".join(provider.scopes)})
    shown, device_code, interval, lifetime = _read(answer, provider.name)
    talk.hide(device_code)
    tell(shown)
    end = clock() + lifetime
    while clock() + interval <= end:
        wait(interval)
        try:
            return _ask(talk, provider, device_code)
        except PendingError as pending:
            interval = min(interval + (INTERVAL if pending.slower else 0), SLOWEST)
        except UnreachableError as error:
            # A line that is lost for a moment ends no sign-in (RFC 8628 section 3.5): it is asked more rarely.
            if not error.temporary:
                raise
            interval = min(interval * 2, SLOWEST)
    raise SignInError(f"nobody has said yes to {provider.name} in time", hint=talk.advice)


def _ask(talk: Talk, provider: Provider, device_code: str) -> dict[str, Any]:
    from oauthlib.oauth2 import DeviceClient

    with talk.session(DeviceClient(talk.client_id)) as session:
        return talk.token(session, provider.token_url, device_code=device_code)


def _read(answer: Any, name: str) -> tuple[UserCode, str, float, float]:
    """Read the answer of RFC 8628 section 3.2: what to show, the device code, the interval and the lifetime."""
    if not isinstance(answer, dict):
        raise ProtocolError(f"{name} gives no device code")
    # Google and Microsoft once said `verification_url`.
    url = answer.get("verification_uri", answer.get("verification_url"))
    code, device_code = answer.get("user_code"), answer.get("device_code")
    if not (isinstance(url, str) and isinstance(code, str) and isinstance(device_code, str) and code and device_code):
        raise ProtocolError(f"{name} gives no device code")
    interval = _number(answer.get("interval"), INTERVAL)
    return (
        UserCode(https(url, f"what {name} wants opened"), code),
        device_code,
        min(max(interval, 1.0), SLOWEST),
        min(_number(answer.get("expires_in"), LONGEST), LONGEST),
    )


def _number(value: Any, otherwise: float) -> float:
    """Read seconds; JSON knows numbers that no float can hold."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(min(value, LONGEST))
    return otherwise
