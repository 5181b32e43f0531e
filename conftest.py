"""The fixtures of every test folder, and a guard for five package names.

In importlib mode pytest would make a namespace package of the folder local_stack/ while it imports local_stack/tests,
and so hide the real package (as with the others below); one that is already imported stays.
"""

import delivery  # noqa: F401
import loadtests  # noqa: F401
import local_stack  # noqa: F401
import observability  # noqa: F401
import sandbox  # noqa: F401

pytest_plugins = ["local_stack.pytest_plugin"]
