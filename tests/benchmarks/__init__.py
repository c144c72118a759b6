# Copyright: (c) 2026, securepatch.wsus contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The figures of docs/benchmarks.md, each by one command: C(python -m tests.benchmarks.NAME), from the root of the repository."""

import sys
from pathlib import Path

COLLECTIONS = Path(__file__).parents[2] / ".cache" / "collections"

# Every benchmark imports the collection by its full name, as Ansible does.
if str(COLLECTIONS) not in sys.path:
    sys.path.insert(0, str(COLLECTIONS))
