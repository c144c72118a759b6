# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checker of the PowerShell scripts finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.powershell.checker import findings, load_cmdlets
from tests.powershell.script import Function, parse

CMDLETS = load_cmdlets(Path(__file__).with_name("signatures.json"))
IMPORTED = {"Get-Ours": Function("Get-Ours", {"Path": False, "Quiet": True})}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("$a = $b ?? 1", "does not know this: ??"),
        ("$a ??= 1", "does not know this: ??"),
        ("$a = $b ? 1 : 2", "does not know this"),
        ("$a = $b?.c", "does not know this: ?"),
        ("Test-Path -Path a && Test-Path -Path b", "does not know this: &&"),
        ("$many | ForEach-Object -Parallel { $_ }", "ForEach-Object has no parameter Parallel"),
        ("if ($a) {", "does not know this"),
        ("$a | ConvertFrom-Json -AsHashtable", "ConvertFrom-Json has no parameter AsHashtable"),
        ("Get-Item -Pth x", "Get-Item has no parameter Pth"),
        ("Get-ChildItem -Recur -Path x", "Get-ChildItem has no parameter Recur"),
        ("Get-ChildItem -PSPath x", "Get-ChildItem has no parameter PSPath"),
        ("Get-ChildItem -literalpath x", "it is spelled LiteralPath"),
        ("get-childitem -LiteralPath x", "it is spelled Get-ChildItem"),
        ("gci -Path x", "gci is neither"),
        ("Get-Service | ? { $_ }", "? is neither"),
        ("Get-Service | % { $_ }", "% is neither"),
        ("Get-Nothing", "Get-Nothing is neither"),
        (". ./other.ps1", "./other.ps1 is neither"),
        ("& 'Get-Nothing' x", "Get-Nothing is neither"),
        ("Get-Item -Path '../x'; ../tool.exe a", "../tool.exe is neither"),
        ("& Get-Nothing x", "Get-Nothing is neither"),
        ("Set-GPRegistryValue -Name a -Type Strng", "does not take Strng"),
        ("Set-GPRegistryValue -Name a -Type:Strng", "does not take Strng"),
        ("Get-ChildItem -Attributes @('Hidden', 'Secret')", "does not take Secret"),
        ("Get-Item -Path x -ErrorAction Quietly", "does not take Quietly"),
        ("Get-Item -LiteralPath", "-LiteralPath lacks its value"),
        ("Get-Item -LiteralPath -Force", "-LiteralPath lacks its value"),
        ("Get-WindowsUpdateLog -Nonsense 1", "no parameter Nonsense"),
        ("Confirm-CAAttestationIdentityKeyInfo", "not on every Windows Server"),
        ("Get-Ours -Pfad x", "Get-Ours has no parameter Pfad"),
        ("Get-Ours -Path", "-Path lacks its value"),
        ("Get-Ours -Path x -ErrorAction Stop", "Get-Ours has no parameter ErrorAction"),
        ("function Get-Mine { param([string]$Name) }; Get-Mine -Nam x", "Get-Mine has no parameter Nam"),
        ("function Get-Mine($Name) { function Get-Inner { param($Deep) } }; Get-Mine -Deep x", "Get-Mine has no parameter Deep"),
        ('"$(Get-Item -Pth x)"', "Get-Item has no parameter Pth"),
        ("foreach ($a in Get-Item -Pth x) { }", "Get-Item has no parameter Pth"),
        ("@{ a = { Get-Item -Pth x } }", "Get-Item has no parameter Pth"),
        ("Get-Item -Path (Get-Item -Pth x)", "Get-Item has no parameter Pth"),
        ("Get-Item -Pth x @rest", "Get-Item has no parameter Pth"),
    ],
)
def test_what_is_wrong_is_found(script: str, said: str) -> None:
    found = findings(parse(script), CMDLETS, IMPORTED)
    assert any(said in one for one in found), found


@pytest.mark.parametrize(
    "script",
    [
        "Get-ChildItem -LiteralPath $place -Recurse:$deep | Where-Object { $_.Name -like 'a*' } | ForEach-Object { $_.Name }",
        "Get-Item -LiteralPath x -ErrorAction SilentlyContinue",
        "Set-GPRegistryValue @place -Type $type",
        "Set-GPRegistryValue @place -Type 'dword'",
        "Get-Ours -Path x -Quiet",
        "Get-Ours -Quiet -Path:$x",
        "function Get-Mine { param([string]$Name, [switch]$All) }\nGet-Mine -All -Name x",
        "function Get-Mine {\n  param([scriptblock]$Body)\n  & $Body 1 2\n}\nGet-Mine -Body {\n  param($Deep)\n  $Deep\n}",
        "$tool = 'x.exe'\n& $tool @arguments 2>&1 | Out-String",
        "$x = [ordered]@{ a = { 1 } }\n& $x['a']\nforeach ($one in $x.Keys) { & $x[$one] }",
    ],
)
def test_what_is_right_is_left_alone(script: str) -> None:
    assert findings(parse(script), CMDLETS, IMPORTED) == []


def test_lines_are_said() -> None:
    assert findings(parse("\n\nGet-Item `\n  -Pth x"), CMDLETS, {})[0].startswith("line 4:")


def test_exports_are_read_only_where_they_are_literal() -> None:
    assert parse("Export-ModuleMember -Function @('Get-A', 'Get-B')").exported == ("Get-A", "Get-B")
    assert parse("Export-ModuleMember -Function Get-A").exported == ("Get-A",)
    assert parse("Export-ModuleMember -Function $all").exported is None
    assert parse("Get-A").exported is None


def test_requirements_that_are_not_understood_are_kept() -> None:
    lines = ["#AnsibleRequires -PowerShell ..module_utils.A", "#Requires -Module B", "#ansiblerequires -powershell C", "# a word"]
    assert [(one.kind, one.line) for one in parse("\n".join(lines)).requirements] == [("PowerShell", 1), ("", 2), ("", 3)]
