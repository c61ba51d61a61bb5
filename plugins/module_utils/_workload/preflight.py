# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: options and run of runpod_ecr_preflight.

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from .._aws.secret_entry import MANAGED
from .._aws.secret_store import store_of
from .._core.errors import ApiError, AwsError, CollectionError, ConflictError, Json, NotFoundError, SkopeoError
from .._core.result import Result
from .._pull_user.inventory import EVENT_OPTIONS
from .._runpod.answers import AREAS, REMEDIES, missing_access
from .desired import DesiredState, desired_state
from .look import LISTINGS, Clients, Look
from .options import OPTIONS as ALL_OPTIONS
from .preflight_look import has_user, judged
from .preflight_rights import (
    MISSING,
    OK,
    UNKNOWN,
    CallerContext,
    Check,
    facts_of,
    lines_of,
    needed_rights,
    puller_of,
    right_checks,
)

# These decide nothing about what a run may do.
UNASKED = {
    "acknowledge_public",
    "adopt",
    "min_validity_hours",
    "propagation_timeout",
    "release_quarantine",
    "retire_after_hours",
    "verify",
}
MODULES = ["ecr_image_mirror", "ecr_pull_user_info"]
OPTIONS: Json = {
    **{name: option for name, option in ALL_OPTIONS.items() if name not in UNASKED},
    "intent": {
        "type": "str",
        "choices": [*ALL_OPTIONS["intent"]["choices"], "audit"],
        "default": "converge",
    },
    "events": {"type": "dict", "options": EVENT_OPTIONS},
    "modules": {"type": "list", "elements": "str", "choices": MODULES, "default": []},
}
GIVEN = {"check_mode": True, "acknowledge_public": True, "adopt": True}
TOLERANCE = timedelta(minutes=1)
CLOCK = re.compile(r"Signature (expired|not yet current)|RequestTimeTooSkewed|clock", re.IGNORECASE)
SET_CLOCK = "Let the clock be kept by NTP: timedatectl set-ntp true"
PATHS = {kind: path.partition("?")[0] for kind, path in LISTINGS.items()}
NEARLY_SPENT = 20  # requests that are left of a quota


def run(params: Json, dummy: bool, clients: Clients) -> Result:
    unasked = {name: ALL_OPTIONS[name].get("default") for name in UNASKED}
    desired = desired_state({**unasked, **params, **GIVEN})
    look = Look.through(clients)
    look.api.prefetch(kinds_of(desired))
    asked = look.aws.clock()
    caller, date, checks = identity(look, desired)
    if caller:
        checks += [*rights(look, desired, caller), *store(look, desired), *regions(look, desired)]
    checks += [
        *runpod(look, desired),
        *tools(look, desired),
        *clocks(look, skew_of(date, asked)),
        *quotas(look, desired, caller),
    ]
    ready = not any(check.status == MISSING and check.required for check in checks)
    results = [check._asdict() for check in checks]
    return Result(
        False, None, None, {"checks": results, "ready": ready, "lines": lines_of(checks, desired.intent, ready)}
    )


# AWS


def identity(look: Look, desired: DesiredState) -> tuple[CallerContext | None, str, list[Check]]:
    """Return who runs this and where, None when AWS does not know, and AWS' time."""
    try:
        answer = look.aws.call("sts", "get_caller_identity")
    except AwsError as error:
        remedy = SET_CLOCK if CLOCK.search(f"{error.code} {error.text}") else "Log in, or set AWS_PROFILE or keys."
        return None, "", [Check("identity", "AWS identity", MISSING, f"{error.code}: {error.text}", remedy)]
    arn, account = answer["Arn"], answer["Account"]
    caller = CallerContext(
        arn, account, arn.split(":")[1], look.aws.region, desired.options["user_permissions_boundary"] or ""
    )
    checks = [Check("identity", "AWS identity", OK, f"{arn} in {look.aws.region}")]
    others = sorted({arn.split(":")[4] for arn in desired.repositories} - {account})
    if others:
        remedy = "Run as an identity of that account, or let its repositories' policies allow this one."
        checks.append(Check("identity", "AWS account", UNKNOWN, f"images lie in account {', '.join(others)}", remedy))
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    return caller._replace(boundary=caller.boundary or boundary_of_puller(look, desired)), date, checks


def boundary_of_puller(look: Look, desired: DesiredState) -> str:
    """Return "" for no boundary, or one that may not be looked at."""
    if not {"user", "role"} & facts_of(desired) or desired.options["user_permissions_boundary"] is not None:
        return ""
    puller = puller_of(desired)
    try:
        found = puller.call(look.aws, "get_{}")[puller.kind.title()]
    except AwsError:
        return ""
    return str(found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""))


