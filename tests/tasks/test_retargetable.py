"""sourceSelector is spoken to by name and as a target; both are saved and come back."""

from __future__ import annotations

import pytest
from lsst.pex.config import FieldValidationError
from lsst.pipe.base import Struct, Task

from diapipe.tasks import ImageDifferenceConfig, ImageDifferenceTask
from diapipe.tasks.source_selectors import (
    DiaCatalogSourceSelectorTask,
    ObjectSizeStarSelectorConfig,
    ObjectSizeStarSelectorTask,
    sourceSelectorRegistry,
)


class BrightestTask(Task):
    """A selector of a user's own."""

    ConfigClass = ObjectSizeStarSelectorConfig
    _DefaultName = "brightest"

    def run(self, sources, reference=None):
        """The brighter half."""
        return Struct(selected=sources.flux > sorted(sources.flux)[len(sources) // 2])


@pytest.fixture
def registry():
    """The registry as it was, afterwards."""
    yield sourceSelectorRegistry
    sourceSelectorRegistry._dict.pop("BrightestTask", None)


def test_a_selector_is_chosen_by_name_or_as_a_target():
    config = ImageDifferenceConfig()
    config.sourceSelector.retarget(DiaCatalogSourceSelectorTask)
    assert config.sourceSelector.name == "diacatalog"
    config.sourceSelector.grMax = 2.5
    assert config.sourceSelector["diacatalog"].grMax == 2.5
    config.sourceSelector.name = "objectSize"
    assert config.sourceSelector.target is ObjectSizeStarSelectorTask
    config.sourceSelector.widthMin = 1.2
    assert config.sourceSelector.widthMin == config.sourceSelector["objectSize"].widthMin == 1.2
    with pytest.raises(FieldValidationError, match="has no attribute nothing"):
        config.sourceSelector.nothing = 1
    with pytest.raises(AttributeError, match="nothing"):
        _ = config.sourceSelector.nothing


def test_a_task_of_the_user_chooses_the_stars(registry, scene):
    """Its selection makes the kernel; the file that says so brings it back."""
    config = ImageDifferenceConfig()
    config.doSelectSources = True
    config.sourceSelector.retarget(BrightestTask)
    config.sourceSelector.widthMax = 7.0
    task = ImageDifferenceTask(config=config)
    task.run(scene.science, None, scene.template)
    assert isinstance(task.sourceSelector, BrightestTask)
    n = task.metadata["nKernelSources"] + task.metadata["nControlSources"]
    assert n == pytest.approx(len(scene.reference) / 2, abs=0.1 * len(scene.reference))
    saved = config.saveToString()
    del registry._dict["BrightestTask"]
    again = ImageDifferenceConfig()
    again.loadFromString(saved)
    assert again.sourceSelector.target is BrightestTask
    assert again.sourceSelector.widthMax == 7.0
