# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Planning from where a downstream server synchronizes, and whether it has to synchronize now."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from .changes import Change, Registry, SetSynchronization, StartSynchronization
from .configuressl import covered
from .planning import Plan
from .state import (
    MARKS_KEY,
    SYNCHRONIZATION_MARK,
    LookNeeded,
    Refusal,
    State,
    Synchronization,
    against_endpoint,
    api_of,
    configured_name,
    find_endpoint,
    is_fqdn,
    is_good,
    is_promised,
    own_fqdn,
    same_name,
    setup_of,
)

NEVER = "none"
"""What the mark says of a server that had never synchronized."""


@dataclasses.dataclass(frozen=True)
class SynchronizationWish:
    """The source of synchronization. None: REPLICA stays as it is."""

    upstream: str | None = None
    port: int = 8531
    use_ssl: bool = True
    replica: bool | None = None
    microsoft_update: bool = False
    reparent: bool = False
    synchronize: bool = False
    configuration_manager: bool = False
    """Whether somebody said that they know of Configuration Manager on this machine."""
    upstream_state: State | None = None
    """The upstream server's own state, where it is known: what it promises in check mode counts as seen."""
    wait_seconds: int = 240
    """How long to wait on the server for WSUS to take the configuration: it works up to three minutes on the last one [API]."""


def plan_synchronization(state: State, wish: SynchronizationWish, now: datetime.datetime) -> Plan:
    """Plan the synchronization. NOW is an aware datetime. Values: source.

    Raises Refusal: no FQDN with TLS, the upstream is this server itself or another than it has, Configuration Manager, an upstream that is
    not reached or not trusted, a WSUS API that does not answer. Raises LookNeeded.
    """
    setup_of(state)
    api = api_of(state)
    if api is None:
        return Plan(notes=("The WSUS API does not answer as things stand, so what would be changed cannot be foretold.",))
    current = api["synchronization"]
    wished = _wished(current, wish)
    source = {"source": _shown(wished)}
    changes: list[Change] = []
    notes: tuple[str, ...] = ()
    if not _is_as_wished(current, wished):
        _refuse(state, current, wished, wish)
        if state["computer"]["configuration_manager"]:
            notes = ("Configuration Manager is on this machine: set 'Require SSL communication' on its software update point as well.",)
        # Noted whether or not this task synchronizes: a later one has to know what was before the change.
        changes += [_mark(current), wished]
    # One that is under way is waited for, not started once more.
    if wish.synchronize and (changes or (is_due(state) and current["status"] == "NotProcessing")):
        changes.append(StartSynchronization())
    return Plan(tuple(changes), notes, source)


def managed_source(state: State) -> dict[str, Any]:
    """What the module manages, for before and after."""
    if state["api"] is None:
        return {}
    current = state["api"]["synchronization"]
    last = current["last"]
    if current["microsoft_update"]:
        source = {"source": "Microsoft Update"}
    else:
        source = {"source": f"{'https' if current['upstream_ssl'] else 'http'}://{current['upstream_name']}:{current['upstream_port']}"}
    return {**source, "replica": current["replica"], "last_synchronization": last["result"] if last else "never"}


def is_due(state: State) -> bool:
    """Whether a synchronization has to be started: there was none since the source was changed, the last one failed, or there was none.

    The mark keeps the id of the last one from before the source was changed.
    """
    if state["api"] is None:
        return False
    last = state["api"]["synchronization"]["last"]
    if last is None or last["result"] != "Succeeded":
        return True
    return last["id"] is not None and last["id"] == state["marks"].get(SYNCHRONIZATION_MARK)


def is_busy(state: State) -> bool:
    """Whether WSUS synchronizes, or works on a configuration, so that it takes no other now."""
    if state["api"] is None:
        return False
    current = state["api"]["synchronization"]
    return current["status"] != "NotProcessing" or current["configuration_state"] != "Ready"


def same_upstream(one: str | None, other: str | None) -> bool:
    """Whether two names mean the same upstream: an equal FQDN, or a short name equal to the other's first label."""
    if same_name(one, other):
        return True
    if not one or not other or ("." in one and "." in other):
        return False
    return one.split(".")[0].casefold() == other.split(".")[0].casefold()


def _mark(current: Synchronization) -> Registry:
    last = current["last"]
    return Registry(
        MARKS_KEY, SYNCHRONIZATION_MARK, "String", (last and last["id"]) or NEVER, "Note on the server which synchronization was the last before"
    )


