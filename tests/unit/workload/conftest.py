# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs in this process, against the sandbox of the system tests."""

from __future__ import annotations

from tests.system.conftest import archives, house, nothing_leaks, sandbox, within_the_document

__all__ = ["archives", "house", "nothing_leaks", "sandbox", "within_the_document"]
