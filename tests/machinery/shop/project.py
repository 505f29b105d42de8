"""project: the parts of the shop."""

from types import ModuleType

from machinery.pipeline.project import Project


class Shop(Project):
    """What the machinery's tests hand over."""

    def source(self) -> ModuleType:
        from . import source

        return source

    def features(self) -> ModuleType:
        from . import features

        return features

    def candidates(self) -> ModuleType:
        from . import candidates

        return candidates
