# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the account as it was found. What could not be read says why.

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from .._core.errors import DENIED, ApiError, AwsError, CollectionError, Json
from .._core.masking import printable
from .._core.result import Result
from .._runpod.credential_names import logical
from .audit_lifecycle import Expiry
from .audit_workers import Trouble
from .desired import DesiredState
from .step import Step


class Failure(NamedTuple):
    """`code` is equal for what fails alike."""

    text: str
    code: str = ""
    refused: bool = False

    @classmethod
    def of(cls, error: CollectionError) -> Failure:
        code = error.code if isinstance(error, AwsError) else str(getattr(error, "status", ""))
        refused = code in DENIED if isinstance(error, AwsError) else isinstance(error, ApiError) and error.status == 403
        return cls(str(error), code or type(error).__name__, refused)


class EndpointLook(NamedTuple):
    """An endpoint as it is and should be, and how far its workers are."""

    before: Json | None
    after: Json | None
    release: Json | None
    workers: tuple[Json, ...] = ()
    newest: Json = {}  # release, as RunPod tells of it
    trouble: Trouble | None = None
    logs: list[str] | Failure = []  # of the first of the workers in trouble

    @property
    def changed(self) -> str:
        """Return who made the newest release, when and of what; nothing of an endpoint as it was made."""
        diff = self.newest.get("diff")
        fields = [str(each.get("field")) for each in diff if isinstance(each, dict)] if isinstance(diff, list) else []
        if not fields:
            return ""
        who = f" by the user {self.newest['createdByUserId']}" if self.newest.get("createdByUserId") else ""
        made = f"made at {self.newest.get('createdAt')}{who}: {', '.join(fields)}"
        return f" RunPod's newest release of it was {printable(made)}."


class ObservedState(NamedTuple):
    """A Failure, or None where the way of access does not need the read."""

    now: datetime
    identity: str | Failure  # whose ARN it was looked as
    images: list[Json] | Failure  # by whoever runs this
    proof: list[Json] | Failure | None  # by whoever pulls
    user: Json | Failure | None
    trail: list[Json] | Failure | None
    user_preview: Result | Failure | None
    policies: list[Json] | Failure | None
    public: dict[str, Result | Failure]  # by the names of the public repositories
    public_images: dict[str, str]  # by the private ones
    mirror: list[Json] | Failure | None
    runpod: dict[str, list[Json] | Failure]  # by kind
    runpod_findings: list[Json]
    templates: list[Step] | Failure | None
    endpoints: dict[str, EndpointLook | Failure]
    tokens: dict[str, Json] = {}  # region -> why whoever pulls gets no token
    entry_owner: str | Failure = ""  # the user of the store's entry
    layers: dict[str, list[str] | Failure] = {}  # image -> missing layers
    expiring: dict[str, Expiry | Failure | None] = {}  # image -> when a lifecycle rule takes it
    documents: dict[str, Json | None] | Failure = {}  # ARN of a repository -> its policy
    others: dict[str, Json] = {}  # image that runs and is not wished -> its report
    former: dict[str, bool | Failure] = {}  # kind of a former identity -> whether there is one of ours
    sinks: list[tuple[str, list[Json] | Failure]] = []  # type of another target of tokens, what is wrong with it

    @property
    def users(self) -> list[Json]:
        return read(self.user, {"users": []})["users"]

    @property
    def user_findings(self) -> list[Json]:
        return read(self.user, {"findings": []})["findings"]

    def listed(self, kind: str) -> list[Json]:
        """Return nothing where the kind could not be read."""
        return read(self.runpod[kind], [])

    def was_read(self, kind: str) -> bool:
        return not isinstance(self.runpod[kind], Failure)

    @property
    def expiry(self) -> dict[str, str]:
        """Return id of a credential -> when its token ends, by the store."""
        stores = [each["secret_store"] for each in self.users if each["secret_store"]]
        return {token["registry_id"]: token["expires_at"] for store in stores for token in store["tokens"]}

    def delegations(self, arn: str) -> list[Json]:
        return [each for each in self.listed("delegations") if each["repository_arn"] == arn]

    def account_id(self, desired: DesiredState) -> str:
        """Where nobody tells, return the account of the first image."""
        pulls = [each["arn"] for each in self.users] if desired.by_user else []
        known = [*pulls, *([self.identity] if isinstance(self.identity, str) else []), *desired.repositories]
        return str(known[0].split(":")[4])

    def credential_names(self, desired: DesiredState) -> dict[str, str]:
        """Return region -> name."""
        if desired.access != "credential":
            return {}
        account = self.account_id(desired)
        return {region: desired.credential_name(region, account) for region in desired.regions}

    def current(self, desired: DesiredState, region: str) -> list[Json]:
        """Return the region's credentials: two during a replacement."""
        name = self.credential_names(desired).get(region)
        return [each for each in self.listed("registries") if logical(each["name"]) == name]

    def cut_off(self, desired: DesiredState, item: Json) -> bool:
        """Return whether RunPod lacks the credential or the delegation."""
        if desired.access == "credential":
            return self.was_read("registries") and not self.current(desired, item["region"])
        by_delegation = desired.access == "delegation" and self.was_read("delegations")
        return by_delegation and not self.delegations(item["repository_arn"])

    def pullable(self, desired: DesiredState, item: Json) -> bool | None:
        """Return None where nothing tells."""
        image = self.public_images.get(item["image"], item["image"])
        return next((each["pullable"] for each in read(self.proof, []) if each["image"] == image), None)


def read(found: Any, default: Any) -> Any:
    return default if found is None or isinstance(found, Failure) else found


def guarded(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except CollectionError as error:
        return Failure.of(error)
