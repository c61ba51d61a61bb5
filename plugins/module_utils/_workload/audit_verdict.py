# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: whether the next pull of what is in use fails. What runs counts, whatever the variables
# say: template and endpoint each have an image and a credential.

from __future__ import annotations

from typing import NamedTuple

from .._core.errors import InputError, Json
from .._core.time import parse_time
from .._oci.reference import PUBLIC_HOSTS, Image, parse
from .desired import DesiredState
from .observed import ObservedState, read
from .repository_access import access

# RunPod has work on the tokens of such a key.
OF_THE_KEY = {
    "foreign_key",
    "key_inactive",
    "key_invalid",
    "key_too_new",
    "key_unused",
    "rotation_due",
    "secret_key_inactive",
    "secret_key_mismatch",
    "secret_missing",
    "secret_unreadable",
    "secret_wrong",
    "stored_key_unused",
    "token_not_allowed",
    "two_active_keys",
}
# What whoever looks cannot learn, and what passes.
OF_NOBODY = {
    "clock_skew",
    "credentials_expired",
    "credentials_missing",
    "endpoint_unreachable",
    "other",
    "region_disabled",
    "service_unavailable",
    "throttled",
    "unexpected_answer",
}
# Whoever looks at the image.
OF_THE_IMAGE = {
    "archived",
    "digest_not_found",
    "kms",
    "layer_host_blocked",
    "layer_unavailable",
    "manifest_damaged",
    "not_an_image",
    "platform_missing",
    "platform_unverified",
    "repository_not_found",
    "tag_moved",
    "tag_not_found",
    "upstream_denied",
    "upstream_throttled",
    "upstream_unavailable",
    "wrong_account",
    "wrong_region",
}


class Pull(NamedTuple):
    """None when nothing tells, and why it does not work."""

    works: bool | None
    code: str = ""
    cause: str = ""


WORKS, UNKNOWN = Pull(True), Pull(None)


class Judge(NamedTuple):
    """Judges what is in use."""

    desired: DesiredState
    observed: ObservedState
    roles: tuple[str, ...]

    def failing(self, item: Json) -> bool | None:
        """Return whether something in use cannot be pulled, or is not there."""
        current = in_use(self.observed, item)
        if (item["endpoint"] and not current["endpoint"] and self.observed.was_read("endpoints")) or not any(
            current.values()
        ):
            return True if self.observed.was_read("templates") else None
        pulls = [self.pull(thing) for things in current.values() for thing in things]
        if any(one.works is False for one in pulls):
            return True
        return None if any(one.works is None for one in pulls) else False

    def pull(self, thing: Json) -> Pull:
        """Judge a template, an endpoint or a pod as it stands."""
        image = parsed(thing.get("image"))
        if image is None:
            return UNKNOWN
        if image.host in PUBLIC_HOSTS:
            return self.of_report(image, True)
        if not image.account_id:
            return UNKNOWN
        return self.by_credential(thing, image) if thing.get("registry") else self.by_delegation(image)

    def by_credential(self, thing: Json, image: Image) -> Pull:
        observed, identifier = self.observed, thing["registry"]
        if not observed.was_read("registries"):
            return UNKNOWN
        if identifier not in {each["id"] for each in observed.listed("registries")}:
            return Pull(False, "credential_gone", f"its credential {identifier} is not there any more")
        region = self.region_of(identifier)
        if region is None:  # somebody else's
            return self.of_report(image, False)
        if region != image.region:
            return Pull(
                False, "region_differs", f"its credential is for {region}, and the image lies in {image.region}"
            )
        ends = observed.expiry.get(identifier)
        if ends and parse_time(ends) <= observed.now:
            return Pull(False, "token_expired", f"the token in its credential expired at {ends}")
        return self.of_report(image, True)

    def region_of(self, identifier: str) -> str | None:
        names = self.observed.credential_names(self.desired)
        current = {each["id"]: region for region in names for each in self.observed.current(self.desired, region)}
        return current.get(identifier)

    def by_delegation(self, image: Image) -> Pull:
        observed = self.observed
        if not observed.was_read("delegations"):
            return UNKNOWN
        if not observed.delegations(image.repository_arn):
            return Pull(False, "access_missing", "it has neither a credential nor a delegation")
        documents = read(observed.documents, {})
        if image.repository_arn not in documents:
            return UNKNOWN
        if any(access(documents[image.repository_arn], role).allowed is False for role in self.roles):
            return Pull(False, "policy", f"the policy of {image.repository_arn} does not let RunPod's roles pull")
        return self.of_report(image, False)

    def of_report(self, image: Image, as_puller: bool) -> Pull:
        """Who only looks sees what an image is, not whether RunPod may have it."""
        if missing := read(self.observed.layers.get(image.reference), []):
            return Pull(False, "layer_unavailable", f"{len(missing)} of its layers are not there")
        report, by_puller = self.report(image.reference, as_puller)
        if report is None:
            return UNKNOWN
        if report["pullable"]:
            return WORKS if by_puller else UNKNOWN
        certain = [one for one in report["findings"] if is_certain(one, by_puller)]
        return Pull(False, certain[0]["code"], certain[0]["cause"]) if certain else UNKNOWN

    def report(self, reference: str, as_puller: bool) -> tuple[Json | None, bool]:
        """Return what a check told, and whether it was made by whoever pulls."""
        known = [(self.observed.proof, True), (self.observed.others, True), (self.observed.images, False)]
        for reports, by_puller in known if as_puller else [(self.observed.images, False), *known]:
            found = by_image(reports).get(reference)
            if found is not None:
                return found, as_puller and by_puller and found.get("by_puller", True)
        return None, False


def is_certain(one: Json, by_puller: bool) -> bool:
    """Return whether RunPod's pull fails now."""
    if one["severity"] != "error" or one["code"] in OF_THE_KEY | OF_NOBODY:
        return False
    return by_puller or one["code"] in OF_THE_IMAGE


def by_image(reports: object) -> dict[str, Json]:
    found = read(reports, [])
    return {each["image"]: each for each in (found.values() if isinstance(found, dict) else found)}


def parsed(reference: str | None) -> Image | None:
    try:
        return parse(reference or "")
    except InputError:
        return None


def in_use(observed: ObservedState, item: Json) -> dict[str, list[Json]]:
    names = {"template": ("templates", item["name"]), "endpoint": ("endpoints", (item["endpoint"] or {}).get("name"))}
    return {
        kind: [each for each in observed.listed(plural) if name and each["name"] == name]
        for kind, (plural, name) in names.items()
    }
