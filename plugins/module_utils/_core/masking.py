# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict

from .errors import Json

MASK = "********"
CHANGED = f"{MASK} (changed)"
NO_LOG = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"  # the word of ansible-core, whose newer versions mask no more
LOGIN = re.compile(r"(?<=://)[^/?#\s]*@")
DISTINCT = 8  # characters that make a value no harmless word


def printable(text: object, keep: str = "") -> str:
    r"""Return foreign text with what moves the cursor, colours or turns text spelt as \x1b."""
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in str(text))


def mask_secrets(value: Any, secrets: Iterable[str]) -> Any:
    """Mask the secrets wherever they occur; short ones only where they stand alone."""
    patterns = [_pattern(secret) for secret in sorted(set(secrets), key=len, reverse=True) if secret]
    return _replace(value, re.compile("|".join(patterns))) if patterns else value


def _pattern(secret: str) -> str:
    forms = "|".join(re.escape(form) for form in dict.fromkeys([secret, json.dumps(secret)[1:-1]]))
    return f"(?:{forms})" if len(secret) >= DISTINCT else rf"(?<!\w)(?:{forms})(?!\w)"


def _replace(value: Any, secrets: re.Pattern[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _replace(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replace(item, secrets) for item in value]
    return secrets.sub(MASK, value) if isinstance(value, str) else value


def mask_login(address: str) -> str:
    return LOGIN.sub(f"{MASK}@", address)


def mask_env(env: Any) -> Any:
    """Mask the values, not the keys; anything but a mapping or None is masked whole."""
    if isinstance(env, Mapping):
        return dict.fromkeys(env, MASK)
    return None if env is None else MASK


def to_result(thing: Json) -> Json:
    shape = camel_dict_to_snake_dict(thing, ignore_list=["env"])
    return {**shape, "env": mask_env(thing["env"])} if "env" in thing else shape


def to_diff(before: Json | None, after: Json | None) -> tuple[Json | None, Json | None]:
    """Return both states as shown, with a mark at the env values that changed."""
    old, new = (thing and to_result(thing) for thing in (before, after))
    if before and after and new and new.get("env"):
        was, is_now = before.get("env") or {}, after["env"]
        new["env"] |= {key: CHANGED for key in is_now if key in was and was[key] != is_now[key]}
    return old, new


def mask_arguments(arguments: Any, spec: Mapping[str, Json]) -> Any:
    """Return a module's arguments, valid or not. What is no option is masked too: it may be a misspelt secret."""
    if not isinstance(arguments, Mapping):
        return None if arguments is None else MASK
    options = by_any_name(spec)
    return {name: _mask_value(name, value, options.get(name)) for name, value in arguments.items()}


def by_any_name(spec: Mapping[str, Json]) -> Json:
    return {name: option for key, option in spec.items() for name in (key, *(option.get("aliases") or []))}


def _mask_value(name: str, value: Any, option: Json | None) -> Any:
    if option is None:
        return MASK
    if option.get("no_log"):
        return None if value is None else NO_LOG
    if name == "env":
        return mask_env(value)
    if not option.get("options"):
        return mask_login(value) if isinstance(value, str) else mask_nested(value)
    return (
        [mask_arguments(item, option["options"]) for item in value]
        if isinstance(value, list)
        else mask_arguments(value, option["options"])
    )


def mask_nested(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: mask_env(inner) if name == "env" else mask_nested(inner) for name, inner in value.items()}
    return [mask_nested(item) for item in value] if isinstance(value, list) else value


def secret_values(arguments: Any, spec: Mapping[str, Json]) -> set[str]:
    if not isinstance(arguments, Mapping):
        return set()
    options = by_any_name(spec)
    return {text for name, value in arguments.items() for text in _secrets_of(value, options.get(name) or {})}


def _secrets_of(value: Any, option: Json) -> set[str]:
    if option.get("no_log"):
        return texts(value)
    items = value if isinstance(value, list) else [value]
    return {text for item in items for text in secret_values(item, option.get("options") or {})}


def texts(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return {text for item in value for text in texts(item)}
    return set() if value is None or isinstance(value, bool) else {str(value)}
