# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import Any

with suppress(ImportError):
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

from ansible.module_utils.ansible_release import __version__
from ansible_collections.amazon.aws.plugins.module_utils.botocore import get_aws_connection_info
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import RetryingBotoClientWrapper

from .._core.errors import InputError, Json
from .._core.module import CollectionModule

USER_AGENT = f"APN/1.0 Ansible/{__version__} gpuops.runpod"


class AwsModule(AnsibleAWSModule):
    """Ends as all modules of this collection do. Its clients share one session; amazon.aws makes one for each."""

    def __init__(self, **options: Any) -> None:
        AnsibleAWSModule.default_settings["module_class"] = CollectionModule  # read from nowhere else
        super().__init__(**options)

    @cached_property
    def region(self) -> str | None:
        return super().region

    @cached_property
    def _connection(self) -> tuple[Any, Json]:
        region, endpoint, options = get_aws_connection_info(self)
        session = boto3.session.Session(profile_name=options.pop("profile_name", None))
        return session, {"region": region, "endpoint_url": endpoint, "aws_config": None, **options}

    def client(self, service: str, retry_decorator: Any = None, **given: Any) -> Any:
        """Raise InputError when the options describe no client."""
        try:
            session, options = self._connection
            options = {**options, **given}
            region, config = options.pop("region"), options.pop("aws_config") or Config()
            own = config if isinstance(config, Config) else Config(**config)
            made = session.client(service, region, config=Config(user_agent=USER_AGENT).merge(own), **options)
        except (BotoCoreError, TypeError, ValueError) as error:
            raise InputError(
                f"There is no way to {service} of AWS: {error}. Check profile, region, endpoint_url and aws_config."
            ) from error
        return RetryingBotoClientWrapper(made, retry_decorator) if retry_decorator else made
