# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RunPod's API as the simulator serves it, which is as strict as RunPod: the opener of a real client."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ansible_collections.gpuops.runpod.tests.sandbox.runpod import RunpodSimulator
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_runpod import KEY, FakeRunpod, Json

HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


class SimulatedRunpod(FakeRunpod):
    """The same notes of calls and naps and the same scripted answers, before one account of the simulator."""

    def __init__(self) -> None:
        super().__init__()
        self.simulator = RunpodSimulator(clock=self.clock, api_key=KEY)

    def clock(self) -> float:
        """Return the time, which passes while the client sleeps."""
        return 1_800_000_000.0 + sum(self.naps)

    def seed(self, key: str, **fields: Any) -> Json:
        return self.simulator.seed(key, fields)

    def state(self, key: str) -> list[Json]:
        return self.simulator.state()[key]

    def handle(self, method: str, path: str, body: Json | None) -> tuple[int, dict[str, str], Any]:
        parts = urlsplit(path)
        raw = b"" if body is None else json.dumps(body).encode()
        query = dict(parse_qsl(parts.query))
        return self.simulator.handle(method, f"/v2{unquote(parts.path)}", query, HEADERS, raw)
