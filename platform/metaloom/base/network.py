"""Where a request comes from, as far as it counts against somebody."""

from __future__ import annotations

import ipaddress


def network_of(address: str) -> str:
    """What an address counts as: an IPv4 address itself; of IPv6 the /64, which is what one subscriber is given."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)
