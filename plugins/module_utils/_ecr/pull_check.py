# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache, partial
from typing import Any, NamedTuple

from ansible.module_utils.urls import Request
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from .._aws.client import Aws, aws_client
from .._aws.secret_entry import MANAGED, Entry, keyless, quarantine, young_until
from .._aws.stored_key import read_with_key, store_of
from .._core.errors import CollectionError, InputError, Json
from .._core.result import Result
from .._oci import manifest as manifests
from .._oci.reference import Image, parse, parse_ecr, with_content
from .._oci.registry_client import Login, Registry
from .diagnosis import GRANTABLE, diagnose
from .pull_identity import Pull, PullDeniedError, PullIdentity, facts
from .pull_probe import ByApi, ByRegistry

LONGEST_TIMEOUT = 3600
OF_AWS = {"secret_store", "caller"}


class Clients(NamedTuple):
    """AWS, an opener for layers' addresses, which are secrets, and registries by host and login."""

    aws: Aws
    opener: Any
    registry: Callable[[str, Login | None], Registry]


class NotPullableError(CollectionError):
    def __init__(self, images: list[Json]) -> None:
        bad = [image for image in images if image["pullable"] is False]
        message = [
            f"{image['image']}: {finding['cause']} {finding['remedy']}" for image in bad for finding in errors(image)
        ]
        good = sum(image["pullable"] is True for image in images)
        others = f" The other {good} can be pulled." if good else ""
        super().__init__(f"{len(bad)} of {len(images)} images cannot be pulled. " + " ".join(message) + others)
        self.images = images

    def as_result(self) -> Json:
        return {"msg": str(self), "pullable": False, "images": self.images}


def run(params: Json, check_mode: bool, client: Clients) -> Result:
    via = way(params)
    images = parsed(params["images"], params["identity"])
    platform = manifests.checked(params["platform"])
    check_timeout(params["propagation_timeout"])
    identity, missing = identify(params, client.aws, 0 if check_mode else params["propagation_timeout"])
    if missing and not check_mode:
        raise InputError(missing)
    if check_mode:
        identity = identity.patient_until(None)  # a right that was only predicted will not come
    pull: Pull = (
        ByApi(client.aws, client.opener, identity, platform)
        if via == "api"
        else ByRegistry(client.aws, client.registry, identity, platform)
    )
    reports = [report(image) if missing else examine(pull, image) for image in images]
    if check_mode and params["identity"] == "secret_store":
        reports = [predicted(found) for found in reports]
    pullable = verdict([found["pullable"] for found in reports])
    if pullable is False and params["fail_when_denied"]:
        raise NotPullableError(reports)
    return Result(False, None, None, {"pullable": pullable, "images": reports}, warnings(reports, missing))


def check_images(
    aws: Aws,
    opener: Any,
    images: Iterable[str],
    identity: PullIdentity,
    platform: str = "linux/amd64",
    deadline: datetime | None = None,
) -> list[Json]:
    """Return the reports.

    A refusal that may pass is waited for until the deadline, without one as long as the identity tells. `opener` is a
    `registry_opener`. Who is known to AWS asks the API, others the registry.
    """
    identity = identity if deadline is None else identity.patient_until(deadline)
    pull: Pull = (
        ByApi(aws, opener, identity, platform)
        if identity.calls
        else ByRegistry(aws, partial(Registry, opener), identity, platform)
    )
    references = [parse_ecr(image) if identity.calls else with_content(parse(image)) for image in images]
    return [examine(pull, image) for image in references]


def check_timeout(seconds: int) -> None:
    if not 0 <= seconds <= LONGEST_TIMEOUT:
        raise InputError(f"propagation_timeout: {seconds} is not between 0 and {LONGEST_TIMEOUT} seconds.")


def way(params: Json) -> str:
    """Only who has rights at AWS can ask the API."""
    identity = params["identity"]
    if identity not in OF_AWS and params["via"] == "api":
        raise InputError(f"via: the API of ECR takes no identity {identity}: use via registry, or leave it out.")
    return params["via"] or ("api" if identity in OF_AWS else "registry")


def parsed(references: list[str], identity: str) -> list[Image]:
    """Raise one InputError that tells what is wrong with which."""
    images, wrong = [], []
    for reference in references:
        try:
            images.append(parse_ecr(reference) if identity in OF_AWS else with_content(parse(reference)))
        except InputError as error:
            wrong.append(str(error))
    if not references:
        wrong.append("images is empty: name at least one image.")
    if wrong:
        raise InputError(" ".join(wrong))
    return images


def identify(params: Json, aws: Aws, propagation_timeout: float) -> tuple[PullIdentity, str]:
    """Return who pulls, and why the key is missing."""
    identity, option = params["identity"], {"secret_store": "secret_store", "given": "credentials"}
    if identity == "caller":
        return caller_identity(), ""
    if identity == "anonymous":
        return anonymous_identity(), ""
    if params[option[identity]] is None:  # set to null, which the spec lets pass
        raise InputError(f"identity is {identity} but {option[identity]} is missing.")
    if identity == "given":
        given = params["credentials"]
        return PullIdentity(given["username"], calls=False, login=Login(given["username"], given["password"])), ""
    return stored_identity(aws, params["secret_store"], propagation_timeout)


