"""The guard: who may come in, and what may go out in a header.

Knows keys by their digest only, the names this instance answers to, and how to make a header value harmless. It does
not know what is asked. Three doors are kept shut: a foreign Host (a web page whose name was pointed at this machine),
a foreign Origin where no key is asked for (a web page that posts to localhost), and an open address without a key.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from shoal.core.errors import CallerError, KeyRefused, NotAllowed, SetupError

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
HEADER_LENGTH = 256
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def is_loopback(host: str) -> bool:
    """Return whether a bind address or host name can only be reached from this machine."""
    name = host.strip("[]").casefold()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def clean(value: str) -> bytes:
    """Return a header value that is printable ASCII and short, whatever it was made from."""
    return _UNPRINTABLE.sub("?", value[:HEADER_LENGTH]).encode("ascii")


def host_name(authority: str) -> str:
    """Return the name in a Host header, without port and brackets, in lower case."""
    text = authority.strip().casefold()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if text.count(":") == 1 else text


def _is_real(key: str) -> bool:
    if not key.strip():
        raise SetupError("a key of `[server] keys` is empty or not found; set its variable or file, or remove its name")
    return True


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


class Guard:
    """Admits callers. `keys` are the secrets a caller may show; without any, everyone who reaches the address may."""

    def __init__(self, bind: str, *, keys: Iterable[str] = (), hosts: Iterable[str] = ()) -> None:
        digests = [_digest(key) for key in keys if _is_real(key)]
        self._owners = {digest: f"key_{digest.hex()[:12]}" for digest in digests}
        self._hosts = frozenset(host.casefold() for host in hosts)
        self._is_local = is_loopback(bind)
        if not self._is_local and not self._owners:
            raise SetupError(
                f"`{bind}` can be reached from other machines and no key is set, so anyone could spend your money; "
                'set `[server] keys` (for example keys = ["SHOAL_KEY"], the key in that variable) or bind to 127.0.0.1'
            )
        # The two headers nearly every caller sends, so that the usual request costs a set look-up.
        self._seen_hosts: set[bytes] = set()

    @property
    def asks_for_key(self) -> bool:
        """Whether callers need a key."""
        return bool(self._owners)

    def admit(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Return the owner the caller's key stands for; None where no key is asked for.

        Raises:
            KeyRefused: no key, or one that is not known here.
            NotAllowed: the Host or the Origin is foreign.
        """
        self.check_host(headers)
        if not self._owners:
            return None
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        found = None
        if scheme.lower() == b"bearer":
            digest = hashlib.sha256(key.strip()).digest()
            for known, owner in self._owners.items():  # all of them, so that time says nothing
                if hmac.compare_digest(known, digest):
                    found = owner
        if found is None:
            raise KeyRefused(
                "this instance asks for a key; send it as `Authorization: Bearer KEY` (an OpenAI client calls it "
                "`api_key`)"
            )
        return found

    def check_host(self, headers: Mapping[bytes, bytes]) -> None:
        """Refuse a Host or, where no key is asked for, an Origin this instance does not answer to."""
        host = headers.get(b"host")
        if host is not None and host not in self._seen_hosts:
            self._judge_host(host)
        if not self._owners and (origin := headers.get(b"origin")) is not None:
            self._judge_origin(origin)

    def _answers_to(self, name: str) -> bool:
        return name in LOOPBACK_NAMES or name in self._hosts or is_loopback(name)

    def _judge_host(self, host: bytes) -> None:
        if self._is_local or self._hosts:
            name = host_name(host.decode("latin-1"))
            if not name:
                raise CallerError("the Host header is empty; send the name this instance is reached by")
            if not self._answers_to(name):
                raise NotAllowed(
                    f"this instance does not answer to the host name `{clean(name).decode()}`; use 127.0.0.1 or "
                    "localhost, or add the name to `[server] hosts`"
                )
        if len(self._seen_hosts) < 64:
            self._seen_hosts.add(host)

    def _judge_origin(self, origin: bytes) -> None:
        try:
            name = urlsplit(origin.decode("latin-1")).hostname or ""
        except ValueError:
            name = ""
        if not self._answers_to(name):
            raise NotAllowed(
                "a web page of another site may not use this instance without a key; set `[server] keys`, or add the "
                "page's host to `[server] hosts`"
            )
