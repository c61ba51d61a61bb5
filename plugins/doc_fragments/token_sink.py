# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

from textwrap import indent

TARGETS = """\
type:
  description: What receives the token. The option of the same name tells which one.
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
      environments. Required with C(type=awx).
    - Its description says what is in it; what else stands there is kept. AWX never shows a password, but when a
      credential was last changed, so the token is refreshed after any other change of the credential.
    - A credential that an execution environment pulls with is never removed.
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
      C(type=docker_config), C({}) for the default.
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
      Required with C(type=kubernetes).
    - Only the entries of the images' registries are written, and an annotation for each, C(gpuops.runpod/) and the
      host. A secret of another type, or an immutable one, is an error.
    - The API is asked directly, because the modules of kubernetes.core would need the token as an argument. The
      options are named as theirs are.
    - When C(host) is not set, the file C(kubeconfig) says where the cluster is, else
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
    - A secret of the RunPod account, which environment variables refer to. Required with C(type=runpod_secret).
    - Its description says what is in it and when RunPod was given it; what else stands there is kept.
    - A secret that the environment of a template, an endpoint or a pod refers to is never removed.
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
"""
IMAGES = """\
image:
  description:
    - URI of an image in a private ECR repository, whose registry the token opens.
    - When neither this nor another of these is set, the images of the workloads.
  type: str
images:
  description: The same for images of several accounts. All must be in one region.
  type: list
  elements: str
registry_region:
  description: Region of the registry that the token opens, in the account of the pull user.
  type: str
"""


class ModuleDocFragment:
    """What receives a token; mirrors OPTIONS in module_utils/_sink/targets.py."""

    DOCUMENTATION: str
    AUDITED: str


# Not in the class, where ansible-test's yamllint takes nothing but literals.
ModuleDocFragment.DOCUMENTATION = f"options:\n{indent(TARGETS, '  ')}"
ModuleDocFragment.AUDITED = f"""\
options:
  token_sinks:
    description:
      - Targets that M(gpuops.runpod.ecr_token_sink) keeps fresh tokens of the pull user in. Each is looked at, and what
        is wrong with it is among the findings.
    type: list
    elements: dict
    suboptions:
{indent(TARGETS + IMAGES, "      ")}
"""
