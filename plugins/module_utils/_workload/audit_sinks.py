# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from collections.abc import Iterator

from .audit_reads import failure
from .audit_scene import Scene
from .findings import Finding, from_module
from .observed import Failure


def sinks(scene: Scene) -> Iterator[Finding]:
    """No workload of RunPod pulls with these tokens."""
    for kind, found in scene.observed.sinks:
        if isinstance(found, Failure):
            yield failure(f"The target of tokens of the type {kind}", found, (), ())
        else:
            yield from (from_module(one, "", ()) for one in found)
