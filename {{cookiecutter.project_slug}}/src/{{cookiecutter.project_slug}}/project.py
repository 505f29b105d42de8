"""Passes this project's modules to the machinery, each imported on demand.

Nothing is imported at the top: the service computes features without pandas, and a stage that needs
one module starts faster without the others.
"""

from types import ModuleType

from machinery.pipeline.project import Project


class ThisProject(Project):
    """The source, features and candidates of this project."""

    def source(self) -> ModuleType:
        from . import source

        return source

    def features(self) -> ModuleType:
        from . import features

        return features

    def candidates(self) -> ModuleType:
        from . import candidates

        return candidates
