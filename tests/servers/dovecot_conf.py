r"""The configuration of the private Dovecot, in the two languages that Dovecot speaks: 2.3 and 2.4.

Law of this room: text in, text out; no file is read, no process started. What both versions write alike stands in
`_SHARED`, what differs in `_OLD` and `_NEW`. A process that is not root can neither change its user nor its root
folder, so everything then runs as that user.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CAPABILITIES = (
    "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES THREAD=REFS "
    "THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED "
    "I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS BINARY MOVE "
    "SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY SPECIAL-USE"
)

SPECIAL_USE = {"Drafts": "\\Drafts", "Sent": "\\Sent", "Junk": "\\Junk", "Trash": "\\Trash"}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a configuration is made of.

    Attributes:
        root: The server's folder; it holds `users`, `mail`, `run`, `state` and `server.pem`.
        ports: The listeners `imap`, `imaps`, `pop3` and `pop3s`.
        mail_ids: Numbers of the user and the group that own the mail.
        run_as: Names of the user and the group that everything runs as; None as root.
        storage: `sdbox` or `maildir`.
        capability: The whole CAPABILITY list; None for the built-in one.
        quota: Limit of storage such as `10M`; None for none.
        extra: Raw text for the end.
    """

    root: Path
    ports: Mapping[str, int]
    mail_ids: tuple[int, int]
    run_as: tuple[str, str] | None
    storage: str
    capability: str | None
    quota: str | None
    extra: str


_SHARED = Template("""\
base_dir = $root/run
state_dir = $root/state
log_path = $root/dovecot.log
instance_name = $name
listen = 127.0.0.1
protocols = imap pop3
auth_mechanisms = plain login
auth_username_chars =
auth_failure_delay = 0
first_valid_uid = 1
first_valid_gid = 0
mail_uid = $uid
mail_gid = $gid
mail_fsync = never
ssl = yes
""")

_OLD = Template("""\
auth_username_format = %u
disable_plaintext_auth = no
ssl_cert = <$root/server.pem
ssl_key = <$root/server.pem
mail_location = $storage:~/mail
passdb {
  driver = passwd-file
  args = username_format=%u $root/users/%u
}
userdb {
  driver = static
  args = uid=$uid gid=$gid home=$root/mail/%u
}
service imap-login {
  service_count = 0
}
service pop3-login {
  service_count = 0
}
""")

_OLD_QUOTA = Template("""\
mail_plugins = quota
protocol imap {
  mail_plugins = quota imap_quota
}
plugin {
  quota = count:User quota
  quota_rule = *:storage=$quota
  quota_vsizes = yes
}
""")

_NEW_VERSION = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"

_NEW = Template("""\
auth_username_format = %{user}
auth_allow_cleartext = yes
ssl_server_cert_file = $root/server.pem
ssl_server_key_file = $root/server.pem
mail_driver = $storage
mail_path = ~/mail
passdb passwd-file {
  passwd_file_path = $root/users/%{user}
}
userdb static {
  fields {
    uid = $uid
    gid = $gid
    home = $root/mail/%{user}
  }
}
""")

_NEW_QUOTA = Template("""\
mail_plugins {
  quota = yes
}
protocol imap {
  mail_plugins {
    imap_quota = yes
  }
}
quota "User quota" {
  quota_storage_size = $quota
}
""")


def compressing(version: tuple[int, int]) -> str:
    """Return what `Dovecot(extra=...)` needs to offer COMPRESS=DEFLATE; a new Dovecot offers it by itself."""
    return "" if version >= (2, 4) else "protocol imap {\n  mail_plugins = $mail_plugins imap_zlib\n}\n"


def capabilities_without(*hidden: str) -> str:
    """Return a value for `Dovecot(capability=...)`: what Dovecot 2.3 offers, without the hidden names.

    Hiding only silences the announcement; Dovecot still obeys the command, as a test of the client wants it.
    """
    names = CAPABILITIES.split()
    unknown = set(hidden) - set(names)
    if unknown:
        raise ValueError(f"no capability of Dovecot: {sorted(unknown)}")
    return " ".join(name for name in names if name not in hidden)


def configuration(settings: Settings, version: tuple[int, int]) -> str:
    """Return the text of `dovecot.conf` for a version of Dovecot, (2, 3) or later."""
    new = version >= (2, 4)
    uid, gid = settings.mail_ids
    words = {
        "root": str(settings.root),
        "name": settings.root.name,
        "uid": str(uid),
        "gid": str(gid),
        "storage": settings.storage,
        "quota": settings.quota or "",
    }
    parts = [_NEW_VERSION if new else "", _SHARED.substitute(words), (_NEW if new else _OLD).substitute(words)]
    parts += [_services(settings), _mailboxes()]
    if settings.capability is not None:
        parts.append(f"imap_capability = {settings.capability}\n")
    if settings.quota is not None:
        parts.append((_NEW_QUOTA if new else _OLD_QUOTA).substitute(words))
    return "".join((*parts, settings.extra, "\n"))


def _services(settings: Settings) -> str:
    chroot = "" if settings.run_as is None else "  chroot =\n"
    text = ""
    if settings.run_as is not None:
        user, group = settings.run_as
        text += f"default_internal_user = {user}\ndefault_login_user = {user}\ndefault_internal_group = {group}\n"
    for protocol in ("imap", "pop3"):
        text += f"service {protocol}-login {{\n{chroot}"
        for name, tls in ((protocol, "no"), (f"{protocol}s", "yes")):
            text += f"  inet_listener {name} {{\n    port = {settings.ports[name]}\n    ssl = {tls}\n  }}\n"
        text += "}\n"
    # Without the penalty listener, wrong passwords of one test do not slow down the next.
    return text + f"service anvil {{\n{chroot}  unix_listener anvil-auth-penalty {{\n    mode = 0\n  }}\n}}\n"


def _mailboxes() -> str:
    boxes = "".join(
        f"  mailbox {name} {{\n    special_use = {use}\n    auto = create\n  }}\n" for name, use in SPECIAL_USE.items()
    )
    return f"namespace inbox {{\n  inbox = yes\n  separator = /\n{boxes}}}\n"
