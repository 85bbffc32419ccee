"""Why an image was convolved."""

from __future__ import annotations

from diapipe.images import Difference
from diapipe.steps.summarize.parts import MatchLike


def why_convolved(match: MatchLike, difference: Difference) -> str:
    """Which image was convolved, and why; of a proper difference both were, and the match relates the stars only."""
    if difference.template_filter is None:
        return match.reason
    convolved, other = "template", "science image"
    if match.convolved == "science":
        convolved, other = other, convolved
    return (
        "both images were filtered, each with what the PSF of the other asks for; "
        f"the kernel that relates their stars is that from the {convolved} to the {other}"
    )
