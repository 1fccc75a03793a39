"""The names that others may rely on, held so that none is lost by accident."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import pkgutil

import pytest

PUBLIC = {
    "edge_dwsep": {"__version__", "build"},
    "edge_dwsep.models": {"ARCHITECTURES", "Architecture", "architecture", "build"},
    "dwsep_runtime": {"__version__"},
    "dwsep_devices": {
        "Device",
        "DeviceError",
        "LocalDevice",
        "PermanentDeviceError",
        "Setup",
        "TransientDeviceError",
        "device_names",
        "open_device",
        "opened",
        "prepared",
        "push_blob",
        "run_job",
        "start",
    },
    "dwsep_export": {
        "RECIPES",
        "Artifact",
        "BrokenPromise",
        "Calibration",
        "CalibrationImages",
        "ConversionError",
        "ExportRequest",
        "Format",
        "InvalidRecipe",
        "Io",
        "Manifest",
        "ModelFacts",
        "OutputNotWritable",
        "Parity",
        "Recipe",
        "Reference",
        "Scheme",
        "StaleArtifact",
        "UnsupportedModel",
        "export_model",
        "load_keras_model",
        "load_manifest",
        "open_artifact",
    },
}
PACKAGES = ("edge_dwsep", "dwsep_export", "dwsep_devices", "dwsep_runtime")


def modules() -> list[str]:
    found = []
    for name in PACKAGES:
        package = importlib.import_module(name)
        found += [item.name for item in pkgutil.walk_packages(package.__path__, f"{name}.")]
    return sorted(name for name in found if not name.endswith("__main__"))


@pytest.mark.parametrize(("module", "names"), PUBLIC.items())
def test_public_names_are_these(module: str, names: set[str]) -> None:
    assert set(importlib.import_module(module).__all__) == names


@pytest.mark.parametrize("module", [*PUBLIC, *modules()])
def test_every_public_name_exists_and_is_documented(module: str) -> None:
    loaded = importlib.import_module(module)
    assert loaded.__doc__
    for name in getattr(loaded, "__all__", ()):
        found = getattr(loaded, name)
        if inspect.isclass(found) or (inspect.isfunction(found) and found.__name__ == name):
            assert found.__doc__, f"{module}.{name}"


def test_versions_agree() -> None:
    import dwsep_runtime
    import edge_dwsep

    assert edge_dwsep.__version__ == dwsep_runtime.__version__ == importlib.metadata.version("edge-dwsep")


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    import dwsep_export
    import edge_dwsep

    for package in (edge_dwsep, dwsep_export):
        with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
            _ = package.nonsense
