# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the entry as a SecureString of AWS Systems Manager's parameter store.

from __future__ import annotations

import re
from datetime import timedelta
from hashlib import sha256
from secrets import token_hex
from typing import Any

from .._core.errors import ConflictError, Json
from .._core.finding import as_option, as_tag
from .._core.time import retry_until
from .client import tolerating
from .secret_entry import MANAGED, Entry, decode, encode
from .secret_store import PUT_BACK, SecretStore, tag_list

SETTLING = timedelta(seconds=10)  # until a new parameter can be read


class ParameterStore(SecretStore):
    """A SecureString of Systems Manager. Deletion is immediate, so no entry is ever `deleted`."""

    SERVICE = "ssm"
    TITLE = "AWS Systems Manager Parameter Store"
    FOLDER = "/runpod-ecr/"
    # AWS counts the head of the ARN into its 1,011 characters; this leaves room for the longest.
    NAME = re.compile(r"(?!/?(?i:aws|ssm))(?=.{1,940}$)([A-Za-z0-9_.-]+|(/[A-Za-z0-9_.-]+){1,15})")
    NAME_RULE = (
        "up to 940 of A-Z, a-z, 0-9 and _.-, in up to 15 levels that each start with a /, or without any /; neither "
        "aws nor ssm may be what it starts with"
    )
    GONE = "ParameterNotFound"
    UNSETTLED = frozenset({"ParameterNotFound", "ParameterVersionNotFound"})

    def arn(self, partition: str, account: str) -> str:
        return f"arn:{partition}:ssm:{self.region}:{account}:parameter/{self.name.removeprefix('/')}"

    @staticmethod
    def claim_command(region: str, name: str, user: str) -> str:
        return (
            f"aws ssm add-tags-to-resource --region{as_option(region)} --resource-type Parameter "
            f"--resource-id{as_option(name)} --tags {as_tag(MANAGED, user)}"
        )

    @staticmethod
    def overwrite_command(region: str, name: str, value: str) -> str:
        return (
            f"aws ssm put-parameter --region{as_option(region)} --name{as_option(name)} --type SecureString "
            f"--overwrite --value{as_option(value)}"
        )

    def read(self) -> Entry | None:
        with tolerating(self.GONE):
            parameter = self._get(self.name)
            if parameter["Type"] != "SecureString":
                raise ConflictError(
                    f"The parameter {self.name} has the type {parameter['Type']}, which is not encrypted: name another "
                    "entry in secret_store, or remove this one."
                )
            return decode(parameter["ARN"], parameter["Value"])._replace(version=version_of(parameter))
        return None

    def tags(self) -> dict[str, str]:
        with tolerating("InvalidResourceId"):
            answer = self._call("list_tags_for_resource", **self._resource())
            return {tag["Key"]: tag["Value"] for tag in answer["TagList"]}
        return {}

    def create(self, user: str, wanted: Entry) -> Entry | None:
        """Unlike Secrets Manager, this one does not know a call that is sent again."""
        value = encode(wanted, run=token_hex(8))
        with tolerating("ParameterAlreadyExists"):
            self._put(value, Description=self._description(user), Tags=tag_list({**self.user_tags, MANAGED: user}))
        with tolerating(self.GONE):
            parameter = retry_until(self.aws, self.aws.clock() + SETTLING, lambda: self._get(self.name), self.UNSETTLED)
            if parameter["Value"] == value:
                return wanted._replace(arn=parameter["ARN"], version=version_of(parameter))
        return None

    def put(self, entry: Entry, wanted: Entry) -> Entry | None:
        """A write cannot depend on what is there, so one that replaced another run's value puts it back."""
        if not self._holds(entry):
            return None
        value = encode(wanted, run=token_hex(8))
        number = self._overwrite(value) - 1
        if number == 0:
            return None
        former = f"{self.name}:{number}"
        replaced = retry_until(self.aws, self.aws.clock() + SETTLING, lambda: self._get(former), self.UNSETTLED)
        if is_version(replaced, entry) or replaced["Value"] == value:  # the latter when the write was sent twice
            return wanted._replace(version=version_of({"Version": number + 1, "Value": value}))
        self._overwrite(replaced["Value"])
        return None

    def tag(self, tags: dict[str, str]) -> None:
        self._call("add_tags_to_resource", **self._resource(), Tags=tag_list(tags))

    def untag(self, names: list[str]) -> None:
        self._call("remove_tags_from_resource", **self._resource(), TagKeys=names)

    def restore(self) -> None:
        """There is nothing to restore, ever."""

    def delete(self) -> None:
        with tolerating(self.GONE):
            self._call("delete_parameter", Name=self.name)

    def _overwrite(self, value: str) -> int:
        """Return the value's number; a parameter that was deleted meanwhile, and so made anew, is removed."""
        number = self._put(value, Overwrite=True)["Version"]
        if number == 1:
            self.delete()
        return number

    def _holds(self, entry: Entry) -> bool:
        """Return whether the value is the known one, or so again once another run has put it back."""
        if self._is(entry):
            return True
        self.aws.sleep(PUT_BACK)
        return self._is(entry)

    def _is(self, entry: Entry) -> bool:
        with tolerating(self.GONE):
            return is_version(self._get(self.name), entry)
        return False

    def _get(self, name: str) -> Json:
        return self._call("get_parameter", Name=name, WithDecryption=True)["Parameter"]

    def _put(self, value: str, **options: Any) -> Json:
        """Each write names its key: without one the default key would encrypt it."""
        key = {"KeyId": self.kms_key_id} if self.kms_key_id else {}
        return self._call("put_parameter", Name=self.name, Value=value, Type="SecureString", **key, **options)

    def _resource(self) -> Json:
        return {"ResourceType": "Parameter", "ResourceId": self.name}


def version_of(parameter: Json) -> str:
    return f"{parameter['Version']} {sha256(parameter['Value'].encode()).hexdigest()}"


def is_version(parameter: Json, entry: Entry) -> bool:
    """Return whether a parameter is what the entry was read from, or that value put back.

    A value without a note or lock may come again, so it goes by its number alone.
    """
    number, digest = entry.version.split()
    unique = entry.lock is not None or entry.pending is not None
    return version_of(parameter).split()[0] == number or (unique and version_of(parameter).split()[1] == digest)
