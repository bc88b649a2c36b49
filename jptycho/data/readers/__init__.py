"""One file a format, and the door that chooses among them."""

from jptycho.data.readers.jptycho_scan import read_scan, write_scan
from jptycho.data.readers.open import open_dataset

__all__ = ["open_dataset", "read_scan", "write_scan"]
