# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from .._core.errors import ApiError, Json, NotFoundError
from .._core.masking import printable

WRONG_API = "does api_url point at RunPod's API v2?"
TITLE_WITHIN = 4096
REMEDIES = {
    401: "The API key is missing, malformed or expired: check api_key or RUNPOD_API_KEY.",
    404: "It does not exist, or this API key may not see it.",
    405: "This API does not offer the call.",
    429: "The quota of this API key is spent: run again later, run less often, or ask RunPod for a higher limit.",
}
# First part of a path -> what the key needs access to.
AREAS = {
    "registries": "registry credentials",
    "templates": "templates",
    "serverless": "serverless endpoints",
    "pods": "pods",
    "account": "secrets of the account",
}
# Kind -> texts of each item. Names of endpoints and pods are not promised.
REQUIRED = {
    "templates": ("id", "name"),
    "registries": ("id", "name"),
    "delegations": ("id", "awsUser", "awsRegion", "repository"),
    "endpoints": ("id",),
    "pods": ("id",),
    "workers": ("id",),
    "secrets": ("id", "name"),
}
ADDRESSED = ("templates", "registries", "delegations", "endpoints", "secrets")  # by their ids
TEXTS = ("name", "image", "registry", "status", "tag", "args", "description", "createdAt", "valueLastUpdatedAt", "pool")
OPTIONAL = {
    **{name: (str, "a text") for name in TEXTS},
    **{name: (dict, "an object") for name in ("env", "mounts", "scaling", "gpu", "workers")},
    **{name: (list, "a list") for name in ("ports", "cpu", "allowedCudaVersions", "dataCenterIds", "networkVolumes")},
}
NUMBERS = {
    "": ("disk", "timeout"),
    "workers": ("min", "max", "idleTimeout"),
    "scaling": ("queueDelay", "requestCount"),
    "gpu": ("count",),
}
SEGMENT = re.compile(r"(?!\.{1,2}\Z)[\w.~!$&'()*+,;=:@-]+", re.ASCII)  # of a path, RFC 3986 section 3.3
TEXT_LISTS = ("ports", "allowedCudaVersions", "dataCenterIds", "cmd", "entrypoint")
ITEMS = {
    "/registries/delegations": "delegations",
    "/registries": "registries",
    "/templates": "templates",
    "/serverless": "endpoints",
    "/pods": "pods",
    "/account/secrets": "secrets",
}


# Errors


def problem_of(body: bytes) -> Json:
    """Return {} when the body is no problem document."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def details(problem: Json) -> str:
    """Return the problem without the validator's noise: for a missing key it reports every valid one as additional."""
    reported = problem.get("errors") or []
    errors = [str(error) for error in (reported if isinstance(reported, list) else [reported])]
    missing = [error for error in errors if "missing propert" in error]
    parts = [problem.get("detail") or problem.get("title") or problem.get("error") or problem.get("message") or ""]
    parts += missing or errors
    return printable(": ".join(str(part) for part in parts if part))


def page_title(body: bytes) -> str | None:
    """Return None when the body is no HTML page."""
    start = body[:TITLE_WITHIN].lstrip()
    if not start.startswith(b"<"):
        return None
    title = re.search(rb"<title[^<>]{0,100}>([^<]{1,200})", start, re.IGNORECASE)
    return printable(title[1].decode(errors="replace").strip()) if title else ""


def page(title: str) -> str:
    return (
        f"the answer is an HTML page ({title!r}), so it is not RunPod's API that {{}}; "
        f"look at proxies and firewalls on the way, and {WRONG_API}"
    )


def missing_access(method: str, path: str) -> str:
    """Of all scopes only that for the update of a credential is documented."""
    area = re.split(r"[/?]", path)[1]
    access = "read" if method == "GET" else "write"
    scope = " (scope secrets:write)" if (method, area) == ("PATCH", "registries") else ""
    return (
        f"The API key is valid but lacks {access} access to {AREAS.get(area, area)}{scope}: "
        "give it that in RunPod's console."
    )


def api_error(method: str, path: str, status: int, problem: Json, title: str | None = None) -> ApiError:
    """`title` is that of an HTML page in place of a problem document."""
    remedy = missing_access(method, path) if status == 403 else REMEDIES.get(status)
    text = details(problem) or f"the answer is not a problem document; {WRONG_API}"
    if title is not None:
        text, remedy = page(title).format("refused"), None
    if status in range(300, 400):
        text = "redirected, which is not followed because the API key would go along: correct api_url"
    if remedy:
        text += f" {remedy}" if text.endswith((".", "?", ")")) else f". {remedy}"
    message = f"{method} {path}: HTTP {status}: {text}"
    return (NotFoundError if status == 404 else ApiError)(message, status, problem)


# Shapes


