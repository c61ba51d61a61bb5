#!/usr/bin/python
# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecr_token_sink
short_description: Keep a fresh ECR token where something other than a RunPod template needs it
description:
  - Mints an ECR token as the pull user that M(gpuops.runpod.ecr_pull_user) made, with the key from the secret store,
    and writes it in place to the target that O(type) names. For RunPod's registry credentials there is
    M(gpuops.runpod.runpod_ecr_credential).
  - The target itself says until when its token works and with which access key it was made. The token is fresh, and
    nothing is written, when it works for O(min_validity_hours) more, was made with the key that is in the entry now,
    and nothing else has written it since. What is not known is refreshed.
  - When O(secret_store) is not set, the token is minted as the caller, and is fresh as long as the same user or role
    runs this.
  - A token opens the registries of one region, in every account where its owner has rights.
  - What others have in the target stays as it is. With O(state=absent), what something else has written stays too,
    which is a warning.
  - In check mode the findings are an audit of the target.
author: The gpuops.runpod authors (@gpuops)
version_added: 1.0.0
extends_documentation_fragment:
  - gpuops.runpod.runpod
  - gpuops.runpod.secret_store
  - gpuops.runpod.attributes
  - gpuops.runpod.attributes.both_groups
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - gpuops.runpod.aws
options:
  type:
    description: What receives the token. The option of the same name says which one.
    type: str
    required: true
    choices:
      - awx
      - docker_config
      - kubernetes
      - runpod_secret
  awx:
    description:
      - The credential of the type Container Registry with which AWX, or Ansible Automation Platform, pulls execution
        environments. Required with O(type=awx).
      - Its description says what is in it; what else stands there is kept. AWX never shows a password, but when a
        credential was last changed, so the token is refreshed after any other change of the credential.
      - With O(state=absent), a credential that an execution environment pulls with stays.
    type: dict
    suboptions:
      name:
        description: Name of the credential. It is written, whoever made it.
        type: str
        required: true
      organization:
        description: The organization of the credential.
        type: str
        default: Default
      host:
        description:
          - Address of the controller, or of the platform's gateway, such as C(https://awx.example.com).
          - The environment variable E(CONTROLLER_HOST) or E(AAP_HOSTNAME) is used when this is not set.
        type: str
      oauth_token:
        description:
          - Token of a user who may administer the organization's credentials.
          - The environment variable E(CONTROLLER_OAUTH_TOKEN) or E(AAP_TOKEN) is used when this is not set.
        type: str
      username:
        description:
          - Such a user, in place of a token.
          - The environment variable E(CONTROLLER_USERNAME) or E(AAP_USERNAME) is used when this is not set.
        type: str
      password:
        description:
          - The password of that user.
          - The environment variable E(CONTROLLER_PASSWORD) or E(AAP_PASSWORD) is used when this is not set.
        type: str
      validate_certs:
        description:
          - Whether the certificate is checked.
          - The environment variable E(CONTROLLER_VERIFY_SSL) or E(AAP_VALIDATE_CERTS) is used when this is not set.
        type: bool
        default: true
      ca_path:
        description: Path of a file with the certificates of the authorities to trust.
        type: path
  docker_config:
    description:
      - The file that C(docker login) writes, which podman, skopeo and build tools read too. Required with
        O(type=docker_config), C({}) for the default.
      - Only the entries of the images' registries are written, with a note beside them. Docker drops the note when it
        writes the file for another login, and the next run refreshes the token.
      - A registry that the file leaves to a credential helper, by C(credHelpers) or C(credsStore), is an error, because
        an entry would not be used.
      - The file is replaced at once, and only its owner can read it.
    type: dict
    suboptions:
      path:
        description: Path of the file. It is made, with its folder, when it is not there.
        type: path
        default: ~/.docker/config.json
  kubernetes:
    description:
      - A secret of Kubernetes of the type C(kubernetes.io/dockerconfigjson), which pods name in C(imagePullSecrets).
        Required with O(type=kubernetes).
      - Only the entries of the images' registries are written, and an annotation for each, C(gpuops.runpod/) and the
        host. A secret of another type, or an immutable one, is an error.
      - The API is asked directly, because the modules of kubernetes.core would need the token as an argument. The
        options are named as theirs are.
      - When O(kubernetes.host) is not set, the file O(kubernetes.kubeconfig) says where the cluster is, else
        E(KUBECONFIG) or C(~/.kube/config), else the account of the pod that this runs in.
    type: dict
    suboptions:
      name:
        description: Name of the secret.
        type: str
        required: true
      namespace:
        description: Namespace of the secret, which must exist.
        type: str
        default: default
      kubeconfig:
        description:
          - Path of a kubeconfig file. Reading one takes PyYAML. Tokens, certificates, passwords and credential plugins
            (C(exec), such as C(aws eks get-token)) are taken from it.
          - The environment variable E(K8S_AUTH_KUBECONFIG) is used when this is not set.
        type: path
      context:
        description:
          - The context of the file, when not its current one.
          - The environment variable E(K8S_AUTH_CONTEXT) is used when this is not set.
        type: str
      host:
        description:
          - Address of the cluster's API, such as C(https://cluster.example.com:6443).
          - The environment variable E(K8S_AUTH_HOST) is used when this is not set.
        type: str
      api_key:
        description:
          - Token of the account that writes the secret.
          - The environment variable E(K8S_AUTH_API_KEY) is used when this is not set.
        type: str
      ca_cert:
        description:
          - Path of a file with the certificates of the authorities to trust.
          - The environment variable E(K8S_AUTH_SSL_CA_CERT) is used when this is not set.
        type: path
      client_cert:
        description:
          - Path of a client certificate.
          - The environment variable E(K8S_AUTH_CERT_FILE) is used when this is not set.
        type: path
      client_key:
        description:
          - Path of the key of the client certificate.
          - The environment variable E(K8S_AUTH_KEY_FILE) is used when this is not set.
        type: path
      validate_certs:
        description:
          - Whether the cluster's certificate is checked. When not set, as the kubeconfig says, else it is.
          - The environment variable E(K8S_AUTH_VERIFY_SSL) is used when this is not set.
        type: bool
  runpod_secret:
    description:
      - A secret of the RunPod account, which environment variables refer to. Required with O(type=runpod_secret).
      - Its description says what is in it and when RunPod was given it; what else stands there is kept.
      - With O(state=absent), a secret that the environment of a template, an endpoint or a pod refers to stays.
    type: dict
    suboptions:
      name:
        description: Name of the secret, as M(gpuops.runpod.runpod_secret) takes it.
        type: str
        required: true
      content:
        description:
          - V(password) is the password of C(docker login), whose user is C(AWS).
          - V(docker_config) is a file as C(docker login) writes it, with the images' registries.
        type: str
        choices:
          - password
          - docker_config
        default: password
  image:
    description:
      - URI of an image in a private ECR repository. Its region and its registry count.
      - Exactly one of O(image), O(images) and O(registry_region) is required.
    type: str
  images:
    description: The same for images of several accounts. All must be in one region.
    type: list
    elements: str
  registry_region:
    description:
      - Region of the registry that the token opens, in the account of the secret store's entry, or without one of the
        caller.
    type: str
  verify_images:
    description:
      - URIs of images that the token must be able to pull. This is proved before the target gets the token; where its
        token is fresh, with that one if the target lets it be read, and else with another of the same kind.
      - When one cannot be pulled, the module fails and the target keeps the token that it has.
    type: list
    elements: str
    default: []
  min_validity_hours:
    description:
      - Refresh the token when it works for less than this many hours. More than 0 and less than 12, which is how long a
        token lives.
      - At least twice the interval between two runs lets one run be missed.
    type: float
    default: 9
  force:
    description: Whether to refresh a fresh token too.
    type: bool
    default: false
  propagation_timeout:
    description:
      - Seconds after the key was made, or after the pull user's rights last grew, for which a refusal by AWS only means
        that this has not arrived everywhere. 0 to 3600.
    type: int
    default: 90
  state:
    description: Whether the target holds a token.
    type: str
    choices:
      - present
      - absent
    default: present
