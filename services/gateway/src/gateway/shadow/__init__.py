"""A second model, asked on the side: what it answers is compared with what callers got, and reaches none of them."""
