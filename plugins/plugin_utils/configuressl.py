# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Planning what WSUS is told about its name over TLS (WsusUtil configuressl), and the way back."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from .certificates import covers, parse, reasons_against
from .changes import Change, ConfigureSsl, MarkRestart, Registry
from .planning import Plan
from .state import (
    SETUP_KEY,
    LookNeeded,
    Refusal,
    State,
    against_endpoint,
    bound_certificate,
    find_endpoint,
    http_port,
    https_port_beside,
    is_fqdn,
    is_good,
    is_promised,
    own_fqdn,
    same_name,
    serving_binding,
    setup_of,
    site_of,
    url_of,
)


@dataclasses.dataclass(frozen=True)
class ConfigureWish:
    """The name that WSUS is known by over TLS (None: the server's own), or that it goes back to HTTP."""

    fqdn: str | None = None
    present: bool = True
    look: bool = True
    """Whether the server must have reached and trusted https://fqdn itself before it is told the name."""


def plan_configuressl(state: State, wish: ConfigureWish, now: datetime.datetime) -> Plan:
    """Plan configuressl [BP]. NOW is an aware datetime. Values: url (None without TLS), fqdn.

    Raises Refusal: no usable certificate is bound, it does not cover the name, this server does not reach or trust what it finds there;
    on the way back: TLS is still required somewhere. Raises LookNeeded.
    """
    return _present(state, wish, now) if wish.present else _absent(state)


def managed_name(state: State) -> dict[str, Any]:
    """What the module manages, for before and after."""
    setup = state["setup"]
    if setup is None:
        return {}
    return {
        "using_ssl": setup["using_ssl"],
        "name": setup["certificate_name"] if setup["using_ssl"] else None,
        "port": setup["port"],
        "url": url_of(state) if setup["post_installed"] else None,
    }


def _present(state: State, wish: ConfigureWish, now: datetime.datetime) -> Plan:
    setup = setup_of(state)
    fqdn = (wish.fqdn or own_fqdn(state)).rstrip(".").lower()
    if not is_fqdn(fqdn):
        raise Refusal(f"'{fqdn}' is no fully qualified name: WSUS must be told one that clients can resolve, such as wsus.corp.example.")
    binding = serving_binding(state)
    if binding is None:
        raise Refusal("No https binding of the WSUS site has a certificate. Bind one first (securepatch.wsus.wsus_ssl_binding).")
    if not binding.get("promised"):
        entry = bound_certificate(state, binding)
        if entry is None:
            raise Refusal(f"The certificate {binding.get('thumbprint')} that is bound is not in the computer's store any more. Bind another.")
        certificate = parse(entry)
        against = reasons_against(certificate, fqdn, now, 0)
        if against:
            raise Refusal(f"The certificate {certificate.thumbprint} that is bound cannot serve {fqdn}: {'; '.join(against)}.")
    values = {"url": f"https://{fqdn}:{binding['port']}", "fqdn": fqdn}
    if setup["using_ssl"] and same_name(setup["certificate_name"], fqdn) and setup["port"] == binding["port"]:
        return Plan(values=values)
    if not setup["tool"]:
        raise Refusal(f"WsusUtil.exe is not in {setup['target_dir']}Tools. Repair the WSUS installation.")
    if wish.look:
        _look_at_itself(state, fqdn, binding["port"])
    return Plan((MarkRestart(), ConfigureSsl(fqdn)), values=values)


def _look_at_itself(state: State, fqdn: str, port: int) -> None:
    # Once it is told the name, the console and the local API go there: through DNS, and through this machine's own trust.
    if is_promised(state, port):
        return
    endpoint = find_endpoint(state, fqdn, port)
    if endpoint is None:
        raise LookNeeded(fqdn, port)
    if not is_good(endpoint):
        raise Refusal(
            f"The server does not reach itself by its name over TLS as its console and API will have to: {against_endpoint(endpoint)}. "
            "Mend name resolution, or have the issuing CA trusted in the computer's Trusted Root store of this server."
        )


def _absent(state: State) -> Plan:
    setup = setup_of(state)
    if not setup["using_ssl"]:
        return Plan(values={"url": None, "fqdn": None})
    required = requiring(state)
    if required:
        raise Refusal(
            f"TLS is still required on {', '.join(required)}: WSUS cannot go back to HTTP before it is not "
            "(securepatch.wsus.iis_require_ssl with state: absent)."
        )
    port = http_port(state)
    if port is None:
        raise Refusal("The WSUS site has no http binding to go back to. Add one first.")
    changes: list[Change] = [MarkRestart(), Registry(SETUP_KEY, "UsingSSL", "DWord", 0), Registry(SETUP_KEY, "PortNumber", "DWord", port)]
    notes = () if https_port_beside(port) == setup["port"] else (f"The HTTP port {port} is not the one that WSUS pairs with {setup['port']}.",)
    return Plan(tuple(changes), notes, {"url": None, "fqdn": None})


def requiring(state: State) -> list[str]:
    """Everything of the site that requires TLS, by name; 'the site as a whole' among it."""
    site = site_of(state)
    found = {**site["applications"], **site["virtual_directories"]}
    names = [name for name, access in found.items() if "Ssl" in access["ssl_flags"] and not access["inherited"]]
    return [*(["the site as a whole"] if "Ssl" in site["access"]["ssl_flags"] else []), *sorted(names, key=str.casefold)]


def covered(state: State, name: str, port: int) -> bool:
    """Whether the certificate bound on a port is for this name; a certificate still to come is."""
    for binding in site_of(state)["bindings"]:
        if binding["protocol"] != "https" or binding["port"] != port:
            continue
        if binding.get("promised"):
            return True
        entry = bound_certificate(state, binding) if binding.get("thumbprint") else None
        if entry and covers(parse(entry), name):
            return True
    return False
