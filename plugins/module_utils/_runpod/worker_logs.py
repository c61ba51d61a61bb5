# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what RunPod's host says of a worker, such as why a pull fails. What the container prints
# is not read: it may be a secret.

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from .._core.masking import mask_secrets, printable

if TYPE_CHECKING:
    from .client import Client

TAIL = 5  # lines
WAIT = 3.0  # seconds, for a stream that stays open
LONGEST = 300  # characters
OF_THE_HOST = "system"


def last_lines(client: Client, endpoint: str, worker: str, secrets: Iterable[str] = ()) -> list[str]:
    query = urlencode({"source": OF_THE_HOST, "tail": TAIL})
    path = f"/serverless/{quote(endpoint, safe='')}/workers/{quote(worker, safe='')}/logs?{query}"
    lines = [mask_secrets(line, secrets) for line in lines_of(client.stream(path, WAIT).decode(errors="replace"))]
    return [printable(line)[:LONGEST] for line in lines[-TAIL:]]


def lines_of(events: str) -> Iterator[str]:
    """Return the lines of server-sent events, each with its time; what is none is left out."""
    for line in events.splitlines():
        if line.startswith("data:"):
            try:
                event = json.loads(line.removeprefix("data:"))
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict) and event.get("line") and event.get("source") == OF_THE_HOST:
                yield " ".join(str(event[key]).strip() for key in ("ts", "line") if event.get(key))
