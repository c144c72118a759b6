# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`ansible.windows.win_certificate_store`, for the computer's stores: as its PowerShell does it, and in its words."""

from __future__ import annotations

from .call import Call, Result
from .engine import WindowsError, certificate_files, certificates


class _Failed(Exception):
    """What the module ends with (FailJson)."""


def win_certificate_store(call: Call) -> Result:
    """The module: certificates of a file, or one by its thumbprint, come into a store or go."""
    result: Result = {"changed": False, "thumbprints": []}
    try:
        with call.machine.lock:
            store = _opened(call)
            if call.parameters["state"].casefold() == "absent":
                _take_out(call, store, result)
            else:
                _put_in(call, store, result)
    except _Failed as error:
        result |= {"failed": True, "msg": str(error)}
    if call.machine.network is not None:
        call.machine.network.changed(call.machine)
    return result


def _opened(call: Call) -> str:
    """The name of the store that is asked for, which must be there."""
    parameters = call.parameters
    location = parameters["store_location"].casefold()
    if parameters["state"].casefold() == "exported" or parameters["store_type"].casefold() == "service" or location == "currentuser":
        raise _Failed("The lab serves ansible.windows.win_certificate_store for the computer's stores, and not to export.")
    if location != "localmachine":
        allowed = "CurrentUser, LocalMachine"
        raise _Failed(f"value of store_location must be one of: {allowed}. Got no match for: {parameters['store_location']}")
    name = "CA" if parameters["store_name"] == "CertificateAuthority" else str(parameters["store_name"])
    if certificates.listed(call.machine, name) is None:
        error = "CertOpenStore failed (The system cannot find the file specified, Win32ErrorCode 2 - 0x00000002)"
        raise _Failed(f"unable to find store '{name}': ({error})")
    return name


def _take_out(call: Call, store: str, result: Result) -> None:
    by_path = call.parameters["path"] is not None
    for thumbprint in [one.thumbprint for one in _of_file(call)] if by_path else [call.parameters["thumbprint"]]:
        result["thumbprints"].append(thumbprint)
        if certificates.find(call.machine, store, thumbprint) is None:
            continue
        if not call.check_mode:
            try:
                certificate_files.remove(call.machine, store, thumbprint)
            except WindowsError as error:
                raise _Failed(f"Unable to remove cert with thumbprint '{thumbprint}': {_thrown('Remove', 1, error)}") from error
        result["changed"] = True


def _put_in(call: Call, store: str, result: Result) -> None:
    exportable, of_machine = call.parameters["key_exportable"], call.parameters["key_storage"].casefold() == "machine"
    for found in _of_file(call):
        result["thumbprints"].append(found.thumbprint)
        known = certificates.find(call.machine, store, found.thumbprint)
        # A thumbprint does not say whether there is a key: a certificate that is there without it is replaced.
        if known is not None and (found.key is None or known.has_private_key):
            continue
        if not call.check_mode:
            try:
                certificate_files.add(call.machine, store, found, exportable=exportable, of_machine=of_machine)
            except WindowsError as error:
                what = f"Unable to import certificate with thumbprint '{found.thumbprint}'"
                raise _Failed(f"{what}: {_thrown('Add', 1, error)}") from error
        result["changed"] = True


def _of_file(call: Call) -> list[certificate_files.Found]:
    path = call.parameters["path"]
    data = call.machine.disk.read(path)
    if data is None:
        raise _Failed(f"File at '{path}' either does not exist or is not a file")
    try:
        return certificate_files.read(call.machine, data, call.parameters["password"])
    except WindowsError as error:
        raise _Failed(f"Failed to load cert from file: {_thrown('Import', 3, error)}") from error


def _thrown(method: str, arguments: int, error: WindowsError) -> str:
    """What PowerShell says where a .NET method throws."""
    return f'Exception calling "{method}" with "{arguments}" argument(s): "{error.message}"'
