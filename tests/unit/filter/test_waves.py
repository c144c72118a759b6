# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.securepatch.wsus.plugins.filter import waves as plugin
from jinja2 import StrictUndefined

waves: Any = plugin.FilterModule().filters()["waves"]

HOSTS = ["top", "east", "west", "south"]
VARIABLES = {"top": {}, "east": {"wsus_upstream": "top"}, "west": {"wsus_upstream": "top"}, "south": {"wsus_upstream": "west"}}


def hostvars_of(folder: Path, inventory: str) -> HostVars:
    """What Ansible itself hands to a filter, for an inventory as text."""
    path = folder / "inventory.yml"
    path.write_text(inventory)
    loader = DataLoader()
    manager = InventoryManager(loader=loader, sources=[str(path)])
    return HostVars(manager, VariableManager(loader=loader, inventory=manager), loader)


def test_the_waves_of_a_tree() -> None:
    assert waves(HOSTS, VARIABLES) == [["south"], ["east", "west"], ["top"]]
    assert waves(HOSTS, VARIABLES, "top_down", "1", only=["south", "east", "west"]) == [["east"], ["west"], ["south"]]


@pytest.mark.parametrize("hostvars", [{}, {"east": {}}])
def test_without_variables_every_host_is_in_one_wave(hostvars: dict[str, Any]) -> None:
    assert waves(HOSTS, hostvars) == [HOSTS]
    assert waves([], hostvars) == []


def test_templates_in_host_variables_are_resolved(tmp_path: Path) -> None:
    hostvars = hostvars_of(
        tmp_path,
        """
        all:
          vars: {headquarters: top}
          hosts:
            top: {wsus_upstream: "", wsus_fqdn: "{{ inventory_hostname }}.corp.example"}
            east: {wsus_upstream: "{{ headquarters }}", wsus_upstream_fqdn: null}
        """,
    )
    assert waves(["top", "east"], hostvars) == [["east"], ["top"]]


def test_an_unknown_host_and_one_whose_other_variables_cannot_be_resolved_do_no_harm(tmp_path: Path) -> None:
    hostvars = hostvars_of(tmp_path, "all: {hosts: {top: {other: '{{ nowhere }}'}}}")
    assert waves(["top", "not in the inventory"], hostvars) == [["top", "not in the inventory"]]


def test_an_upstream_that_is_undefined_is_refused_with_its_host() -> None:
    """Inside of a filter Ansible hands over a template that cannot be resolved as an undefined value, which fails when it is printed."""
    with pytest.raises(AnsibleFilterError, match=r"wsus_upstream of east is not a name"):
        waves(HOSTS, {"east": {"wsus_upstream": StrictUndefined(name="nowhere")}})


def test_all_problems_are_in_one_error() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        waves(["a", "b", "c"], {"a": {"wsus_upstream": "a"}, "b": {"wsus_upstream": "nobody"}, "c": {"wsus_fqdn": "c"}})
    for words in ("a is its own upstream", 'wsus_upstream of b is "nobody"', 'wsus_fqdn of c is "c"'):
        assert f"\n- {words}" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((HOSTS, VARIABLES, "sideways"), "bottom_up or top_down"),
        ((HOSTS, VARIABLES, None), "bottom_up or top_down"),
        ((HOSTS, VARIABLES, ["bottom_up"]), "bottom_up or top_down"),
        ((HOSTS, VARIABLES, "top_down", "half"), "a number of servers such as 5"),
        ((HOSTS, VARIABLES, "top_down", None, "top"), "lists of inventory names"),
        (("top", VARIABLES), "lists of inventory names"),
        ((None, VARIABLES), "lists of inventory names"),
        ((HOSTS, "top"), "must be hostvars"),
        ((HOSTS, {"east": {"wsus_upstream": ["top"]}}), "wsus_upstream of east is not a name"),
    ],
)
def test_wrong_arguments_are_refused_in_words(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        waves(*arguments)
    assert words in str(caught.value)


def test_two_thousand_hosts_take_seconds_not_minutes(tmp_path: Path) -> None:
    names = [f"wsus{number}" for number in range(2_000)]
    hosts: dict[str, Any] = {name: {"wsus_upstream": names[(number - 1) // 20]} for number, name in enumerate(names) if number}
    hostvars = hostvars_of(tmp_path, yaml.safe_dump({"all": {"hosts": {names[0]: {}, **hosts}}}))
    start = time.monotonic()
    assert sum(map(len, waves(names, hostvars))) == 2_000
    assert time.monotonic() - start < 15


def test_the_documentation_has_the_arguments_of_the_filter() -> None:
    document = yaml.safe_load(Path(plugin.__file__).with_suffix(".yml").read_text())["DOCUMENTATION"]
    code = plugin.waves.__code__
    arguments = code.co_varnames[: code.co_argcount]
    assert [name.replace("_input", "hosts") for name in document["options"]] == list(arguments)
    assert document["positional"] == "_input, hostvars, strategy, batch, only"
