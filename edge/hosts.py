"""Host names and addresses, also of mail, as far as a setting depends on them."""

from __future__ import annotations

import ipaddress
import re

_MAIL_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.\-\[\]:]{1,255}")
MAIL_ADDRESS_WANTED = "name@domain, ASCII, without a display name"


def is_loopback(host: str) -> bool:
    """Whether what is sent to that host, a name or an address, stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_mail_address(text: str) -> bool:
    """Whether plain SMTP carries that address, and a To line needs no quotes around it."""
    return _MAIL_ADDRESS.fullmatch(text) is not None
