"""What the table of sources says of each."""

from astropy.table import Table

from diapipe.report.rows import flag_words


def test_only_what_was_put_in_there_is_called_injected():
    """The footprint of a bleeding row may hold an injected source a hundred pixels away; what fades is one as well."""
    sources = Table(
        {
            "pixelFlags_injected": [True, True, False],
            "pixelFlags_injectedCenter": [False, True, False],
            "pixelFlags_injected_templateCenter": [False, False, True],
            "pixelFlags_edge": [True, False, False],
        }
    )
    assert flag_words(sources) == [["edge"], ["injected"], ["injected"]]