attributes:
  idempotent:
    description: A second run with the same options changes nothing.
    support: partial
    details:
      - With O(force=true), each run refreshes the token.
notes:
  - When a refresh fails, the error says how long the token still works that the target holds, and the failed result has
    RV(expires_at).
  - >-
    IAM actions of the caller on the entry: C(secretsmanager:GetSecretValue) and C(secretsmanager:DescribeSecret). With
    O(secret_store.type=ssm) these are C(ssm:GetParameter) and C(ssm:ListTagsForResource).
  - "IAM actions of the pull user, or without O(secret_store) of the caller: C(ecr:GetAuthorizationToken)."
  - With O(verify_images) the registry is asked with the token, whose owner also needs C(ecr:BatchGetImage) and
    C(ecr:GetDownloadUrlForLayer) on the repository.
  - Without O(secret_store) the target gets all the rights that the caller has on the region's repositories. A warning
    names the caller.
  - With O(type=runpod_secret) the RunPod API key needs to read and write secrets, and with O(state=absent) to read
    templates, serverless endpoints and pods. Other types need no API key.
  - With O(type=kubernetes) the account needs to C(get), C(create), C(update) and C(delete) secrets in the namespace.
  - The access key never leaves the module, and the token goes to the target alone. Neither is ever returned or shown.
seealso:
  - module: gpuops.runpod.ecr_pull_user
  - module: gpuops.runpod.runpod_ecr_credential
  - module: gpuops.runpod.runpod_secret
  - module: gpuops.runpod.ecr_pull_check
