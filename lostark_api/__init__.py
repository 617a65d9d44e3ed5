"""The battle analysis API: what the platform knows, over HTTP. It reads marts and the champion only."""
