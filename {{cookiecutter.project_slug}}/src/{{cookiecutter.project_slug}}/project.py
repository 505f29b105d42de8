"""project: hands the parts of this project to the machinery, each imported where it is used.

The service makes features without pandas, and a stage that needs one part starts sooner without the
others: so nothing is imported at the top.
"""

from types import ModuleType

from machinery.pipeline.project import Project


class ThisProject(Project):
    """The three modules that are yours."""

    def source(self) -> ModuleType:
        from . import source

        return source

    def features(self) -> ModuleType:
        from . import features

        return features

    def candidates(self) -> ModuleType:
        from . import candidates

        return candidates
