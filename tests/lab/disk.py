# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files that a controller puts on a machine. They are no part of the machine's document: what is copied for a moment changes nothing there."""

from __future__ import annotations

import ntpath
import re


class DiskError(Exception):
    """What Windows says where a path cannot be had."""


class Disk:
    """Files and folders by their full path, in any case of letters. Hold the machine's lock.

    USER is whose temporary folder %TEMP% is.
    """

    def __init__(self, user: str) -> None:
        profile = f"C:\\Users\\{user}"
        self._variables = {
            "TEMP": f"{profile}\\AppData\\Local\\Temp",
            "TMP": f"{profile}\\AppData\\Local\\Temp",
            "USERPROFILE": profile,
            "SystemDrive": "C:",
            "SystemRoot": "C:\\Windows",
        }
        self._folders: dict[str, str] = {}
        self._files: dict[str, tuple[str, bytes]] = {}
        for folder in (self._variables["TEMP"], "C:\\Windows\\Temp"):
            self.make_folder(folder)

    def expand(self, path: str) -> str:
        """PATH with environment variables (%NAME%) filled in; those that are not known stay."""
        known = {name.casefold(): value for name, value in self._variables.items()}
        return re.sub(r"%([^%]+)%", lambda found: known.get(found[1].casefold(), found[0]), path)

    def files(self) -> dict[str, bytes]:
        """Every file."""
        return dict(self._files.values())

    def make_folder(self, path: str) -> str:
        """Make a folder, and those above it that are not there. Returns its full path.

        :raises DiskError: where there is something of that name
        """
        path = ntpath.normpath(path)
        if self.is_folder(path) or self.read(path) is not None:
            raise DiskError(f"An item with the specified name {path} already exists.")
        above = ntpath.dirname(path)
        if not self.is_folder(above):
            self.make_folder(above)
        self._folders[path.casefold()] = path
        return path

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder; a drive's own is always there."""
        path = ntpath.normpath(path)
        return path.casefold() in self._folders or ntpath.dirname(path) == path

    def write(self, path: str, data: bytes) -> None:
        """Write a file, in place of one that is there.

        :raises DiskError: where its folder is not there, or it is a folder itself
        """
        path = ntpath.normpath(path)
        if self.is_folder(path):
            raise DiskError(f"Access to the path '{path}' is denied.")
        if not self.is_folder(ntpath.dirname(path)):
            raise DiskError(f"Could not find a part of the path '{path}'.")
        self._files[path.casefold()] = path, data

    def read(self, path: str) -> bytes | None:
        """A file's bytes, or None where there is no such file."""
        found = self._files.get(ntpath.normpath(path).casefold())
        return None if found is None else found[1]

    def remove(self, path: str) -> bool:
        """Remove a file, or a folder with all that is in it. Returns whether there was one."""
        key = ntpath.normpath(path).casefold()
        if key not in self._folders and key not in self._files:
            return False
        for names in (self._folders, self._files):
            for one in [name for name in names if name == key or name.startswith(key + "\\")]:
                del names[one]
        return True
