"""The user's model and data, checked and made ready to be explained many times."""

from explainers.prepare.cache import forget, prepare
from explainers.prepare.model import PreparedModel

__all__ = ["PreparedModel", "forget", "prepare"]
