"""HTML of strangers made harmless, by nh3 (the extra `html`).

The law of this room: what is let through is listed here. No script, no style, no form, no frame, nothing that is
fetched by itself; a picture is one that the message carries, and a link waits for a click.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from mailarchive.exports.tidying import tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Clean: TypeAlias = "Callable[[str, Callable[[str], str | None]], str]"
    """Cleans some HTML; the second argument gives the address of a picture that is called by its Content-ID."""

_TAGS: Final = frozenset(
    "a abbr address b bdi bdo big blockquote br caption center cite code col colgroup dd del details dfn div dl dt em"  # noqa: SIM905 - a long list
    " figcaption figure h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q rp rt ruby s samp section small span"
    " strike strong sub summary sup table tbody td tfoot th thead time tr tt u ul var wbr".split()
)
_DROPPED: Final = frozenset({"script", "style", "title", "iframe", "object", "embed", "noscript", "template", "svg"})
_TABLE: Final = {"align", "valign", "colspan", "rowspan"}
_ATTRIBUTES: Final[Mapping[str, set[str]]] = {
    "*": {"dir", "lang", "title"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": _TABLE,
    "th": _TABLE,
    "tr": {"align", "valign"},
    "p": {"align"},
    "div": {"align"},
    "ol": {"start", "type"},
}
_LINK = re.compile(r"(?:https?://|mailto:)[^\s\\]*\Z", re.IGNORECASE)
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*\Z", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,4}%?\Z")
_LONGEST_PICTURE: Final = 1_000_000


def cleaner() -> Clean | None:
    """Give what cleans HTML; None where the extra is not installed."""
    try:
        import nh3
    except ImportError:
        return None

    def clean(html: str, picture: Callable[[str], str | None]) -> str:
        def judge(tag: str, name: str, value: str) -> str | None:
            return _judged(tag, name, value.strip(), picture)

        return nh3.clean(
            tidy(html, _TAGS, _DROPPED),
            tags=set(_TAGS),
            clean_content_tags=set(_DROPPED),
            attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
            attribute_filter=judge,
            strip_comments=True,
            link_rel="noopener noreferrer nofollow",
            url_schemes={"http", "https", "mailto", "cid", "data"},
            set_tag_attribute_values={"a": {"target": "_blank"}},
        )

    return clean


def _judged(tag: str, name: str, value: str, picture: Callable[[str], str | None]) -> str | None:
    """Give the value that an attribute may have; None if it may not be there."""
    if tag == "a" and name == "href":
        return value if _LINK.match(value) else None
    if name == "src":
        if value[:4].lower() == "cid:":
            return picture(value[4:])
        return value if len(value) <= _LONGEST_PICTURE and _PICTURE.match(value) else None
    if name in ("width", "height", "colspan", "rowspan", "start"):
        return value if _NUMBER.match(value) else None
    return value
