# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: how environment variables and what surrounds them are shown. Pure.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict

from .errors import Json

MASK = "********"
CHANGED = f"{MASK} (changed)"


def mask_env(env: Any) -> Any:
    """Return an environment with its keys and without its values; anything else but None is masked whole."""
    if isinstance(env, Mapping):
        return dict.fromkeys(env, MASK)
    return None if env is None else MASK


def to_result(thing: Json) -> Json:
    """Return an object of RunPod's API as results show it: names in snake_case, env masked by key."""
    shape = camel_dict_to_snake_dict(thing, ignore_list=["env"])
    return {**shape, "env": mask_env(thing["env"])} if "env" in thing else shape


def to_diff(before: Json | None, after: Json | None) -> tuple[Json | None, Json | None]:
    """Return two states of an object for a diff: both as shown, with a mark at the env values that changed."""
    old, new = (thing and to_result(thing) for thing in (before, after))
    if before and after and new and new.get("env"):
        was, is_now = before.get("env") or {}, after["env"]
        new["env"] |= {key: CHANGED for key in is_now if key in was and was[key] != is_now[key]}
    return old, new


def mask_arguments(arguments: Any, spec: Mapping[str, Json]) -> Any:
    """Return a module's arguments, valid or not, as they may be echoed.

    The values of env are masked by key, and what is not an option at all is masked too: it may be a misspelt env.
    """
    if not isinstance(arguments, Mapping):
        return None if arguments is None else MASK
    return {name: _mask_value(name, value, spec.get(name)) for name, value in arguments.items()}


def _mask_value(name: str, value: Any, option: Json | None) -> Any:
    if option is None:
        return MASK
    if name == "env":
        return mask_env(value)
    if "options" not in option:
        return value
    return (
        [mask_arguments(item, option["options"]) for item in value]
        if isinstance(value, list)
        else mask_arguments(value, option["options"])
    )
