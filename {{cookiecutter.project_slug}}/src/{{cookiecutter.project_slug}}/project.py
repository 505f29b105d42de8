"""project: hands the parts of this project to the machinery, each imported where it is used.

The service makes features without pandas, and a stage that needs one part starts sooner without the
others: so nothing is imported at the top.
"""

from types import ModuleType

from machinery.pipeline.project import Project


class ThisProject(Project):
    """The three modules that are yours."""

    def source(self) -> ModuleType:
        """Source files to one raw table."""
        from . import source

        return source

    def features(self) -> ModuleType:
        """One function a feature."""
        from . import features

        return features

    def candidates(self) -> ModuleType:
        """The models that compete."""
        from . import candidates

        return candidates
