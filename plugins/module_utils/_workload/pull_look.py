# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what a pull meets: who pulls, its tokens, and the layers of images.

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from .._aws.ecr_token import get_token
from .._core.errors import AwsError, ConflictError, InputError, Json
from .._ecr import pull_check, pull_grant, pull_probe
from .._ecr.pull_identity import PullIdentity
from .._oci import manifest as manifests
from .._oci.reference import Image, parse_ecr
from . import preview
from .desired import DesiredState
from .findings import Finding, finding
from .look import Look
from .observed import Failure, guarded, read
from .repository_access import denied_by

PLATFORM = "linux/amd64"
MOST_LAYERS = 100  # in one question
READERS = 8


class KeylessError(InputError):
    """The entry holds no key, which is told of the entry."""


def puller_of(look: Look, identity: str, store: Json | None) -> PullIdentity:
    """Raise InputError where the store has no key to pull with."""
    if identity != "secret_store":
        return {"caller": pull_check.caller_identity, "anonymous": pull_check.anonymous_identity}[identity]()
    puller, missing = pull_check.stored_identity(look.aws, store or {}, preview.NEVER)
    if missing:
        raise KeylessError(missing)
    return puller


def check(look: Look, images: list[str], identity: str, store: Json | None = None) -> list[Json] | Failure:
    def checked() -> list[Json]:
        puller = puller_of(look, identity, store)
        return pull_check.check_images(look.aws, look.opener, images, puller) if images else []

    return guarded(checked)


def minted(desired: DesiredState, look: Look, proof: list[Json] | Failure) -> dict[str, Json]:
    """Return by region why there is no token. Where the pull is refused that is told already."""
    works = {each["image"] for each in read(proof, []) if each["pullable"]}
    images = {item["region"]: parse_ecr(item["image"]) for item in desired.items if item["image"] in works}
    if not images:
        return {}
    puller = puller_of(look, "secret_store" if desired.by_user else "caller", desired.store)
    pull, found = pull_probe.ByApi(look.aws, look.opener, puller, PLATFORM), {}
    for region, image in images.items():
        try:
            get_token(look.aws, region, puller.key)
        except AwsError as error:
            found[region] = pull_probe.diagnose_refusal(look.aws, pull, image, "get_authorization_token", error)
    return found


def warned_of_tokens(desired: DesiredState, look: Look, proof: list[Json]) -> list[str]:
    """A check mints none otherwise. What RunPod has works on without a new one."""
    return [f"{one['cause']} {one['remedy']}" for one in minted(desired, look, proof).values()]


def whole(look: Look, reports: list[Json], identity: str, store: Json | None = None) -> list[Json]:
    """Add what is missing of images that can be pulled else; what nobody may ask is no fault."""
    puller = pull_check.caller_identity()
    if identity == "secret_store":
        puller = pull_check.stored_identity(look.aws, store or {}, preview.NEVER)[0]

    def examined(report: Json) -> Json:
        image, missing = parse_ecr(report["image"]), []
        with suppress(AwsError):
            missing = missing_layers(look, image, layers_of(look, image, puller), puller)
        if not missing:
            return report
        one = layers_lost(image.reference, missing, ())
        found = {field: getattr(one, field) for field in ("code", "severity", "cause", "remedy", "raw")}
        return {**report, "pullable": False, "findings": [*report["findings"], found]}

    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(examined, reports))


def layers_lost(image: str, missing: list[str], workloads: tuple[str, ...]) -> Finding:
    facts = {"number": len(missing), "image": image, "digest": missing[0]}
    return finding("layer_unavailable", workloads, json.dumps(missing), **facts)


def missing_layers(look: Look, image: Image, digests: list[str], asking: PullIdentity | None = None) -> list[str]:
    """Ask as whoever runs this unless told otherwise. Of what the answer leaves out nothing is known."""
    missing: set[str] = set()
    for start in range(0, len(digests), MOST_LAYERS):
        end = start + MOST_LAYERS
        answer = look.aws.call(
            "ecr",
            "batch_check_layer_availability",
            **place(image),
            layerDigests=digests[start:end],
            identity=asking.key if asking else None,
        )
        judged = [each for each in answer.get("layers") or [] if each.get("layerAvailability") == "UNAVAILABLE"]
        missing |= {each.get("layerDigest") for each in [*judged, *(answer.get("failures") or [])]}
    return [each for each in digests if each in missing]


def require_no_denial(desired: DesiredState, look: Look) -> None:
    """Raise ConflictError for what no statement of a run outweighs."""
    wrong = []
    for arn in desired.repositories:
        policy = pull_grant.read_policy(look.aws, pull_grant.Repository(arn))
        if sids := denied_by(policy, desired.pull_roles):
            one = finding("statement_denies", (), arn=arn, sids=" and ".join(sids))
            wrong.append(f"{one.cause} {one.remedy}")
    if wrong:
        raise ConflictError(" ".join(wrong))


def layers_of(look: Look, image: Image, reader: PullIdentity) -> list[str]:
    """Return digests for linux/amd64, from manifests that were read."""
    pull = pull_probe.ByApi(look.aws, look.opener, reader, PLATFORM)
    try:
        dummy, manifest = pull.manifest(image)
        if manifests.is_index(manifest):
            chosen = manifests.choose(manifest, PLATFORM)
            dummy, manifest = pull.manifest(image._replace(tag="", digest=chosen or ""))
    except pull_probe.PullDeniedError:
        return []
    return list(dict.fromkeys(each["digest"] for each in manifest.get("layers") or []))


def place(image: Image) -> Json:
    return {"region": image.region, "registryId": image.account_id, "repositoryName": image.repository}
