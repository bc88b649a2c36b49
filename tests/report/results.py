"""Results made by hand, no two axes of equal length."""

from typing import Any

import numpy as np

from jptycho.data.results import Result


def made_up(slices: int = 2, modes: int = 3, seed: int = 0, **changes: Any) -> Result:
    """Random numbers where a reconstruction has its own; the field of view is not in the middle."""
    rng = np.random.default_rng(seed)
    probe = (rng.normal(size=(modes, 18, 24)) + 1j * rng.normal(size=(modes, 18, 24))) * 0.5 ** np.arange(modes)[
        :, None, None
    ]
    parts: dict[str, Any] = {
        "phase": rng.normal(size=(slices, 40, 50)),
        "absorption": None,
        "probe": probe,
        "positions": rng.uniform(size=(6, 2)),
        "history": {
            "stage": np.array(["half sets", "half sets", "dgp"]),
            "epoch": np.array([1, 2, 1]),
            "loss": np.array([0.5, 0.25, 0.03125]),
            "amplitude_error": np.array([0.3, 0.2, 0.125]),
            "seconds": np.array([1.0, 2.0, 7.25]),
        },
        "measured": rng.uniform(0, 9, (18, 24)),
        "modelled": rng.uniform(0, 4, (18, 24)),
        "field_of_view": (5, 35, 8, 44),
        "attributes": {
            "length_unit": "Å",
            "sampling": np.array([0.4, 0.25]),
            "method": "dgp",
            "status": "done",
            "members": 3,
            "ensemble_resolution": 1.25,
        },
    }
    return Result(**(parts | changes))
