# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what a preflight asks of AWS.

from __future__ import annotations

from collections.abc import Iterator

from .._aws.secret_entry import MANAGED
from .._aws.stored_key import store_of
from .._core.errors import AwsError, ConflictError, Json
from .desired import DesiredState
from .look import Look
from .preflight_host import CLOCK, SET_CLOCK
from .preflight_look import judged
from .preflight_rights import (
    MISSING,
    OK,
    UNKNOWN,
    CallerContext,
    Check,
    facts_of,
    needed_rights,
    puller_of,
    right_checks,
)


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
