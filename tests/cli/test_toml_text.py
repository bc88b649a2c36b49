"""A value is changed in the text of a TOML file, and nothing else is."""

import tomllib

import pytest

from jptycho.cli.toml_text import with_values
from jptycho.errors import ConfigError

TEXT = """# by me, in March
method = "dgp"   # low dose

[data]  # the good one
file = "a#b.h5"       # a sign in a text is no comment
step = [
    1.0,  # slow
    2.0,
]  # both

energy = 3e5
aberrations = { C12 = 3.0, phi12 = 0.1 }

# thick
[object]
slices = 2
step = 3  # of another table
"""


def test_values_change_and_comments_stay():
    changes = {"file": "c.h5", "step": 1.5, "energy": 200e3, "counts": "dp", "transpose": True}
    found = with_values(TEXT, "data", changes)
    assert tomllib.loads(found)["data"] == {**tomllib.loads(TEXT)["data"], **changes}
    for comment in ("# by me, in March", "# low dose", "# the good one", "# a sign in a text is no comment"):
        assert comment in found
    assert "step = 1.5  # both" in found
    assert found[found.index("# thick") :] == TEXT[TEXT.index("# thick") :]
    assert found.index('counts = "dp"') < found.index("# thick")
    assert with_values(TEXT, "data", {}) == TEXT


def test_a_table_that_is_missing_comes_last():
    found = with_values(TEXT, "probe", {"modes": 3})
    assert found.startswith(TEXT)
    assert tomllib.loads(found)["probe"] == {"modes": 3}


@pytest.mark.parametrize("text", ['data = { file = "a" }\n', 'data.file = "a"\n', "data = 3\n"])
def test_what_cannot_be_changed_line_by_line_is_refused(text):
    with pytest.raises(ConfigError, match=r"\[data\]: cannot be changed line by line\. .* and add: step = 2"):
        with_values(text, "data", {"step": 2})
