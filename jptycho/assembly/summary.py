"""A run in words: everything that is on, for its start and its report, and advice where it diverges."""

from __future__ import annotations

from collections.abc import Iterator

import jax

from jptycho.assembly.build import SHARED_CHARGE
from jptycho.assembly.devices import pixel_mesh
from jptycho.assembly.dividing import CORRELATED
from jptycho.assembly.extension import PLAIN, Extension, summarise_extension
from jptycho.assembly.focus import doubts_of_points
from jptycho.assembly.found_positions import summarise_search
from jptycho.assembly.listed import listed
from jptycho.assembly.refinable import built_in, known
from jptycho.assembly.solver_checks import USED
from jptycho.config.constraints import penalties_of, projections_of, summarise
from jptycho.config.deep_prior import DGPConfig
from jptycho.config.pixels import GRADIENT
from jptycho.config.run import Config
from jptycho.config.stages import StageConfig, epochs_of
from jptycho.preprocess.detector_gain import UNCERTAIN
from jptycho.preprocess.object_spec import doubts_of_propagation
from jptycho.preprocess.preflight import improbable
from jptycho.preprocess.prepare import Problem
from jptycho.settings import Table
from jptycho.solvers.optimisers import LINE_SEARCH

DIRECT_STARTS = {
    "dpc": "differential phase contrast",
    "parallax": "parallax of the bright field",
    "ssb": "single side-band",
    "wdd": "Wigner distribution deconvolution",
}
"""Starts without iteration, in words."""


def summarise_run(config: Config, problem: Problem, validated: str, extension: Extension = PLAIN) -> list[str]:
    """A run before it starts.

    Args:
        config: without ``auto``.
        problem: the scan by the electrons that are reconstructed.
        validated: what validates an epoch; empty for nothing.
        extension: what the user brought.

    Returns:
        lines.
    """
    slices, _, rows, columns = problem.estimate.object.shape
    sampling, unit = problem.setup.grid.sampling, problem.dataset.calibration.length_unit.replace("A", "Å")
    window = " x ".join(str(n) for n in problem.setup.grid.shape)
    return [
        f"{len(problem.counts)} patterns of {window}, {problem.electrons:.3g} electrons each",
        f"object {config.object.kind}, {slices} slice{'s' if slices > 1 else ''} of {rows} x {columns} pixels of "
        f"{sampling[0]:.4g} {unit}; {config.probe.modes} probe mode{'s' if config.probe.modes > 1 else ''}",
        *(f"look at this: {doubt}" for doubt in improbable(problem.dataset)),
        *(f"look at this: {doubt}" for doubt in _doubts(config, problem)),
        *summarise_counts(problem),
        *([f"electrons are not divided: {CORRELATED}"] if config.loss == SHARED_CHARGE else []),
        *summarise_objective(config, extension),
        *([f"each epoch is validated by {validated}"] if validated else []),
        _summarise_devices(config),
    ]


def _doubts(config: Config, problem: Problem) -> Iterator[str]:
    """What of the model may be too coarse: slices, those of stages that merge them too, and the sum over the focus."""
    specs = {own.object.spec() for own in (config, *(own for _, _, own in listed(config)))}
    for spec in sorted(specs, key=lambda spec: -spec.slices):
        yield from doubts_of_propagation(spec, problem.dataset)
    yield from doubts_of_points(problem, problem.estimate)


def _summarise_devices(config: Config) -> str:
    """Where a run computes, and with how many patterns a step; the stages of a list have batches of their own."""
    devices = f"{jax.device_count()} devices ({jax.devices()[0].device_kind})"
    if config.stages:
        return devices
    return f"batch {config.pixels.batch}; pixels on {pixel_mesh(config).size} of {devices}"


