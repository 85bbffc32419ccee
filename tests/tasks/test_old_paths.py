"""Old configuration lines load, and say where their names are now."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from diapipe.tasks import ImageDifferenceDriverConfig, ImageDifferenceTask, old_paths
from diapipe.tasks.get_template import GetCoaddAsMultiTractTemplateTask

SEED_LINES = """
from lsst.dia.pipe.getMultiTractTemplate import GetCoaddAsMultiTractTemplateTask
config.imageDifference.getTemplate.retarget(GetCoaddAsMultiTractTemplateTask)
"""


@pytest.mark.parametrize(
    ("old", "name"), [(old, name) for old, homes in sorted(old_paths.HOMES.items()) for name in sorted(homes)]
)
def test_every_old_name_is_found(old, name, caplog):
    """What is imported by its old path is the very class of this package; one line says the new path."""
    sys.modules.pop(old, None)
    with caplog.at_level("INFO", logger="diapipe.tasks.old_paths"):
        found = getattr(importlib.import_module(old), name)
    new = old_paths.HOMES[old][name]
    assert found is getattr(importlib.import_module(new), name)
    assert [record.message for record in caplog.records] == [f"{old}.{name} is now {new}.{name}"]


def test_an_old_name_without_a_place_is_told():
    """What diapipe has not built is no silent None."""
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        from lsst.ip.diffim.zogy import Nothing  # noqa: F401
    with pytest.raises(AttributeError, match=r"nothing in place of lsst\.ip\.diffim\.zogy\.Nothing; it has Zogy"):
        importlib.import_module("lsst.ip.diffim.zogy").Nothing  # noqa: B018


def test_what_is_installed_comes_first():
    """The finder is asked last: modules of the middleware stay what they are."""
    assert isinstance(sys.meta_path[-1], old_paths.OldPaths) or any(
        isinstance(finder, old_paths.OldPaths) for finder in sys.meta_path[3:]
    )
    assert "diapipe" not in str(importlib.import_module("lsst.pipe.base").__file__)
    old_paths.install()
    assert sum(isinstance(finder, old_paths.OldPaths) for finder in sys.meta_path) == 1


def test_the_lines_of_the_older_readme_load(tmp_path: Path, caplog):
    """Word for word, as a file: the template comes from all tracts, and the log names the new path."""
    path = tmp_path / "multi_tract.py"
    path.write_text(SEED_LINES)
    sys.modules.pop("lsst.dia.pipe.getMultiTractTemplate", None)
    config = ImageDifferenceDriverConfig()
    with caplog.at_level("INFO", logger="diapipe.tasks.old_paths"):
        config.load(str(path))
    config.validate()
    task = ImageDifferenceTask(config=config.imageDifference.value)
    assert isinstance(task.getTemplate, GetCoaddAsMultiTractTemplateTask)
    assert "is now diapipe.tasks.get_template.GetCoaddAsMultiTractTemplateTask" in caplog.text
    config.save(str(tmp_path / "saved.py"))
    again = ImageDifferenceDriverConfig()
    again.load(str(tmp_path / "saved.py"))
    assert again.imageDifference.getTemplate.target is GetCoaddAsMultiTractTemplateTask


def test_a_saved_file_loads_in_a_new_process(tmp_path: Path):
    """Nothing but the file and the class that it is of is needed, old imports in it included."""
    config = ImageDifferenceDriverConfig()
    config.loadFromString(SEED_LINES)
    config.save(str(tmp_path / "saved.py"))
    program = (
        "from diapipe.tasks import ImageDifferenceDriverConfig as C\n"
        f"c = C(); c.load({str(tmp_path / 'saved.py')!r}); print(c.imageDifference.getTemplate.target.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["GetCoaddAsMultiTractTemplateTask"]


def test_without_the_middleware_one_sentence_says_what_to_install():
    program = "import sys; sys.modules['lsst.pex'] = None\nimport diapipe.tasks"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("ImportError: diapipe.tasks needs the middleware of LSST")
    assert "pip install 'diapipe[pipeline]'" in said


def test_lines_of_a_driver_file_load_and_come_back(tmp_path: Path):
    """The lines that DESC's users have, in a file, and what is saved of them loads into the same configuration."""
    path = tmp_path / "imageDifferenceDriver.py"
    path.write_text(
        "from lsst.ip.diffim.zogy import ZogyImagePsfMatchTask\n"
        "config.ccdKey = 'detector'\n"
        "config.ignoreCcdList = [3, 4]\n"
        "config.imageDifference.subtract.name = 'zogy'\n"
        "config.imageDifference.subtract['al'].kernel.active.spatialKernelOrder = 1\n"
        "config.imageDifference.kernelSourcesFromRef = True\n"
        "config.imageDifference.doSkySources = True\n"
    )
    config = ImageDifferenceDriverConfig()
    config.load(str(path))
    config.validate()
    assert config.takes({"visit": 7, "detector": 5})
    assert not config.takes({"visit": 7, "detector": 4})
    config.save(str(tmp_path / "saved.py"))
    again = ImageDifferenceDriverConfig()
    again.load(str(tmp_path / "saved.py"))
    differences: list[str] = []
    assert again.compare(config, shortcut=False, output=differences.append), differences
    assert not again.compare(ImageDifferenceDriverConfig())


DOCUMENTED_TARGETS = {
    "applyApCorr": "lsst.meas.base.applyApCorr.ApplyApCorrTask",
    "astrometer": "lsst.meas.astrom.astrometry.AstrometryTask",
    "decorrelate": "lsst.ip.diffim.imageDecorrelation.DecorrelateALKernelSpatialTask",
    "detection": "lsst.meas.algorithms.detection.SourceDetectionTask",
    "forcedMeasurement": "lsst.meas.base.forcedMeasurement.ForcedMeasurementTask",
    "getTemplate": "lsst.ip.diffim.getTemplate.GetCoaddAsTemplateTask",
    "measurement": "lsst.ip.diffim.dipoleFitTask.DipoleFitTask",
    "register": "lsst.pipe.tasks.registerImage.RegisterTask",
    "scaleVariance": "lsst.pipe.tasks.scaleVariance.ScaleVarianceTask",
    "skySources": "lsst.meas.algorithms.skyObjects.SkyObjectsTask",
    "sourceSelector": "lsst.meas.algorithms.objectSizeStarSelector.ObjectSizeStarSelectorTask",
    "subtract": "lsst.ip.diffim.imagePsfMatch.ImagePsfMatchTask",
}
"""Defaults of the subtasks on the page of the older task."""


@pytest.mark.parametrize("subtask", DOCUMENTED_TARGETS)
def test_every_documented_default_is_the_default(subtask):
    """By its old path it is found, and it is what the configuration targets."""
    module, _, name = DOCUMENTED_TARGETS[subtask].rpartition(".")
    config = ImageDifferenceDriverConfig().imageDifference
    assert getattr(config, subtask).target is getattr(importlib.import_module(module), name)


def test_the_older_import_of_the_task_works():
    from lsst.ip.diffim.zogy import ZogyImagePsfMatchTask
    from lsst.pipe.tasks.imageDifference import ImageDifferenceConfig, ImageDifferenceTask

    config = ImageDifferenceConfig()
    config.subtract.name = "zogy"
    assert isinstance(ImageDifferenceTask(config=config).subtract, ZogyImagePsfMatchTask)
