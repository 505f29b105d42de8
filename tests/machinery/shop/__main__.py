"""Run a stage of the shop."""

from machinery.pipeline.run import main

from .project import Shop

if __name__ == "__main__":
    main(Shop())
