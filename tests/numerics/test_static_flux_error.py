"""Errors of fluxes upon light that a difference does not take away whole."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.static_flux_error import error_with_static_light


def test_unknown_light_is_none():
    """A place without a template flux keeps its error."""
    error = error_with_static_light(np.array([4.0, 4.0]), static_flux=np.array([np.nan, 300.0]), relative_error=0.01)
    assert error == pytest.approx([4.0, 5.0])
