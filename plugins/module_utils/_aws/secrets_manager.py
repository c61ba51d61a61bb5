# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the entry as a secret of AWS Secrets Manager.

from __future__ import annotations

import re
from secrets import token_hex
from uuid import NAMESPACE_OID, uuid5

from .._core.errors import AwsError
from .._core.finding import as_option, as_tag
from .client import tolerating
from .secret_entry import MANAGED, Entry, decode, encode, not_ours
from .secret_store import SecretStore, tag_list


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
