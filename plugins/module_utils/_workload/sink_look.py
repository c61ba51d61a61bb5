# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: how the targets of tokens are, which ecr_token_sink keeps.

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .._aws.client import Aws
from .._core.errors import Json
from .._core.finding import MISSED
from .._sink import token_sink
from .._sink.target import Registries, TokenSink
from .desired import DesiredState
from .observed import Failure, guarded


def sinks_of(
    desired: DesiredState, items: list[Json] | None, aws: Aws, connect: Callable[[Json, Registries], TokenSink] | None
) -> list[tuple[str, list[Json] | Failure]]:
    """Return the type of each target and what is wrong with it."""
    return [
        (item["type"], guarded(partial(findings_of, options_of(desired, item), aws, partial(connect, item))))
        for item in items or []
        if connect
    ]


def options_of(desired: DesiredState, item: Json) -> Json:
    named = any(item[name] is not None for name in ("image", "images", "registry_region"))
    return {
        **item,
        "images": item["images"] if named else desired.images,
        "secret_store": desired.store if desired.by_user else None,
        "verify_images": [],
        "min_validity_hours": MISSED.total_seconds() / 3600,
        "force": False,
        "propagation_timeout": 0,
        "state": "present",
    }


def findings_of(options: Json, aws: Aws, connect: Callable[[Registries], TokenSink]) -> list[Json]:
    """A caller's token is made as whoever refreshes it, which need not be whoever audits."""
    found: list[Json] = token_sink.run(options, True, token_sink.Clients(aws, connect)).results["findings"]
    by_user = options["secret_store"] is not None
    return [one for one in found if by_user or one["code"] != "sink_of_another"]
