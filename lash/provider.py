"""Model providers: the handle that a core is given, the registry of kinds, and what is known of models."""

from lash.host.providers import register_all
from lash.runtime.providers.handle import ProviderHandle
from lash.runtime.providers.models import ModelCatalog, ModelInfo
from lash.runtime.providers.registry import ProviderRegistry, Surroundings

__all__ = ["ModelCatalog", "ModelInfo", "ProviderHandle", "ProviderRegistry", "Surroundings", "register_all"]
