"""The pipeline of a survey: it loads, and what one task writes is what the next one reads."""

from __future__ import annotations

from importlib import resources

import pytest
from click.testing import CliRunner
from lsst.daf.butler import DimensionUniverse
from lsst.pipe.base import Pipeline

from diapipe.cli.main import cli
from diapipe.cli.run import STEPS
from diapipe.tasks.dataset_names import DP1, dataset_name
from diapipe.tasks.get_template import GetCoaddAsMultiTractTemplateTask
from diapipe.tasks.running.renewal import is_template, reads_template

FILE = str(resources.files("diapipe.tasks.pipelines") / "survey.yaml")
DETECTOR, PATCH = {"instrument", "visit", "detector"}, {"skymap", "tract", "patch"}
DATASETS = {
    "post_isr_image": ({"instrument", "exposure", "detector"}, "DiaExposure"),
    "visit_image": (DETECTOR, "DiaExposure"),
    "single_visit_star": (DETECTOR, "ArrowAstropy"),
    "photometric_scale": ({"instrument", "band"}, "ArrowAstropy"),
    "visit_summary": ({"instrument", "visit"}, "ArrowAstropy"),
    "template_visits": ({*PATCH, "band"}, "ArrowAstropy"),
    "template_warp": ({*PATCH, "instrument", "visit"}, "DiaExposure"),
    "template_coadd": ({*PATCH, "band"}, "DiaExposure"),
    "template_detector": (DETECTOR, "DiaExposure"),
    "difference_image": (DETECTOR, "DiaDifference"),
    "difference_kernel_source": (DETECTOR, "ArrowAstropy"),
    "dia_source": (DETECTOR, "ArrowAstropy"),
    "dia_object": (PATCH, "ArrowAstropy"),
    "dia_source_associated": (PATCH, "ArrowAstropy"),
    "dia_source_rejected": (PATCH, "ArrowAstropy"),
    "dia_object_forced_source_detector": (DETECTOR, "ArrowAstropy"),
    "dia_object_forced_source": (PATCH, "ArrowAstropy"),
    "dia_object_summary": (PATCH, "ArrowAstropy"),
    "template_object": ({*PATCH, "band"}, "ArrowAstropy"),
    "template_object_forced_source": (DETECTOR, "ArrowAstropy"),
    "dia_source_forced_template": (DETECTOR, "ArrowAstropy"),
    "dia_object_forced_template": ({*PATCH, "band"}, "ArrowAstropy"),
    "skyMap": ({"skymap"}, "StructuredDataDict"),
    "camera": ({"instrument"}, "StructuredDataDict"),
}
"""What a survey is made of: dimensions and storage class."""

LABELS = [
    "characterize",
    "photometricScale",
    "visitSummary",
    "selectVisits",
    "makeWarp",
    "assembleCoadd",
    "imageDifference",
    "associate",
    "forcedPhotCoaddDia",
    "forcedPhotCcdDia",
    "combineDiaForced",
    "measureTemplate",
    "forcedPhotCcdTemplateDia",
    "forcedPhotCoaddDiaSrc",
]

OF_A_RUN = {"_config", "_log", "_metadata"}


def pipeline(coaddName=DP1):
    found = Pipeline.from_uri(FILE)
    found.addConfigOverride("parameters", "coaddName", coaddName)
    return found


@pytest.mark.parametrize("coaddName", [DP1, "deep", "goodSeeing"])
def test_producers_and_consumers_agree(coaddName):
    """Every dataset has the dimensions and the storage class of the survey, under its newer or its older name; the
    middleware itself refuses a graph whose tasks contradict each other.
    """
    graph = pipeline(coaddName).to_graph()
    graph.resolve(dimensions=DimensionUniverse(), dataset_types={})
    wanted = {dataset_name(name, coaddName): (set(d), kind) for name, (d, kind) in DATASETS.items()}
    found = {
        node.name: (set(node.dimensions.required), node.storage_class_name)
        for node in graph.dataset_types.values()
        if not any(node.name.endswith(end) for end in OF_A_RUN)
    }
    assert found
    assert found == {name: wanted.get(name) for name in found}


def test_every_task_is_part_of_one_subset():
    """The subsets, run one after the other, are the whole pipeline."""
    found = pipeline()
    subsets = list(found.subsets.values())
    assert sorted(label for labels in subsets for label in labels) == sorted(found.task_labels)


def test_the_pipeline_is_whole():
    """Every task of a survey is in it, and detectors across tracts are covered by all of them."""
    found = pipeline()
    assert list(found.task_labels) == LABELS
    assert list(found.subsets) == [*STEPS, "templatesources", "templatefluxes"]
    config = found.to_graph().tasks["imageDifference"].config
    assert config.getTemplate.target is GetCoaddAsMultiTractTemplateTask


@pytest.mark.parametrize("coaddName", [DP1, "deep"])
def test_light_curves_read_what_forced_photometry_writes(coaddName):
    """One name of the datasets: the original read forced_dia_src, which nobody wrote, and found nothing (A.7)."""
    tasks = pipeline(coaddName).to_graph().tasks
    written = tasks["forcedPhotCcdDia"].outputs["forcedSources"].parent_dataset_type_name
    assert tasks["combineDiaForced"].inputs["forcedSources"].parent_dataset_type_name == written
    on_templates = tasks["forcedPhotCoaddDia"].outputs["forcedSources"].parent_dataset_type_name
    assert tasks["combineDiaForced"].inputs["onTemplates"].parent_dataset_type_name == on_templates
    sources = tasks["measureTemplate"].outputs["templateObjects"].parent_dataset_type_name
    assert tasks["forcedPhotCcdTemplateDia"].inputs["templateObjects"].parent_dataset_type_name == sources


def test_what_is_made_of_the_template_is_no_template():
    """Results that are of a patch, but are made anew where their inputs are: only what is subtracted is a template."""
    graph = pipeline().to_graph()
    graph.resolve(dimensions=DimensionUniverse(), dataset_types={})
    tasks = graph.tasks
    assert [label for label in tasks if is_template(tasks[label])] == ["selectVisits", "makeWarp", "assembleCoadd"]
    assert [label for label in tasks if reads_template(tasks[label])] == ["imageDifference"]


def test_the_command_tells_where_it_is():
    """A path that pipetask takes, also with a subset behind it; without --path the file itself."""
    told = CliRunner().invoke(cli, ["pipeline", "--path"]).output.strip()
    assert list(Pipeline.from_uri(f"{told}#differences").task_labels) == ["imageDifference"]
    assert "imageDifference:" in CliRunner().invoke(cli, ["pipeline"]).output
