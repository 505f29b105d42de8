"""Passes the shop's modules to the machinery."""

from types import ModuleType

from machinery.pipeline.project import Project


class Shop(Project):
    """The project of the machinery's tests."""

    def source(self) -> ModuleType:
        from . import source

        return source

    def features(self) -> ModuleType:
        from . import features

        return features

    def candidates(self) -> ModuleType:
        from . import candidates

        return candidates