def _wished(current: Synchronization, wish: SynchronizationWish) -> SetSynchronization:
    if wish.microsoft_update:
        port, ssl = current["upstream_port"], current["upstream_ssl"]
        return SetSynchronization(True, current["upstream_name"], port, ssl, False, wish.wait_seconds)
    upstream = (wish.upstream or "").strip().rstrip(".")
    if not upstream:
        raise Refusal("No upstream server is given.")
    if wish.use_ssl and not is_fqdn(upstream):
        raise Refusal(f"'{upstream}' is no fully qualified name: with TLS the upstream must be named by its FQDN [CFG].")
    replica = current["replica"] if wish.replica is None else wish.replica
    return SetSynchronization(False, upstream, wish.port, wish.use_ssl, replica, wish.wait_seconds)


def _shown(wished: SetSynchronization) -> str:
    if wished.microsoft_update:
        return "Microsoft Update"
    return f"{'https' if wished.upstream_ssl else 'http'}://{wished.upstream_name}:{wished.upstream_port}"


def _is_as_wished(current: Synchronization, wished: SetSynchronization) -> bool:
    if wished.microsoft_update or current["microsoft_update"]:
        return wished.microsoft_update and current["microsoft_update"]
    return (
        same_name(current["upstream_name"], wished.upstream_name)
        and current["upstream_port"] == wished.upstream_port
        and current["upstream_ssl"] == wished.upstream_ssl
        and current["replica"] == wished.replica
    )


def _refuse(state: State, current: Synchronization, wished: SetSynchronization, wish: SynchronizationWish) -> None:
    if state["computer"]["configuration_manager"] and not wish.configuration_manager:
        raise Refusal(
            "Configuration Manager is on this machine: it rewrites the synchronization settings of WSUS [SUP]. Set 'Require SSL communication' "
            "on its software update point, and say so with configuration_manager: acknowledged."
        )
    if wished.microsoft_update:
        if not current["microsoft_update"] and not wish.reparent:
            raise Refusal(
                f"This server synchronizes from {current['upstream_name']}. Moving it to Microsoft Update is another hierarchy: "
                "say so with reparent: true."
            )
        return
    if _is_itself(state, str(wished.upstream_name)):
        raise Refusal(f"{wished.upstream_name} is this server itself: it cannot be its own upstream.")
    if not wish.reparent:
        if current["microsoft_update"]:
            raise Refusal(
                f"This server synchronizes from Microsoft Update, not from {wished.upstream_name}. Moving it below another server is another "
                "hierarchy: say so with reparent: true."
            )
        names = [wished.upstream_name, *_names_of(wish.upstream_state)]
        if not any(same_upstream(current["upstream_name"], name) for name in names):
            raise Refusal(
                f"This server synchronizes from {current['upstream_name']}, not from {wished.upstream_name}. Correct the inventory, "
                "or move it with reparent: true."
            )
    if wished.upstream_ssl:
        _look_at_upstream(state, current, wished, wish.upstream_state)


def _is_itself(state: State, name: str) -> bool:
    own = (own_fqdn(state), configured_name(state))
    # Without TLS the upstream may be given by its short name.
    return any(same_name(name, one) or ("." not in name and same_upstream(name, one)) for one in own)


def _names_of(upstream_state: State | None) -> list[str | None]:
    # The upstream may go by another name than Windows gives it.
    return [own_fqdn(upstream_state), configured_name(upstream_state)] if upstream_state and upstream_state["setup"] else []


def _look_at_upstream(state: State, current: Synchronization, wished: SetSynchronization, upstream_state: State | None) -> None:
    name, port = str(wished.upstream_name), wished.upstream_port
    if upstream_state is not None and is_promised(upstream_state, port):
        if not covered(upstream_state, name, port):
            raise Refusal(f"The certificate that {name} will have on port {port} is not for {name}.")
        return
    endpoint = find_endpoint(state, name, port)
    if endpoint is None:
        raise LookNeeded(name, port)
    if is_good(endpoint):
        return
    proxy = ""
    if current["proxy"]:
        proxy = (
            f" WSUS on this server uses the proxy {current['proxy']}, for its upstream too, and this look went without it: if the upstream can "
            "be reached only through the proxy, it has to let TLS through unopened; if it can be reached directly, take the proxy out."
        )
    trust = "" if endpoint["trusted"] is not False else " Have the issuing CA trusted in the computer's Trusted Root store of this server."
    raise Refusal(f"The upstream is not ready for synchronization over TLS: {against_endpoint(endpoint)}.{trust}{proxy}")
