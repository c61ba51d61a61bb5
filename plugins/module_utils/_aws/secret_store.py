# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what both stores of the pull user's key have in common. Only stores touch the entry, whose
# secret goes straight into an AWS client.

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from .._core.errors import Json
from .client import Aws
from .secret_entry import Entry

PUT_BACK = 2.0  # seconds in which a run puts back a value that it should not have replaced


class SecretStore(ABC):
    """One entry of a store. Raises AwsError, or ConflictError for an entry that is not ours."""

    SERVICE: ClassVar[str]
    TITLE: ClassVar[str]
    FOLDER: ClassVar[str]  # of entries without a given name
    NAME: ClassVar[re.Pattern[str]]
    NAME_RULE: ClassVar[str]

    def __init__(self, aws: Aws, name: str, region: str, kms_key_id: str | None, tags: dict[str, str]) -> None:
        self.aws = aws
        self.name = name
        self.region = region
        self.kms_key_id = kms_key_id
        self.user_tags = tags

    @abstractmethod
    def arn(self, partition: str, account: str) -> str:
        """Return the ARN, without what AWS appends at random."""

    @staticmethod
    @abstractmethod
    def claim_command(region: str, name: str, user: str) -> str:
        """Return the command that makes an existing entry the user's."""

    @staticmethod
    @abstractmethod
    def overwrite_command(region: str, name: str, value: str) -> str:
        """Return the command that replaces what an existing entry holds."""

    def claim(self, user: str) -> str:
        return self.claim_command(self.region, self.name, user)

    @abstractmethod
    def read(self) -> Entry | None:
        """Return None only when the entry is definitely not there; AccessDenied or a KMS error is raised."""

    @abstractmethod
    def tags(self) -> dict[str, str]:
        """Return the entry's tags; one that is not there has none."""

    @abstractmethod
    def create(self, user: str, wanted: Entry) -> Entry | None:
        """Make the entry, tagged as ours.

        The name is a lock: None says that it is taken, by another run or a deletion under way.
        """

    @abstractmethod
    def put(self, entry: Entry, wanted: Entry) -> Entry | None:
        """Replace what `entry` is and return the new entry; None says that another run has written since, whose
        value stands.
        """

    @abstractmethod
    def tag(self, tags: dict[str, str]) -> None:
        """Add or change these tags."""

    @abstractmethod
    def untag(self, names: list[str]) -> None:
        """Drop these tags."""

    @abstractmethod
    def restore(self) -> None:
        """Take the entry out of its recovery window; one that is gone stays gone."""

    @abstractmethod
    def delete(self) -> None:
        """Remove the entry without a recovery window; one that is gone is as good."""

    def _call(self, operation: str, **request: Any) -> Json:
        return self.aws.call(self.SERVICE, operation, region=self.region, **request)

    def _description(self, user: str) -> str:
        return f"Access key of the IAM user {user}, kept by gpuops.runpod"


def tag_list(tags: dict[str, str]) -> list[Json]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
