"""Files made elsewhere, through the command line's own path: amplitude error, seconds and pictures.

    JPTYCHO_DATA=folder python benchmarks/real.py [--output folder]

Skips, saying so, where JPTYCHO_DATA is not set.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from jptycho.parallel import use_cpu_cores
from jptycho.preprocess.cpu_devices import choose_cpu_devices

CONFIGS = Path(__file__).parent / "real"


def main() -> None:
    """Run every configuration of ``real/`` and write ``results/real.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo/real"), help="for reports")
    output = parser.parse_args().output
    data = os.environ.get("JPTYCHO_DATA")
    if not data:
        print("skipped: JPTYCHO_DATA is not set")
        sys.exit(0)
    use_cpu_cores(choose_cpu_devices(print))
    import jax
    from record import Clock, save

    import jptycho
    from jptycho.config.run import parse_config
    from jptycho.report.page import write_report

    found = {}
    for path in sorted(CONFIGS.glob("*.toml")):
        jax.clear_caches()
        config = jptycho.load_config(path)
        values = config.model_dump(exclude_none=True)
        values["data"]["file"] = str(Path(data) / Path(config.data.file).relative_to(CONFIGS.resolve()))
        clock = Clock()
        result = jptycho.reconstruct(None, parse_config(values))
        history = result.history
        found[path.stem] = {
            **clock.read(),
            "epochs": len(history["amplitude_error"]),
            "amplitude_error": round(float(history["amplitude_error"][-1]), 4),
            "amplitude_error_by_epoch": [round(float(e), 4) for e in history["amplitude_error"]],
            "loss": config.loss,
        }
        print(path.stem, found[path.stem], flush=True)
        output.mkdir(parents=True, exist_ok=True)
        write_report(output / f"{path.stem}.html", {config.method: result}, path.stem)
    print("wrote", save("real", found))


if __name__ == "__main__":
    main()
