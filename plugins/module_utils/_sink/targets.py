# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the targets that there are. A new one is a file beside this and an entry here.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .._core.errors import Json
from .._runpod.connection import runpod_client
from . import awx, docker_config, kubernetes, runpod_secret
from .target import Registries, TokenSink


class SinkType(NamedTuple):
    """The options that bear the type's name, and the target that they describe; `module` has all options."""

    options: Json
    connect: Callable[[Json, Registries, Any], TokenSink]


SINKS = {
    "awx": SinkType(awx.OPTIONS, awx.connect),
    "docker_config": SinkType(
        docker_config.OPTIONS, lambda options, registries, module: docker_config.DockerConfig(options, registries)
    ),
    "kubernetes": SinkType(kubernetes.OPTIONS, kubernetes.connect),
    "runpod_secret": SinkType(
        runpod_secret.OPTIONS,
        lambda options, registries, module: runpod_secret.RunpodSecret(
            options, registries, runpod_client(module), module.params.get("state") == "absent"
        ),
    ),
}
OPTIONS: Json = {
    "type": {"type": "str", "required": True, "choices": list(SINKS)},
    **{name: {"type": "dict", "options": sink.options, "no_log": False} for name, sink in SINKS.items()},
}


IMAGES: Json = {
    "image": {"type": "str"},
    "images": {"type": "list", "elements": "str"},
    "registry_region": {"type": "str"},
}
# A target in a list of them; the images may follow from elsewhere.
ITEMS: Json = {
    "type": "list",
    "elements": "dict",
    "options": {**OPTIONS, **IMAGES},
    "required_if": [("type", name, [name]) for name in SINKS],
    "mutually_exclusive": [tuple(IMAGES)],
    "no_log": False,
}


def connected(module: Any, given: Json, registries: Registries) -> TokenSink:
    """Return the target that these options describe."""
    kind = given["type"]
    return SINKS[kind].connect(given[kind], registries, module)
