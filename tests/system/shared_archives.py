# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How runs of Ansible share the archives of modules: see callback/archives.py."""

from __future__ import annotations

from pathlib import Path


def sharing(archives: Path | None) -> dict[str, str]:
    """Return what saves a run the time of packing modules that another run has packed."""
    plugins = str(Path(__file__).with_name("callback"))
    return {"ANSIBLE_CALLBACK_PLUGINS": plugins, "ARCHIVES": str(archives)} if archives else {}