def parsed(method: str, path: str, status: int, body: bytes) -> Any:
    """Return None for 204."""
    if status == 204:
        return None
    call, title = f"{method} {path}: HTTP {status}", page_title(body)
    if title is not None:
        raise ApiError(f"{call}: {page(title).format('answered')}", status)
    if body.strip() in (b"", b"null"):
        if method == "DELETE":
            return None
        raise ApiError(f"{call}: the answer is empty; {WRONG_API}", status)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ApiError(f"{call}: the answer is not JSON; {WRONG_API}", status) from None


def unfit(call: str, what: str, document: Any = None) -> ApiError:
    message = details(document) if isinstance(document, dict) else ""
    return ApiError(f"{call}: {what}{f' ({message})' if message else ''}; {WRONG_API}", 200)


def not_refused(call: str, document: Any) -> None:
    """Raise for a success whose body says that it is none."""
    if isinstance(document, dict) and "id" not in document and any(document.get(key) for key in ("error", "errors")):
        raise unfit(call, "the answer is an error", document)


def one(method: str, path: str, document: Any) -> Json:
    """Raise unless the answer is an object, and an item has an id."""
    call = f"{method} {path}"
    if not isinstance(document, dict):
        raise unfit(call, "the answer is no object")
    kind = item_kind(method, path)
    if kind is None:
        not_refused(call, document)
        return document
    return item(call, kind, document, "the answer")


def item_kind(method: str, path: str) -> str | None:
    """Return None for an answer that shows no item."""
    plain = path.partition("?")[0]
    if plain in ITEMS:
        return ITEMS[plain] if method == "POST" else None
    return ITEMS.get(plain.rpartition("/")[0])


def items(path: str, key: str, document: Any) -> list[Json]:
    """An answer without the key is an error, never an empty list."""
    call = f"GET {path}"
    listed = document.get(key) if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise unfit(call, f"the answer has no list {key!r}", document)
    return [item(call, key, each, "an item") for each in listed]


def item(call: str, kind: str, thing: Any, what: str) -> Json:
    """An item without a name has an empty one."""
    if not isinstance(thing, dict):
        raise unfit(call, f"{what} is no object")
    check_texts(call, kind, thing, what)
    for name, (kinds, meant) in OPTIONAL.items():
        if thing.get(name) is not None and not isinstance(thing[name], kinds):
            raise unfit(call, f"{what} ({printable(thing['id'])}) has {name} that is not {meant}")
    if not all(isinstance(value, str) for value in (thing.get("env") or {}).values()):
        raise unfit(call, f"{what} ({printable(thing['id'])}) has a value in env that is no text")
    for name, meant in wrong_lists(kind, thing):
        raise unfit(call, f"{what} ({printable(thing['id'])}) has {name} that is not a list of {meant}")
    for name in wrong_numbers(thing):
        raise unfit(call, f"{what} ({printable(thing['id'])}) has {name} that is not a number")
    return thing if thing.get("name") is not None else {**thing, "name": ""}


def check_texts(call: str, kind: str, thing: Json, what: str) -> None:
    """Raise unless an item has what it must have, and, where its id goes into a path, one that stays in its place."""
    for name in REQUIRED.get(kind, ("id",)):
        if thing.get(name) in (None, ""):
            raise unfit(call, f"{what} has no {name}", thing)
        if not isinstance(thing[name], str):
            raise unfit(call, f"{what} has {name} that is no text: {printable(thing[name])[:80]}")
    if kind in ADDRESSED and not SEGMENT.fullmatch(thing["id"]):
        raise unfit(call, f"{what} has an id that no address can have: {printable(thing['id'])[:80]}")


def wrong_lists(kind: str, thing: Json) -> Iterator[tuple[str, str]]:
    """Yield the names of lists that hold something else, and what they should."""
    gpu = thing.get("gpu") or {}
    texts = {name: thing.get(name) for name in TEXT_LISTS}
    texts |= {f"gpu.{name}": gpu.get(name) for name in ("excludedTypes", "allowedCudaVersions")}
    if kind == "endpoints" and gpu:
        texts["gpu.pools"] = [None] if gpu.get("pools") is None else gpu["pools"]
    yield from ((name, "texts") for name, value in texts.items() if not is_list_of(str, value))
    if not is_list_of(dict, thing.get("cpu")):
        yield "cpu", "objects"


def wrong_numbers(thing: Json) -> Iterator[str]:
    for block, names in NUMBERS.items():
        numbers = (thing.get(block) or {}) if block else thing
        for name in names:
            value = numbers.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                yield f"{block}.{name}".lstrip(".")


def is_list_of(kind: type, value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(each, kind) for each in value))


def next_cursor(path: str, document: Json) -> str | None:
    """Return None after the last page. Older answers say nothing of pages."""
    pagination = document.get("pagination")
    if pagination is None:
        return None
    more = pagination.get("hasNextPage") if isinstance(pagination, dict) else None
    cursor = pagination.get("nextCursor") if isinstance(pagination, dict) else None
    if not isinstance(more, bool) or (more and not (cursor and isinstance(cursor, str))):
        raise unfit(f"GET {path}", "the answer does not say whether and where its next page is")
    return cursor if more else None
