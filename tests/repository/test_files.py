# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What must hold for the files of the repository themselves."""

from __future__ import annotations

import re

import pytest

from tests.tooling.repository import ROOT, repository_files

# Written apart, or this file would name them.
PACKAGES = ("py" + r"pi\.(org|python)", "python" + r"hosted\.org", "npm" + r"js\.(org|com)", "deb" + r"ian\.org")
OTHERS = ("galaxy" + r"\.ansible\.com", "power" + r"shellgallery\.com", "qu" + r"ay\.io", "doc" + r"ker\.io", "gh" + r"cr\.io")
MACHINE_PATHS = tuple(r"(?<![\w.])/" + path for path in ("wo" + r"rk\b", "ro" + "ot/", "ho" + r"me/\w", "Us" + r"ers/\w", "opt" + "/py"))
FORBIDDEN = re.compile("|".join((*PACKAGES, *OTHERS, *MACHINE_PATHS)))


def test_no_file_names_a_package_registry_or_a_path_of_one_machine() -> None:
    named = [
        f"{path.relative_to(ROOT)}:{number}: {found[0]}"
        for path in repository_files()
        # A picture is no text, and is looked through all the same.
        for number, line in enumerate(path.read_text(encoding="latin-1" if path.suffix == ".png" else "utf-8").splitlines(), 1)
        if (found := FORBIDDEN.search(line))
    ]
    assert named == []


@pytest.mark.parametrize("text", ["//py" + "pi.org/simple", "see /wo" + "rk/x", "'/ro" + "ot/.ansible'", "image: qu" + "ay.io/a"])
def test_what_is_forbidden_would_be_found(text: str) -> None:
    assert FORBIDDEN.search(text)


def test_every_plugin_says_whose_it_is_and_under_which_license() -> None:
    without = [
        str(path.relative_to(ROOT))
        for path in repository_files()
        if path.is_relative_to(ROOT / "plugins") and path.suffix in {".py", ".yml"} and path.stat().st_size
        if "GNU General Public License v3.0+" not in path.read_text(encoding="utf-8")[:400]
    ]
    assert without == []
