"""A choice from a registry that can also be spoken to as a ConfigurableField: retargeted, and its fields set directly.

LSST documents ``sourceSelector`` as a field that is retargeted; the tasks of ``ip_diffim`` choose it by name.
"""

from __future__ import annotations

from typing import Any

from lsst.pex.config import Config, Registry, RegistryField
from lsst.pex.config.registry import RegistryInstanceDict


class RetargetableChoice(RegistryInstanceDict):  # type: ignore[misc, unused-ignore]
    """The configs of a registry, one of them active; what is asked of the choice itself is asked of that one."""

    def retarget(self, target: Any, ConfigClass: type[Config] | None = None) -> None:
        """Choose a Task; one that the registry does not have is entered under its class name."""
        known = [name for name, own in self.registry.items() if own is target]
        name = known[0] if known else target.__name__
        if not known:
            self.registry.register(name, target, ConfigClass)
        self.name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self[self._selection], name)

    def __setattr__(self, name: str, value: Any, at: Any = None, label: str = "assignment") -> None:
        selected = self.__dict__.get("_selection")
        if selected is not None and not name.startswith("_") and name in self[selected]._fields:
            setattr(self[selected], name, value)
        else:
            RegistryInstanceDict.__setattr__(self, name, value)


class RetargetableRegistryField(RegistryField):  # type: ignore[misc, unused-ignore]
    """A field that holds a `RetargetableChoice`."""

    instanceDictClass = RetargetableChoice

    def _collectImports(self, instance: Config, imports: set[str]) -> None:
        """The modules of the tasks too: a task that was entered is entered again when the file is loaded."""
        RegistryField._collectImports(self, instance, imports)
        imports |= {self.registry[name].__module__ for name in self.__get__(instance)}

    def save(self, outfile: Any, instance: Config) -> None:
        """The choice as a retarget, with what it chooses among."""
        chosen = self.__get__(instance)
        for name in chosen:
            target = self.registry[name]
            outfile.write(f"{instance._name}.{self.name}.retarget({target.__module__}.{target.__name__})\n")
        RegistryField.save(self, outfile, instance)


def choice(registry: Registry, *, doc: str, default: str) -> Any:
    """A field that chooses from a registry, by name or as a target."""
    kind: Any = RetargetableRegistryField
    return kind(doc=doc, registry=registry, default=default)