def rights(look: Look, desired: DesiredState, caller: CallerContext) -> Iterator[Check]:
    wanted = needed_rights(desired, caller)
    found, why = judged(look.aws, desired, caller, wanted) if wanted else ([], "")
    if why:
        remedy = f"Allow iam:SimulatePrincipalPolicy for {caller.arn}: docs/policies/preflight.json."
        text = f"{why}, so that rights to write are not told"
        yield Check("right", "iam:SimulatePrincipalPolicy", UNKNOWN, text, remedy, False)
    yield from right_checks(found, desired, caller)


def store(look: Look, desired: DesiredState) -> Iterator[Check]:
    """The entry is not there yet, or ours."""
    if not desired.by_user:
        return
    user, name = desired.options["user_name"], desired.store["name"]
    try:
        secret_store = store_of(look.aws, desired.store, user)
        entry = secret_store.read()
        owner = secret_store.tags().get(MANAGED) if entry and not entry.deleted else user
    except ConflictError as error:
        yield Check("store", name, MISSING, "the entry is somebody else's", str(error))
        return
    except AwsError as error:
        remedy = "Let the store be read, in the region of secret_store."
        yield Check("store", name, MISSING, f"{error.call}: {error.code}: {error.text}", remedy)
        return
    if owner != user:
        remedy = f"Name another entry in runpod_ecr_secret_store, or hand this one over: {secret_store.claim(user)}"
        yield Check("store", name, MISSING, "the entry is not tagged as this pull user's", remedy)
    else:
        yield Check("store", name, OK, "the entry is this pull user's" if entry else "there is no entry yet")


def regions(look: Look, desired: DesiredState) -> Iterator[Check]:
    """Any answer of a region will do."""
    if "images" not in facts_of(desired):
        return
    for region in desired.regions:
        item = next((one for one in desired.items if one["region"] == region), {})
        account = item["repository_arn"].split(":")[4]
        request = {"registryId": account, "repositoryName": item["repository"], "imageIds": [image_id(item["image"])]}
        try:
            failures = look.aws.call("ecr", "batch_get_image", region=region, **request).get("failures", [])
        except AwsError as error:
            yield region_check(region, item["image"], error)
            continue
        if failures:
            text, remedy = f"{item['image']} does not exist", "Push the image, or name one that exists."
            yield Check("region", region, MISSING, text, remedy)
        else:
            yield Check("region", region, OK, f"{item['image']} exists")


def image_id(image: str) -> Json:
    if "@" in image:
        return {"imageDigest": image.partition("@")[2]}
    return {"imageTag": image.rpartition(":")[2]}


def region_check(region: str, image: str, error: AwsError) -> Check:
    if error.code == "RepositoryNotFoundException":
        return Check("region", region, MISSING, f"the repository of {image} does not exist", "Correct the image's URI.")
    if error.status is None or error.code in {"UnrecognizedClientException", "OptInRequired"}:
        remedy = f"Enable the region for the account, and look at DNS and proxies: {region} is in the image's URI."
        return Check("region", region, MISSING, f"{error.code}: {error.text}", remedy)
    return Check("region", region, UNKNOWN, f"{error.code}: {error.text}", "Mend the rights that are missing first.")


# RunPod


def kinds_of(desired: DesiredState) -> list[str]:
    if desired.intent == "quarantine":
        return []
    left_out = {
        "pods": desired.intent not in ("absent", "audit"),
        "delegations": desired.access != "delegation" and desired.intent not in ("absent", "audit"),
    }
    return [kind for kind in LISTINGS if not left_out.get(kind)]


def runpod(look: Look, desired: DesiredState) -> Iterator[Check]:
    for kind in kinds_of(desired):
        check = scope(look, kind)
        yield check
        if check.name == "RunPod API key":
            return
    yield from write_scopes(desired)


def scope(look: Look, kind: str) -> Check:
    """A key that opens nothing is told of itself."""
    path = LISTINGS[kind]
    name = f"RunPod: read {'delegations' if kind == 'delegations' else area(kind)}"
    try:
        look.api.items(path, kind)
    except ApiError as error:
        if error.status == 401:
            return Check("scope", "RunPod API key", MISSING, "RunPod does not know it", REMEDIES[401])
        if error.status == 403:
            return Check("scope", name, MISSING, "the API key may not", missing_access("GET", path))
        remedy = REMEDIES.get(error.status) or "Run this again; when it stays so, look at RunPod's status page."
        return Check("scope", name, MISSING if isinstance(error, NotFoundError) else UNKNOWN, str(error), remedy)
    except CollectionError as error:
        remedy = "Look at RUNPOD_API_BASE_URL, DNS and proxies."
        return Check("scope", "RunPod API key", MISSING, str(error), remedy)
    return Check("scope", name, OK, "the API key may")