def stored_identity(aws: Aws, secret_store: Json, timeout: float = 0) -> tuple[PullIdentity, str]:
    """Return the pull user, and why its key is missing. A refusal may pass for `timeout` seconds."""
    store = store_of(aws, secret_store)
    entry = read_with_key(store, timeout)
    if entry is None or entry.key is None:
        return PullIdentity("the pull user"), keyless(entry, store.name)
    return pull_user_identity(entry, cache(store.tags), timeout), ""


def caller_identity() -> PullIdentity:
    return PullIdentity("the caller")


def anonymous_identity() -> PullIdentity:
    return PullIdentity("an anonymous client", calls=False)


def pull_user_identity(entry: Entry, tags: Callable[[], dict[str, str]], timeout: float = 0) -> PullIdentity:
    """`tags` reads the entry's tags when a pull is refused."""
    return PullIdentity(
        "the pull user",
        entry.key,
        young_until=lambda: young_until(entry, tags(), timeout),
        user=lambda: tags().get(MANAGED, ""),
        quarantine=lambda: quarantine(tags(), "It"),
    )


def report(image: Image) -> Json:
    unknown: Json = {"digest": None, "platforms": [], "size": None, "pullable": None, "findings": []}
    return {"image": image.reference, **unknown}


def errors(found: Json) -> list[Json]:
    return [finding for finding in found["findings"] if finding["severity"] == "error"]


def predicted(found: Json) -> Json:
    """Return the report of check mode: an earlier task may grant missing rights."""
    denied = any(finding["code"] in GRANTABLE for finding in found["findings"])
    return {**found, "pullable": None} if denied else found


def verdict(pullable: list[bool | None]) -> bool | None:
    """One that cannot be pulled outweighs one that is not known."""
    if False in pullable:
        return False
    return None if None in pullable else True


def warnings(reports: list[Json], missing: str) -> tuple[str, ...]:
    findings = [
        f"{found['image']}: {finding['cause']} {finding['remedy']}"
        for found in reports
        for finding in found["findings"]
        if finding["severity"] == "warning" or found["pullable"] is None
    ]
    return tuple([missing, *findings] if missing else findings)


def examine(pull: Pull, image: Image) -> Json:
    found = report(image)
    try:
        inspect(pull, image, found)
    except PullDeniedError as refusal:
        found["findings"].append(refusal.finding)
    return {**found, "pullable": not errors(found)}


def inspect(pull: Pull, image: Image, found: Json) -> None:
    """Write what a pull meets into the report. Raise PullDeniedError."""
    found["digest"], manifest = named(pull, image, found)
    listed = manifests.is_index(manifest)
    if listed:
        found["platforms"] = list(manifests.offers(manifest))
        chosen = manifests.choose(manifest, pull.platform)
        if chosen is None:
            raise PullDeniedError(wrong_platform(pull, image, found["platforms"]))
        dummy, manifest = pull.manifest(image._replace(tag="", digest=chosen))
    if not manifests.is_image(manifest):
        raise PullDeniedError(diagnose("NotAnImage", manifest.get("mediaType", "no media type"), facts(pull, image)))
    configuration = read(pull, image, found, manifest)
    if not listed:
        check_platform(pull, image, found, configuration)
    found["size"] = manifests.size(manifest)


def named(pull: Pull, image: Image, found: Json) -> tuple[str, Json]:
    """Return digest and manifest; with a tag too the digest counts, as in a pull."""
    try:
        return pull.manifest(image)
    except PullDeniedError as refusal:
        code = refusal.finding["code"]
        if not (image.tag and image.digest and code in {"tag_moved", "digest_not_found"}):
            raise
        answer = pull.manifest(image._replace(tag=""))
        moved = diagnose("ImageTagDoesNotMatchDigest", "", facts(pull, image))
        found["findings"].append({**moved, "raw": refusal.finding["raw"]})
        return answer


def read(pull: Pull, image: Image, found: Json, manifest: Json) -> Json:
    """Return {} with a finding when only this machine may not have it. Raise PullDeniedError."""
    try:
        return pull.configuration(image, manifest["config"]["digest"])
    except PullDeniedError as refusal:
        if refusal.finding["severity"] == "error":
            raise
        found["findings"].append(refusal.finding)
        return {}


def check_platform(pull: Pull, image: Image, found: Json, configuration: Json) -> None:
    """Raise PullDeniedError for another platform."""
    platform = manifests.platform_of(configuration)
    if not platform:
        found["findings"].append(diagnose("PlatformUnread", "no platform", facts(pull, image)))
        return
    found["platforms"] = [platform]
    if not manifests.same(platform, pull.platform):
        raise PullDeniedError(wrong_platform(pull, image, found["platforms"]))


def wrong_platform(pull: Pull, image: Image, platforms: list[str]) -> Json:
    there = ", ".join(platforms) or "none that it names"
    return diagnose("PlatformMissing", there, {**facts(pull, image), "platforms": there})


def registry_opener(validate_certs: bool, ca_path: str | None, timeout: float = 30) -> Request:
    return Request(
        timeout=timeout,
        validate_certs=validate_certs,
        ca_path=ca_path,
        use_netrc=False,
        follow_redirects="none",
        decompress=False,
        http_agent="gpuops.runpod",
    )


def connect(module: AnsibleAWSModule) -> Clients:
    """Who is not known to AWS needs no region."""
    opener = registry_opener(module.params["validate_certs"], module.params["aws_ca_bundle"])
    aws = aws_client(module) if module.params["identity"] in OF_AWS else Aws(module.client, "")
    return Clients(aws, opener, partial(Registry, opener))
