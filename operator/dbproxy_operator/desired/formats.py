"""The formats in which this operator can write the configuration of pods.

`config` builds the newest; FORMATS has for each what makes its content of that. In every format
`proxy` and `reportTo` of the settings are the same, so that a pod which reads no more of them still
says which format it reads; and so is what the operator notes for itself. An operator writes the
format of the release before as well, and a proxy reads it: what a rollout mixes goes together.
"""

from collections.abc import Callable

from dbproxy_operator.observe.world import Object


def _newest(content: Object) -> Object:
    return content


FORMATS: dict[int, Callable[[Object], Object]] = {1: _newest}


def written(version: int, content: Object) -> Object:
    """The content in that format, which it names."""
    return {**FORMATS[version](content), "formatVersion": version}