def summarise_objective(config: Config, extension: Extension = PLAIN) -> list[str]:
    """What a run minimises, with what, and under which constraints: everything that is on.

    Args:
        config: without ``auto``.
        extension: what the user brought.

    Returns:
        lines.
    """
    refine, validation = config.refine, config.validation
    made = f"probe of {', '.join(config.probe.aberrations)}" + (" and cutoff" if config.probe.free_cutoff else "")
    free = ["object", *([] if config.probe.fixed else [made if config.probe.model == "parametric" else "probe"])]
    free += [f"positions (rate {refine.position_rate:g} px)"] if refine.position_rate else []
    rounds = "" if config.stages else f", {refine.position_rounds} rounds"
    free += [f"positions ({summarise_search(refine)}, searched for{rounds})"] if refine.searched else []
    free += [f"{refine.tilt} tilt (rate {refine.tilt_rate:g} mrad)"] if refine.tilt != "none" else []
    free += [f"thickness (rate {refine.thickness_rate:g})"] if refine.thickness else []
    free += [f"source size (rate {refine.source_size_rate:g})"] if refine.source_size else []
    own = [name for name in refine.by_gradient if name in built_in(config)]
    kinds = {name: "" if getattr(refine, name) is True else f"{getattr(refine, name)} " for name in own}
    free += [f"{kinds[name]}{name} (rate {getattr(refine, f'{name}_rate'):g})" for name in own]
    pixels_last = config.method == "pixels" or (config.dgp.polish_epochs and config.dgp.object == "network")
    pixels_last = config.stages[-1].method == "pixels" if config.stages else pixels_last
    again = ", then the last stage with all electrons" if validation.all_electrons and pixels_last else ""
    validated = f"{validation.fraction:g}, patience {validation.patience}{again}" if validation.fraction else "none"
    lines = [
        *([f"loss: {config.loss}"] if extension.loss is None and not config.stages else []),
        *summarise(penalties_of(config.penalties), projections_of(config.projections)),
        *summarise_extension(extension),
        f"optimised: {', '.join(free)}",
        *_summarise_known(config),
        f"held out: {validated}",
    ]
    by_pixels = config.dgp.start == "pixels" and (config.dgp.start_file is None or config.dgp.half_sets)
    if config.stages:
        return lines + [_summarise_stage(number, entry, extension) for number, entry in enumerate(config.stages, 1)]
    if config.method == "pixels" or by_pixels:
        lines.append(f"pixels by {_summarise_solver(config)}")
    if config.method == "pixels" and config.pixels.half_sets is True:
        lines.append("two half sets of the electrons, filtered by what both have in common")
    if config.method == "dgp":
        lines += _summarise_priors(config.dgp, extension)
    return lines


def _summarise_known(config: Config) -> Iterator[str]:
    """What ``[probe]`` and ``[object]`` say that could be an unknown and is none."""
    held = [name for name in known(config) if not getattr(config.refine, name)]
    for what, table in (("beam", config.probe), ("object", config.object)):
        if said := [f"{name} {getattr(table, name)}" for name in held if name in type(table).model_fields]:
            yield f"known of the {what}: {', '.join(said)}"


def _summarise_stage(number: int, entry: StageConfig, extension: Extension) -> str:
    """An entry of a list of stages: what it sets, and what was chosen for it."""
    apart = {"method", "epochs"} if extension.loss is None else {"method", "epochs", "loss"}
    given = entry.model_dump(exclude_defaults=True, exclude=apart)
    return f"stage {number}: {entry.method}, {epochs_of(entry)} epochs{''.join(_words(given))}"


