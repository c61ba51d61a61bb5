# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page of a module says."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import yaml

from ansible_collections.gpuops.runpod.plugins.doc_fragments.workload import ModuleDocFragment as Workload

SHARED = "gpuops.runpod.workload"


def options(module: ModuleType) -> dict[str, Any]:
    """Return the documented options, but for those of the connections and of the store."""
    page = yaml.safe_load(module.DOCUMENTATION)
    found: dict[str, Any] = dict(page.get("options", {}))
    for name in page["extends_documentation_fragment"]:
        if name.startswith(SHARED):
            block = name.removeprefix(SHARED).lstrip(".").upper() or "DOCUMENTATION"
            shared = yaml.safe_load(getattr(Workload, block))["options"]
            assert not shared.keys() & found.keys()
            found |= shared
    return found
