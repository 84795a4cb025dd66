# SPDX-License-Identifier: MIT
"""The files that Frama-C proves, and broken ones that it must not."""


def jobs():
    return []