def area(kind: str) -> str:
    return AREAS[PATHS[kind].split("/")[1]]


def write_scopes(desired: DesiredState) -> Iterator[Check]:
    """No read tells what the key may write."""
    endpoints = any(item["endpoint"] for item in desired.items)
    areas = {
        "converge": ["registry credentials", "templates", *(["serverless endpoints"] if endpoints else [])],
        "refresh": ["registry credentials"],
        "rotate": ["registry credentials"],
        "absent": ["registry credentials", "templates", *(["serverless endpoints"] if endpoints else [])],
    }
    for one in areas.get(desired.intent, []):
        if desired.access == "public" and one == "registry credentials":
            continue
        remedy = f"Look at the key in RunPod's console: it has to write {one}."
        yield Check("scope", f"RunPod: write {one}", UNKNOWN, "RunPod tells it only to who writes", remedy, False)


# Tools, clocks, quotas


def tools(look: Look, desired: DesiredState) -> Iterator[Check]:
    """Only a copy needs skopeo."""
    if not {"mirror"} & facts_of(desired) and (desired.access, desired.intent) != ("public", "converge"):
        return
    try:
        version = ".".join(map(str, look.skopeo.version()))
    except SkopeoError as error:
        remedy = "Install skopeo 1.9 or newer where this runs: apt install skopeo, dnf install skopeo."
        yield Check("tool", "skopeo", MISSING, str(error), remedy)
    else:
        yield Check("tool", "skopeo", OK, f"version {version}")


def clocks(look: Look, aws: timedelta | None) -> Iterator[Check]:
    """This machine's clock judges signatures and ends of tokens."""
    for name, skew in (("AWS", aws), ("RunPod", runpod_skew(look))):
        if skew is None:
            yield Check("clock", f"clock: {name}", UNKNOWN, "no answer tells the time", SET_CLOCK, False)
        elif abs(skew) > TOLERANCE:
            text = f"this clock is {abs(skew).total_seconds():.0f} s {'behind' if skew > TOLERANCE else 'ahead of'} it"
            yield Check("clock", f"clock: {name}", MISSING, text, SET_CLOCK)
        else:
            yield Check("clock", f"clock: {name}", OK, "within a minute")


def runpod_skew(look: Look) -> timedelta | None:
    if look.api.told_time is None:
        return None
    date, moment = look.api.told_time
    return skew_of(date, look.aws.clock() - timedelta(seconds=look.api.clock() - moment))


def skew_of(date: str, here: datetime) -> timedelta | None:
    """Return by how much the clock of a `Date` is ahead of this one."""
    try:
        return parsedate_to_datetime(date) - here
    except (TypeError, ValueError):
        return None


def quotas(look: Look, desired: DesiredState, caller: CallerContext | None) -> Iterator[Check]:
    for window in look.api.view.windows:
        text = f"{window.left} of {window.quota or 'an unknown number of'} requests are left"
        name = f"quota of RunPod: {window.name}"
        if window.left < NEARLY_SPENT and window.name != "minute":
            remedy = f"Run this in {window.resets} s, or ask RunPod for a higher limit."
            yield Check("quota", name, MISSING, text, remedy)
        else:
            yield Check("quota", name, OK, text)
    if caller and {"user", "write"} <= facts_of(desired) and desired.intent == "converge":
        yield from users_quota(look, desired)


def users_quota(look: Look, desired: DesiredState) -> Iterator[Check]:
    name = "quota of IAM users"
    try:
        summary = look.aws.call("iam", "get_account_summary")["SummaryMap"]
        used, most = summary["Users"], summary["UsersQuota"]
    except (AwsError, KeyError) as error:
        why = error.code if isinstance(error, AwsError) else "the answer lacks it"
        remedy = "Allow iam:GetAccountSummary: docs/policies/preflight.json."
        yield Check("quota", name, UNKNOWN, why, remedy, False)
        return
    text = f"{used} of {most} users"
    if used < most or has_user(look.aws, desired):
        yield Check("quota", name, OK, text)
    else:
        yield Check("quota", name, MISSING, text, "Remove users that nobody needs: AWS does not raise this quota.")
