"""The interface between a project and the machinery."""

from abc import ABC, abstractmethod
from types import ModuleType


class Project(ABC):
    """The parts that differ from project to project.

    Each part is a module that is imported only when it is used, which keeps stages and the service
    fast to start.
    """

    @property
    def package(self) -> str:
        """The name of the package, such as `sales_forecast`."""
        return type(self).__module__.partition(".")[0]

    @property
    def command(self) -> str:
        """The name of the command line, such as `sales-forecast`."""
        return self.package.replace("_", "-")

    @abstractmethod
    def source(self) -> ModuleType:
        """The module whose `read(folder, *, until, **ingest.source)` returns the raw table."""

    @abstractmethod
    def features(self) -> ModuleType:
        """The module whose tagged functions are the features."""

    @abstractmethod
    def candidates(self) -> ModuleType:
        """The module whose CANDIDATES maps a name to a function of the task."""
