"""What the ``lostark model …`` commands do and show; ``lostark_ml.cli`` only reads the arguments."""
