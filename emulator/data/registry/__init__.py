"""Amazon ECR's registry: an OCI distribution registry in a folder, as an object and as a WSGI application over it."""

from emulator.data.registry.endpoints import Endpoints
from emulator.data.registry.errors import Denied, RegistryError, Unauthorized
from emulator.data.registry.manifests import Manifest
from emulator.data.registry.registry import Deletion, Registry
from emulator.data.registry.repositories import Image

__all__ = ["Deletion", "Denied", "Endpoints", "Image", "Manifest", "Registry", "RegistryError", "Unauthorized"]
