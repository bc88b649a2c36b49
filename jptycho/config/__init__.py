"""The configuration of a run."""

from jptycho.config.run import Config, load_config, parse_config

__all__ = ["Config", "load_config", "parse_config"]
