"""Amazon ECR's registry: an OCI distribution registry in a folder, as a WSGI application and as an object."""

from emulator.data.registry.errors import Denied, RegistryError, Unauthorized
from emulator.data.registry.manifests import Manifest
from emulator.data.registry.registry import Deletion, Registry
from emulator.data.registry.repositories import Image

__all__ = ["Deletion", "Denied", "Image", "Manifest", "Registry", "RegistryError", "Unauthorized"]
