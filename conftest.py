"""Makes the packages win whose folder at the root has their own name.

In importlib mode pytest would make a namespace package of the folder local_stack/ while it imports
local_stack/tests, and so hide the real package; one that is already imported stays.
"""

import loadtests  # noqa: F401
import local_stack  # noqa: F401
