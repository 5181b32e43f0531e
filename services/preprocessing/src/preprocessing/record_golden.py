"""Record the golden vectors anew: run it after a change of version or parameters, and commit what it writes."""

import sys
from pathlib import Path

from preprocessing import golden
from preprocessing.feature_specs import digits_8x8


def main() -> int:
    """Write the vectors; refuses other rows under the digest that models were trained for."""
    spec = digits_8x8()
    path = Path(str(golden.folder(spec))) / golden.VECTORS
    if path.exists() and golden.read(spec).digest == spec.digest and path.read_text() != golden.document(spec):
        print(f"{spec.name}: the rows changed under an unchanged digest: raise the version in feature_specs.py")
        return 1
    path.write_text(golden.document(spec))
    print(f"{spec.name}: {path.name} holds the rows of {spec.digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