"""

EXAMPLES = r"""
- name: Ensure there is a pull user whose key is in the secret store
  gpuops.runpod.ecr_pull_user:
    name: runpod-ecr-access
    repositories:
      - 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure docker, podman and skopeo can pull as that user
  gpuops.runpod.ecr_token_sink:
    type: docker_config
    docker_config:
      path: ~/.docker/config.json
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure AWX can pull execution environments as that user
  gpuops.runpod.ecr_token_sink:
    type: awx
    awx:
      name: Execution environments in ECR
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure a cluster can pull as that user
  gpuops.runpod.ecr_token_sink:
    type: kubernetes
    kubernetes:
      namespace: gpu
      name: ecr-pull
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure pods that build images can pull them
  gpuops.runpod.ecr_token_sink:
    type: runpod_secret
    runpod_secret:
      name: ecr-token
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    secret_store:
      name: runpod-ecr/runpod-ecr-access

- name: Ensure that no token is left on this machine
  gpuops.runpod.ecr_token_sink:
    type: docker_config
    docker_config:
      path: ~/.docker/config.json
    image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/runpod-gpu-training:v1
    state: absent
"""

RETURN = r"""
sink:
  description: What the target holds afterwards; a prediction in check mode, V(null) when it holds nothing.
  type: dict
  returned: success
  contains:
    type:
      description: The type of the target.
      type: str
      returned: always
      sample: docker_config
    region:
      description: The region whose registries its token opens.
      type: str
      returned: always
      sample: us-east-1
    registries:
      description: The hosts of these registries for which it holds the token.
      type: list
      elements: str
      returned: always
      sample: [123456789012.dkr.ecr.us-east-1.amazonaws.com]
    expires_at:
      description: The same as RV(expires_at).
      type: str
      returned: always
      sample: "2026-08-01T12:00:00Z"
    target:
      description: Which one it is, by what its kind is known by. No secret is in it.
      type: dict
      returned: always
      sample: {path: /var/lib/builder/.docker/config.json}
expires_at:
  description:
    - Until when its token works, in UTC; V(null) when that is not known, as in check mode before a refresh.
    - When a refresh failed, until when the token works that the target holds.
  type: str
  returned: success, and when a refresh failed
  sample: "2026-08-01T12:00:00Z"
refreshed:
  description: Whether a new token was or, in check mode, would be written.
  type: bool
  returned: success
  sample: true
findings:
  description: What was wrong with the target before, which is why it was or would be refreshed.
  type: list
  elements: dict
  returned: success
  contains:
    code:
      description: >-
        V(sink_missing), V(sink_unknown), V(sink_expired), V(sink_ends_soon), V(sink_of_another) or V(sink_drift).
      type: str
      returned: always
      sample: sink_ends_soon
    severity:
      description: V(error) when nothing can be pulled with what the target holds, else V(warning).
      type: str
      returned: always
      sample: warning
    cause:
      description: What is wrong.
      type: str
      returned: always
      sample: The token in /var/lib/builder/.docker/config.json ends at 2026-08-01T12:00:00Z.
    remedy:
      description: What to do.
      type: str
      returned: always
      sample: Run this task outside check mode, and every four hours at least.
images:
  description: Reports on O(verify_images), as M(gpuops.runpod.ecr_pull_check) returns them.
  type: list
  elements: dict
  returned: success
  sample: []
"""

from functools import partial

from ..module_utils._aws.client import aws_client
from ..module_utils._aws.module import AwsModule
from ..module_utils._aws.store_options import STORE_OPTIONS
from ..module_utils._core.module import execute
from ..module_utils._ecr.pull_check import registry_opener
from ..module_utils._ecr.token_proof import token_proof
from ..module_utils._oci.registry_client import Registry
from ..module_utils._runpod.connection import ARGUMENTS
from ..module_utils._sink.targets import OPTIONS, SINKS, connected
from ..module_utils._sink.token_sink import Clients, run

REGIONS = ("image", "images", "registry_region")


def connect(module: AwsModule) -> Clients:
    """Return the clients that the module's options describe, with the proof that ECR's side knows to give."""
    opener = registry_opener(module.params["validate_certs"], module.params["aws_ca_bundle"])
    aws = aws_client(module)
    who = "the pull user" if module.params["secret_store"] else "the caller"
    verify = token_proof(aws, partial(Registry, opener), who, module.check_mode)
    return Clients(aws, partial(connected, module), verify)


def main() -> None:
    spec = {
        **ARGUMENTS,
        **OPTIONS,
        "image": {"type": "str"},
        "images": {"type": "list", "elements": "str"},
        "registry_region": {"type": "str"},
        "secret_store": {"type": "dict", "options": STORE_OPTIONS, "no_log": False},
        "verify_images": {"type": "list", "elements": "str", "default": []},
        "min_validity_hours": {"type": "float", "default": 9},
        "force": {"type": "bool", "default": False},
        "propagation_timeout": {"type": "int", "default": 90},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }
    module = AwsModule(
        argument_spec=spec,
        required_if=[("type", name, [name]) for name in SINKS],
        required_one_of=[REGIONS],
        mutually_exclusive=[REGIONS],
        supports_check_mode=True,
    )
    execute(module, run, "sink", connect)


if __name__ == "__main__":
    main()