def _words(table: Table, within: str = "") -> Iterator[str]:
    """Keys and values of a table, one after another."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _words(value, f"{within}{name}.")
        else:
            yield f", {within}{name} {f'{value:.3g}' if isinstance(value, float) else value}"


def summarise_counts(problem: Problem) -> list[str]:
    """What one electron is taken to leave, on what grounds, and what in the counts speaks against it.

    Args:
        problem: the scan made ready.

    Returns:
        lines.
    """
    unit, noise = problem.unit, problem.unit.noise
    varies = "" if noise is None else f"the counts vary as if it were {noise.gain:.3g}"
    multiples = "assumed, for all counts are its multiples" + (f"; {varies}" if varies else "")
    grounds = {
        "given": "given" + (f"; {varies}" if varies else ""),
        "seen": multiples,
        "unclear": multiples,
        "estimated": "estimated from their variance" if varies else "assumed: too few patterns to tell",
    }
    one = "one count is one electron" if unit.value == 1 else f"one electron leaves {unit.value:.3g} counts"
    lines = [f"{one} ({grounds[unit.source]})"]
    if problem.undivided:
        lines.append(f"electrons are not divided: {problem.undivided}")
    if unit.source in UNCERTAIN:
        lines.append("set data.counts_per_electron, and data.read_noise, to what the detector is known for")
    if noise is not None and noise.dark_level * noise.gain > PEDESTAL * max(noise.read_noise**2, noise.gain**2 / 12):
        lines.append(
            f"the darkest pixels hold {noise.dark_level:.3g} counts that do not vary as electrons: subtract them"
        )
    return lines


PEDESTAL = 4.0
"""Shot noise that the mean of the darkest pixels should have, over the variance that they have: above it is none."""


def _summarise_priors(dgp: DGPConfig, extension: Extension) -> list[str]:
    start = f"{dgp.start_epochs} epochs of pixels" + (" by half sets, filtered" if dgp.half_sets else "")
    if dgp.start_file:
        start = f"a result ({dgp.start_file})" + (f", the object by halves from {start}" if dgp.half_sets else "")
    start = DIRECT_STARTS.get(dgp.start, start)
    if dgp.start == "random":
        start = "random weights, no estimate"
    shape = f"{dgp.architecture} of {dgp.levels} levels, {dgp.base_channels} filters"
    network = f"{shape if extension.network is None else 'own network'}, input noise {dgp.input_noise:.3g}"
    unknowns = {
        "object": network if dgp.object == "network" else "pixels",
        "probe": f"unet of {dgp.probe_levels} levels" if dgp.probe == "network" else "pixels",
    }
    validated = "each half of the electrons validates what is made of the other's estimate"
    if not dgp.half_sets:
        validated = (
            "all electrons validate what is made of their own estimate: input noise and stop prevent over-fitting"
        )
    if dgp.start == "random" or dgp.random_input or dgp.object == "pixels":
        validated = "no network of the object sees an estimate"
    return [
        f"deep generative priors from {start}: " + "; ".join(f"{name} {what}" for name, what in unknowns.items()),
        f"{validated}; adam, rates of networks {dgp.object_rate:g} and {dgp.probe_rate:g}"
        + (f"; {dgp.ensemble_size} members" if int(dgp.ensemble_size) > 1 else ""),
        *(
            [f"polish: {dgp.polish_epochs} epochs of plain pixels, {dgp.polish_rate:g} of their rate"]
            if dgp.polish_epochs and dgp.object == "network"
            else []
        ),
    ]


def _summarise_solver(config: Config) -> str:
    pixels = config.pixels
    if pixels.solver != GRADIENT:
        values = (
            f"{key} {getattr(getattr(config, table), key):g}"
            for table, keys in USED[pixels.solver].items()
            for key in sorted(keys)
        )
        return f"{pixels.solver}: {', '.join(values)}"
    options = "".join(f", {key} {value:g}" for key, value in sorted(pixels.optimiser_options.items()))
    rates = "" if pixels.optimiser in LINE_SEARCH else f", rates {pixels.object_rate:.3g} and {pixels.probe_rate:g}"
    schedule = "" if pixels.optimiser in LINE_SEARCH else f", {pixels.schedule} schedule"
    preconditioner = (
        f", spectral preconditioner of gain {pixels.preconditioner.gain:.3g}, cutoff {pixels.preconditioner.cutoff:.3g}"
    )
    return f"{pixels.optimiser}{options}{rates}{schedule}{preconditioner}"
