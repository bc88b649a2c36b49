"""What each effect of the model costs: seconds of an epoch in those of a plain one, and whether it is free where off.

    python benchmarks/effect_cost.py [names ...] [--patterns 16] [--window 32] [--repeats 3]

A scan of so many times so many patterns, one mode, three slices. An epoch is one of the gradient, compiled before
the clock runs; the best of so many. Operations are those of XLA's own analysis of the compiled epoch. The plain model
is measured first in every call, named or not.
"""

from __future__ import annotations

import argparse
from typing import Any

PLAIN = "plain"
SLICES = {"object": {"slices": 3, "slice_thickness": 10.0}}
EFFECTS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "descan": {"refine": {"descan": "free"}},
    "flux": {"refine": {"flux": "free"}},
    "background": {"refine": {"background": "pixels"}},
    "point_spread": {"refine": {"point_spread": 0.5}},
    "thickness": {"refine": {"thickness": True}},
    "slice_gaps": {"refine": {"slice_gaps": True}},
    "tilt, global": {"refine": {"tilt": "global"}},
    "tilt, smooth": {"refine": {"tilt": "smooth"}},
    "probe_variation, 2": {"refine": {"probe_variation": 2}},
    "source, 3 modes": {"probe": {"modes": 3, "source_size": 0.3}, "refine": {"source_size": True}},
    "focal_spread, 5": {"probe": {"focal_points": 5}, "refine": {"focal_spread": True}},
    "fly, 5": {"probe": {"fly": [0.0, 0.5]}},
    "object_states, 4": {"refine": {"object_states": 4}},
}


def main() -> None:
    """Measure what is asked for and add it to ``results/effect_cost.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(EFFECTS))
    parser.add_argument("--patterns", type=int, default=16, help="along each axis of the scan")
    parser.add_argument("--window", type=int, default=32, help="detector pixels along each axis")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    from record import add

    import jptycho

    side = (options.patterns, options.patterns)
    scan = jptycho.simulate_gold(scan_shape=side, detector=(options.window, options.window), dose=1e4)
    plain = measured(scan, EFFECTS[PLAIN], options.repeats)
    for name in dict.fromkeys([PLAIN, *options.names]):
        row = dict(plain) if name == PLAIN else measured(scan, EFFECTS[name], options.repeats)
        row["of plain"] = {key: round(row[key] / plain[key], 2) for key in ("cpu_seconds", "operations")}
        add("effect_cost", f"{name}, {options.patterns} x {options.patterns} of {options.window}²", row)
        print(name, row, flush=True)


def measured(scan: Any, changes: dict[str, Any], repeats: int) -> dict[str, Any]:
    """CPU seconds of a compiled epoch, and its operations."""
    import jax
    from record import Clock

    from jptycho.assembly.build import build_solver
    from jptycho.assembly.extension import Extension
    from jptycho.assembly.listed import model_of
    from jptycho.assembly.unknowns import begun
    from jptycho.config.run import with_changes
    from jptycho.parallel import make_mesh
    from jptycho.preprocess.prepare import prepare
    from jptycho.representations.base import initialise
    from jptycho.solvers.base import distribute, init_state

    rates = {"batch": 16, "object_rate": 1e-2, "probe_rate": 1e-2, "preconditioner": {"gain": 1.0, "cutoff": 0.1}}
    config = with_changes(None, SLICES | changes | {"pixels": rates, "loss": "poisson"})
    model, probe = model_of(config, Extension()), config.probe
    problem = begun(config, prepare(scan, config.object.spec(), probe.modes, source_size=probe.source_size), model)
    mesh = make_mesh(jax.devices()[:1])
    solver = build_solver(config, problem, mesh, 10, model)
    params, constants = initialise(solver.model, jax.random.key(0), problem.estimate)
    data = distribute(problem.counts, problem.setup, mesh)
    state = init_state(solver, mesh, params, constants, jax.random.key(1))
    program = jax.jit(lambda now: solver.epoch(mesh, now, constants, data)).lower(state).compile()
    seconds = []
    for _ in range(repeats + 1):
        clock = Clock()
        jax.block_until_ready(program(state))
        seconds.append(clock.read()["cpu"])
    return {"cpu_seconds": min(seconds[1:]), "operations": float((program.cost_analysis() or {}).get("flops", 0.0))}


if __name__ == "__main__":
    main()
