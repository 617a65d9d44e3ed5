"""What the ``lostark`` commands do: one module each, plain functions. ``cli`` is the thin layer above."""
