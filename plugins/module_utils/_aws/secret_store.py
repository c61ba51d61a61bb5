# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: only these classes touch the entry with the pull user's key, whose secret goes straight
# into an AWS client.

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from datetime import timedelta
from hashlib import sha256
from secrets import token_hex
from typing import Any, ClassVar
from uuid import NAMESPACE_OID, uuid5

from .._core.errors import AwsError, ConflictError, InputError, Json
from .._core.finding import as_option, as_tag
from .._core.time import retry_until
from .client import Aws, tolerating
from .resource_tags import check_tags
from .secret_entry import MANAGED, OURS, Entry, decode, encode, is_busy, not_ours

PUT_BACK = 2.0  # seconds in which a run puts back a value that it should not have replaced
SETTLING = timedelta(seconds=10)  # until a new parameter can be read


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


class SecretsManager(SecretStore):
    SERVICE = "secretsmanager"
    TITLE = "AWS Secrets Manager"
    FOLDER = "runpod-ecr/"
    NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
    NAME_RULE = "up to 512 of A-Z, a-z, 0-9 and /_+=.@-"
    GONE = "ResourceNotFoundException"

    def arn(self, partition: str, account: str) -> str:
        return f"arn:{partition}:secretsmanager:{self.region}:{account}:secret:{self.name}"

    @staticmethod
    def claim_command(region: str, name: str, user: str) -> str:
        return (
            f"aws secretsmanager tag-resource --region{as_option(region)} --secret-id{as_option(name)} "
            f"--tags {as_tag(MANAGED, user)}"
        )

    @staticmethod
    def overwrite_command(region: str, name: str, value: str) -> str:
        return (
            f"aws secretsmanager put-secret-value --region{as_option(region)} --secret-id{as_option(name)} "
            f"--secret-string{as_option(value)}"
        )

    def read(self) -> Entry | None:
        try:
            answer = self._call("get_secret_value", SecretId=self.name)
        except AwsError as error:
            if error.code == self.GONE:
                return None
            if being_deleted(error):
                return Entry(self._call("describe_secret", SecretId=self.name)["ARN"], deleted=True)
            raise
        if "SecretBinary" in answer:
            raise not_ours(answer["ARN"])
        return decode(answer["ARN"], answer["SecretString"])._replace(version=answer["VersionId"])

    def tags(self) -> dict[str, str]:
        with tolerating(self.GONE):
            answer = self._call("describe_secret", SecretId=self.name)
            return {tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])}
        return {}

    def create(self, user: str, wanted: Entry) -> Entry | None:
        options = {"KmsKeyId": self.kms_key_id} if self.kms_key_id else {}
        try:
            answer = self._call(
                "create_secret",
                Name=self.name,
                Description=self._description(user),
                SecretString=encode(wanted),
                Tags=tag_list({**self.user_tags, MANAGED: user}),
                **options,
            )
        except AwsError as error:
            if error.code == "ResourceExistsException" or being_deleted(error):
                return None
            raise
        return wanted._replace(arn=answer["ARN"], version=answer["VersionId"])

    def put(self, entry: Entry, wanted: Entry) -> Entry | None:
        """A version's id follows from the one before, and AWS takes one value only for an id."""
        try:
            answer = self._call(
                "put_secret_value",
                SecretId=self.name,
                SecretString=encode(wanted, run=token_hex(8)),
                ClientRequestToken=str(uuid5(NAMESPACE_OID, entry.version)),
            )
        except AwsError as error:
            if error.code in {"ResourceExistsException", self.GONE} or being_deleted(error):
                return None
            raise
        return wanted._replace(version=answer["VersionId"])

    def tag(self, tags: dict[str, str]) -> None:
        self._call("tag_resource", SecretId=self.name, Tags=tag_list(tags))

    def untag(self, names: list[str]) -> None:
        self._call("untag_resource", SecretId=self.name, TagKeys=names)

    def restore(self) -> None:
        with tolerating(self.GONE):
            self._call("restore_secret", SecretId=self.name)

    def delete(self) -> None:
        with tolerating(self.GONE):
            self._call("delete_secret", SecretId=self.name, ForceDeleteWithoutRecovery=True)


def being_deleted(error: AwsError) -> bool:
    return error.code == "InvalidRequestException" and "delet" in error.text


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


def read_with_key(store: SecretStore, propagation_timeout: float) -> Entry | None:
    """Return the entry; a run that is making its key gets the time for that."""
    aws, pause = store.aws, 1.0
    entry = store.read()
    while entry and not entry.key and is_busy(entry, aws.clock(), propagation_timeout):
        aws.sleep(pause)
        pause = min(pause * 2, 8.0)
        entry = store.read()
    return entry


STORES: dict[str, type[SecretStore]] = {"secretsmanager": SecretsManager, "ssm": ParameterStore}


def store_of(aws: Aws, options: Json, user: str | None = None) -> SecretStore:
    """Return the store of the option; without a name, the user's default entry."""
    kind = STORES[options["type"]]
    name = options["name"] or (f"{kind.FOLDER}{user}" if user else None)
    if not name:
        raise InputError("secret_store needs a name: that of the entry which ecr_pull_user made.")
    if not kind.NAME.fullmatch(name):
        raise InputError(f"secret_store.name: {kind.TITLE} takes no entry {name!r}, but {kind.NAME_RULE}.")
    tags = {key: str(value) for key, value in (options["tags"] or {}).items()}
    reserved = sorted(key for key in tags if key.startswith(OURS))
    if reserved:
        raise InputError(
            f"secret_store.tags: {', '.join(reserved)}: names that start with {OURS} are this collection's."
        )
    check_tags("secret_store.tags", tags)
    return kind(aws, name, options["region"] or aws.region, options["kms_key_id"], tags)
