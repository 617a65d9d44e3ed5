"""What the ``lostark`` commands do: one module a command, plain functions. ``cli`` is the thin layer above."""
