"""A second model, asked on the side: what it answers is compared with what callers got, and reaches none of them."""

SHADOW_HEADER = "x-fairlead-shadow"
"""What copies bear, so that a mesh may lead them to a canary that callers do not meet yet."""
